"""node-postgres and postgres.js at their defaults."""
import pytest

from lib.targets import everywhere
from lib.tools import E2E, run


@everywhere
@pytest.mark.parametrize("case", ["queries", "named", "transactions", "cursor", "pool", "parameters", "queued"])
def test_node_postgres(target, case):
    return run(["node", E2E / "node" / "pg_cases.js", case], target)


@everywhere
@pytest.mark.parametrize("case", ["queries", "parallel", "transactions", "cursor", "cancel", "simple", "copy",
                                  "parameters"])
def test_postgres_js(target, case):
    return run(["node", E2E / "node" / "postgres_cases.js", case], target)

"""node-postgres and postgres.js at their defaults."""
import pytest

from lib.targets import everywhere
from lib.tools import E2E, run


def outcome_of(script, case, target):
    code, out, errors = run(["node", E2E / "node" / script, case], target)
    assert code == 0, errors
    return out, errors


@everywhere
@pytest.mark.parametrize("case", ["queries", "named", "transactions", "cursor", "pool", "parameters", "queued"])
def test_node_postgres(target, case):
    return outcome_of("pg_cases.js", case, target)


@everywhere
@pytest.mark.parametrize("case", ["queries", "parallel", "transactions", "cursor", "cancel", "simple", "copy",
                                  "parameters"])
def test_postgres_js(target, case):
    return outcome_of("postgres_cases.js", case, target)

"""pgbench with its three protocols, with many clients and with reconnects."""
import re

import pytest

from lib.targets import everywhere
from lib.tools import BIN, run

CLIENTS = 16


@pytest.fixture(scope="session")
def tables(world):
    code, out, err = run([BIN / "pgbench", "-i", "-s", "1", "-q"], world.direct)
    assert code == 0, err


def pgbench(target, *options, transactions=30, clients=CLIENTS):
    code, out, err = run([BIN / "pgbench", "-n", "-c", clients, "-j", 2, "-t", transactions, *options], target)
    done = re.search(r"transactions actually processed: (\d+)/(\d+)", out)
    failed = re.search(r"number of failed transactions: (\d+)", out)
    return code, done and done.groups(), failed and failed[1], err if code else ""


@everywhere
@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
def test_select_only(target, tables, protocol):
    return pgbench(target, "-S", "-M", protocol, transactions=200)


@everywhere
@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
def test_tpcb(target, tables, protocol):
    return pgbench(target, "-M", protocol)


@everywhere
@pytest.mark.parametrize("protocol", ["simple", "prepared"])
def test_with_reconnects(target, tables, protocol):
    return pgbench(target, "-S", "-C", "-M", protocol, transactions=10)


@everywhere
def test_pipelines(target, tables, tmp_path):
    script = tmp_path / "pipeline.sql"
    script.write_text("\\startpipeline\nselect 1;\nselect abalance from pgbench_accounts where aid = 5;\n"
                      "begin;\nupdate pgbench_accounts set abalance = abalance + 1 where aid = :client_id + 1;\nend;\n"
                      "select 2;\n\\endpipeline\n")
    return pgbench(target, "-M", "prepared", "-f", script), pgbench(target, "-M", "extended", "-f", script)


@everywhere
def test_sums_are_right(target, tables):
    """What TPC-B promises: the balances of tellers, branches and accounts move together."""
    pgbench(target, "-M", "prepared")
    with target.wire() as c:
        return c.query("select (select sum(abalance) from pgbench_accounts where aid > 100) + 0 is not null"), c.query(
            "select (select sum(bbalance) from pgbench_branches) = (select sum(tbalance) from pgbench_tellers)"), c.query(
            "select (select sum(bbalance) from pgbench_branches) = (select sum(delta) from pgbench_history)")


@everywhere
def test_hundred_clients(target, tables):
    return pgbench(target, "-S", "-M", "prepared", transactions=20, clients=100 if target.mode != "session" else 50)[0]

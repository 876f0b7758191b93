"""Whatever a client does, the next one on the same server finds a session as new: the canary looks for what was left."""
import pytest

from lib.canary import canary
from lib.wire import SYNC, bind, execute, parse, run

CANARY = canary("local.tenant", "constraints.x")


def two_portals(c):
    c.ask(parse("a", "set search_path = evil"), parse("b", "set local work_mem = '1MB'"), SYNC)
    c.ask(bind("p1", "a"), bind("p2", "b"), execute("p1"), SYNC)


def lock_behind_discard(c):
    c.ask(parse("", "discard all"), bind("", ""), execute(),
          parse("", "select pg_advisory_lock(77)"), bind("", ""), execute(), SYNC)


def queries(*texts):
    def act(c):
        for text in texts:
            c.query(text)
    act.__name__ = " | ".join(texts)
    return act


NASTY = [
    queries("update pg_settings set setting = 'evil' where name = 'search_path'"),
    queries("begin; set search_path = evil; reset all", "rollback"),
    queries("set search_path = evil; begin; reset all", "rollback"),
    queries("set local.tenant = '5'"),
    queries("set constraints.x = '6'"),
    queries("/* set local */ set search_path = evil"),
    queries("-- set local x\nset search_path = evil"),
    queries("set search_path = evil; reset timezone -- reset all"),
    queries("set role pg_monitor"),
    queries("select U&\"\\0073et_config\"('search_path', 'evil', false)"),
    queries("begin", "select pg_advisory_lock(5)", "select 1/0", "rollback"),
    queries("do $$ begin perform set_config('search_path', 'evil', false); end $$"),
    queries("create temp table leak (a int)"),
    queries("select 1 as a into temp leak"),
    queries("create table pg_temp.leak (a int)"),
    queries("begin; declare leak cursor with hold for select 1; commit"),
    queries("listen leak"),
    queries("prepare leak as select 1"),
    two_portals, lock_behind_discard]


@pytest.mark.parametrize("startup", [{}, {"search_path": "mine", "options": "-c timezone=Asia/Tokyo"}],
                         ids=["plain", "own settings"])
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_nothing_is_left_for_the_next(weir, mode, startup):
    w = weir(pool_size=1)
    for act in NASTY:
        with w.wire(mode, database="e2e", **startup) as c:
            act(c)
        with w.wire(mode, database="e2e") as canary:
            assert canary.query(CANARY)[1:] == [("C", "SELECT 0"), ("Z", "I")], act.__name__


def test_a_text_prepared_under_other_settings_is_not_shared(weir):
    """transform_null_equals changes what PostgreSQL makes of the text, and is reported to nobody."""
    w = weir(pool_size=1)
    sql = "select count(*) from (values (null::int)) v (a) where a = null"
    with w.wire(database="e2e") as a, w.wire(database="e2e") as b:
        a.query("begin; set local transform_null_equals = on")
        assert a.ask(parse("s", sql), run("s"), SYNC)[2] == ("D", b"1")
        a.query("commit")
        assert b.ask(parse("s", sql), run("s"), SYNC)[2] == ("D", b"0")


def test_a_text_taught_under_other_settings_is_forgotten(weir):
    w = weir(pool_size=1)
    sql = "select count(*) from (values (null::int)) v (a) where a = null"
    with w.wire(database="e2e") as a, w.wire(database="e2e") as b:
        a.ask(parse("s", sql), SYNC)
        b.query("select 1; deallocate all")  # the server has it no more
        a.query("begin; set local transform_null_equals = on")
        a.ask(run("s"), SYNC)
        a.query("commit")
        assert b.ask(parse("s", sql), run("s"), SYNC)[2] == ("D", b"0")


def test_a_shared_statement_cannot_be_taken_away_by_its_name(weir):
    w = weir(pool_size=1)
    with w.wire(database="e2e") as a:
        a.ask(parse("mine", "select 42"), SYNC)
        gone = 0
        with w.wire(database="e2e") as bad:
            for worker in range(4):
                for i in range(1, 20):
                    gone += bad.query(f"select 1; deallocate pgweir_{worker}_{i}")[-2][0] == "C"
        assert gone == 0  # it is not there for them
        assert a.ask(run("mine"), SYNC)[1] == ("D", b"42")


def test_what_no_cleaning_takes_away_costs_the_server(weir):
    w = weir(pool_size=1)
    with w.wire(database="e2e") as b:
        with w.wire(database="e2e") as a:
            pid = a.query("select pg_backend_pid()")[1]
            assert b.query("select pg_backend_pid()")[1] == pid
            a.query("select setseed(0.5)")
        assert b.query("select pg_backend_pid()")[1] != pid


def test_what_a_function_leaves_is_found_where_every_transaction_is_suspect(weir):
    """A text that calls a function says nothing of what is in it."""
    w = weir(pool_size=1, top={"suspect": "always"})
    with w.wire(database="e2e") as a, w.wire(database="e2e") as b:
        a.query("""create or replace function sets() returns text language plpgsql as
                   $$ begin return set_config('work_mem', '7MB', false); end $$""")
        a.query("select sets()")
        assert b.query("show work_mem")[1] != ("D", b"7MB")
        assert a.query("show work_mem")[1] == ("D", b"7MB")

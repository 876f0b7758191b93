"""Prepared statements by their names in SQL: what a message has prepared, SQL finds, and the other way round; with other
clients on the same few servers, which have the same names for other statements."""
import pytest

from lib.targets import everywhere
from lib.wire import SYNC, bind, close, describe, execute, parse, run
from test_state import Others

LIST = "select name, statement, parameter_types::text, from_sql from pg_prepared_statements order by name"
TWO = (parse("a", "select 1"), parse("b", "select $1 + 1", 23), SYNC)

NAMES = [
    (TWO, LIST),
    (LIST, TWO, LIST, LIST),
    (TWO, "execute b(41)"),
    (TWO, "select 7; execute b(41); execute a"),
    (TWO, "select 1; deallocate a", LIST, (run("a"), SYNC), (run("b", b"1"), SYNC)),
    (TWO, "deallocate a; execute a", LIST),
    (TWO, "deallocate b; prepare b as select 'sql'", "execute b", LIST),
    (TWO, "prepare a as select 2", LIST),
    (TWO, "prepare c as select 3", LIST, "execute c", "deallocate c", LIST),
    (TWO, "begin", LIST, "execute a", "commit", LIST),
    (TWO, "begin", "savepoint x", "execute nothing", "rollback to x", "execute a", "rollback", LIST),
    (TWO, "begin; select 1/0", LIST, "rollback", LIST),
    (TWO, (close("S", "a"), SYNC), LIST),
    (TWO, "discard all", LIST),
    (TWO, "deallocate all", LIST),
    (TWO, "select 1; deallocate all", LIST, (parse("a", "select 5"), SYNC), LIST, (run("a"), SYNC)),
    (TWO, (parse("l", LIST), SYNC), (run("l"), SYNC), (run("l"), SYNC)),
    (TWO, (parse("", LIST), bind("", ""), execute(), SYNC)),
    (TWO, (parse("", "execute b(7)"), describe("S", ""), bind("", ""), execute(), SYNC), (run("b", b"1"), SYNC)),
    (TWO, (parse("e", "execute a"), describe("S", "e"), SYNC), (run("e"), SYNC), (run("e"), SYNC)),
    (TWO, (parse("x", LIST), bind("", "x"), execute(), SYNC)),
    ("prepare s(int) as select $1 * 2", (run("s", b"21"), SYNC), (describe("S", "s"), SYNC), (parse("s", "select 1"), SYNC),
     (close("S", "s"), SYNC), (run("s", b"1"), SYNC), LIST),
    ("prepare s as select 2", "deallocate s", (parse("s", "select 1"), SYNC), (run("s"), SYNC), LIST),
    ("create temp table t_names (x int)", (parse("t", "table t_names"), SYNC), "drop table t_names",
     (run("a"), SYNC), "execute nothing"),
    ((run("nothing"), SYNC), (describe("S", "nothing"), SYNC), "execute nothing"),
    (TWO, "begin", "execute a", (close("S", "a"), SYNC), LIST, "prepare a as select 'sql'", "execute a", "rollback",
     "execute a", LIST),
    (TWO, "begin", "execute a", "deallocate a", "prepare a as select 'sql'", "execute a", "commit", LIST),
    ((parse("a", "select 1"), SYNC), "begin", "execute a", (close("S", "a"), SYNC), "execute a", "rollback"),
    ("create temp table t_names (x int)", (parse("t", "table t_names"), SYNC), TWO, "begin", "drop table t_names",
     "savepoint x", "execute b(41)", "rollback to x", "execute a", "commit", "drop table t_names"),
    ("begin; create temp table t_names (x int) on commit drop", (parse("t", "table t_names"), SYNC), "commit",
     "begin", "prepare c as select 3", "execute c", "commit"),
    ("begin", TWO, "do $$ begin execute 'deallocate a'; end $$", (parse("a", "select 'new'"), SYNC), (run("a"), SYNC), LIST,
     "commit", (run("a"), SYNC), LIST),
    ("begin", TWO, "do $$ begin execute 'deallocate a'; end $$", (parse("b", "select 'new'"), SYNC), "rollback",
     (run("b", b"1"), SYNC), (run("a"), SYNC), LIST),
    ("begin", TWO, "execute a", (parse("a", "select 'new'"), SYNC), (parse("a", "select 'new'"), SYNC), "rollback",
     (run("a"), SYNC), LIST),
    ("select count(*) from pg_prepared_statement()", TWO, "select count(*) from pg_prepared_statement()"),
]


@pytest.mark.parametrize("texts", NAMES, ids=range(len(NAMES)))
@everywhere
def test_names(target, texts):
    others = Others(target)
    for i, c in enumerate(others.clients):
        c.ask(parse("a", f"select 'other{i}'"), parse("zz", "select 1"), SYNC)
    outcome = []
    with target.wire() as c:
        for text in texts:
            others.go()
            for i, other in enumerate(others.clients):
                outcome.append(other.query("execute a"))
            got = c.query(text) if isinstance(text, str) else c.ask(*text)
            outcome.append([r for r in got if r[0] != "S"])
    for other in others.clients:
        outcome.append(other.query("select name from pg_prepared_statements order by 1"))
        outcome.append(other.ask(run("a"), SYNC))
    others.close()
    return outcome


HIDDEN = ["execute {name}", "explain execute {name}", "select query_to_xml('execute {name}', true, true, '')",
          "select query_to_xml('select * from pg_prepared' || '_statements', true, true, '')"]


@pytest.mark.parametrize("text", HIDDEN)
def test_a_text_does_not_reach_what_others_have_prepared(weir, text):
    w = weir(pool_size=1, top={"workers": 1})
    with w.wire(database="e2e") as other, w.wire(database="e2e") as c:
        for i in range(3):
            other.ask(parse(f"s{i}", f"select 'secret {i}'"), SYNC)
        for name in ("pgweir_0_1", "pgweir_0_2", "pgweir_0_3"):
            for i in range(3):
                assert other.ask(run(f"s{i}"), SYNC)[1] == ("D", f"secret {i}".encode())
            assert "secret" not in str(c.query(text.format(name=name)))

"""What pgweir asks of PostgreSQL's catalogs, asked of an older and of the newest version: what functions leave, what a
session holds, and nobody else's statements."""
import pathlib
import tempfile

import pytest
from throwaway import Postgres

from lib import versions
from lib.canary import canary
from lib.wire import SYNC, parse, run
from test_suspect import DEEDS, LIST, NOTHING, assert_found, direct, goes_along, plain, settle

CANARY = canary("myapp.tenant")
pytestmark = pytest.mark.skipif(not versions.AVAILABLE, reason="there are packages for Linux on x86-64 only")


@pytest.fixture(scope="module", params=[13, 18])
def other(request):
    """A PostgreSQL of that version."""
    with tempfile.TemporaryDirectory(prefix="pgweir-programs-") as folder:
        pathlib.Path(folder).chmod(0o755)
        with Postgres(programs=versions.programs_of(request.param, pathlib.Path(folder))) as pg:
            pg.version = request.param
            yield pg


@pytest.fixture
def place(weir, other):
    """Makes a pgweir before a new database of it, with one server."""
    other.psql("drop database if exists e2e with (force)")
    other.psql("create database e2e")

    def make(**top):
        url = f"postgresql://postgres@127.0.0.1:{other.port}/e2e"
        return weir(databases={"e2e": {"url": url, "pool_size": 1, "max_overflow": 0, "pool_timeout": "20s"}},
                    top={"survey_interval": "24h", "workers": 1, **top})
    return make


@pytest.mark.parametrize("deed", DEEDS)
def test_what_is_done_by_a_function(place, other, deed):
    body, question = DEEDS[deed]
    direct(other, "e2e", plain("does", body), "create table filled (a int default does())",
           "create view sees as select does()")
    w = place()
    w.pinned = not goes_along(deed)
    settle(w)
    for text in ("select does()", "insert into filled default values", "select * from sees",
                 (parse("", "select does()"), run(""), SYNC)):
        assert_found(w, text, question)
    assert "every transaction is suspect" not in w.log()


def test_a_body_in_standard_sql(place, other):
    if other.version < 14:
        with pytest.raises(RuntimeError, match="syntax error"):
            direct(other, "e2e", "create function does() returns text language sql return 'x'")
        return
    direct(other, "e2e", "create function does() returns text language sql return set_config('work_mem', '7MB', false)")
    w = place()
    w.pinned = False
    settle(w)
    assert_found(w, "select does()", DEEDS["setting"][1])


def test_what_others_have_prepared(place, other):
    direct(other, "e2e", f"create view shows as {LIST}")
    w = place()
    settle(w)
    with w.wire(database="e2e") as a, w.wire(database="e2e") as b:
        for text in ("select * from shows", LIST):
            assert a.ask(parse("", "select 1"), parse("s", "select 'secret'"), run("s"), SYNC)[3] == ("D", b"secret")
            assert "secret" not in str(b.query(text))
            a.ask(parse("t", "select 2"), SYNC)
            a.query("deallocate all")


@pytest.mark.parametrize("limit", ["statement_timeout", "transaction_timeout", "lock_timeout",
                                   "idle_in_transaction_session_timeout"])
def test_a_short_limit_is_its_clients(place, other, limit):
    if limit == "transaction_timeout" and other.version < 17:
        limit = "statement_timeout"
    w = place()
    settle(w)
    with w.wire(database="e2e") as c, w.wire(database="e2e") as d:
        for value in ("2ms", "5ms"):
            c.query(f"set {limit} = '{value}'; set work_mem = '7MB'")
            assert d.query(CANARY)[1:] == NOTHING
            assert d.query(f"show {limit}")[1] == ("D", b"0")
            assert c.query(f"show {limit}")[1] == ("D", value.encode())
        c.query(f"reset {limit}; reset work_mem")
        assert d.query(CANARY)[1:] == NOTHING
        assert c.query(f"show {limit}")[1] == ("D", b"0")
    assert "unknown" not in w.log()

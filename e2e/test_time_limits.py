"""query_timeout, transaction_timeout, idle_in_transaction_timeout and client_idle_timeout: what the client is told, from
which section the limit comes, and that its server goes on. One server, so that the next client has the same."""
import signal

import pytest

from lib.pooler import Pgweir, wait_for
from lib.wire import SYNC, Closed, Wire, bind, execute, parse, query

SCOPES = {"top": "the top of the file", "databases": "[databases.e2e]", "users": "[users.postgres]",
          "apps": "[apps.limited]"}
MODES = ("session", "transaction")
LONG = "1h"


def weir_with(postgres, scope, **settings):
    """The limits are at `scope`; those that are less specific have others, which must not hold."""
    database = {"url": f"postgresql://postgres@127.0.0.1:{postgres.port}/e2e", "pool_size": 1}
    places = list(SCOPES)
    others = {name: LONG for name in settings}
    given = {place: others if places.index(place) < places.index(scope) else settings if place == scope else {}
             for place in places}
    return Pgweir({"e2e": {**database, **given["databases"]}}, top={"workers": 1, **given["top"]},
                  sections={"users": {"postgres": given["users"]}, "apps": {"limited": given["apps"]}})


@pytest.fixture(params=SCOPES)
def scope(request):
    return request.param


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


def connect(w, mode, **more):
    return Wire(w.at(mode), database="e2e", application_name="limited", **more)


def fields(c):
    """All of the next error, then what the connection does."""
    while True:
        tag, body = c._raw()
        if tag == "E":
            return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


def server_of(w, mode):
    with connect(w, mode) as c:
        return c.value("select pg_backend_pid()")


def no_wait(w, text):
    wait_for(lambda: text in w.log(), 10, f"the log has no {text!r}")


def reload(w):
    before = w.log().count("configuration was reloaded")
    w.write_config()
    w.send_signal(signal.SIGHUP)
    wait_for(lambda: w.log().count("configuration was reloaded") > before)


def test_query_timeout(postgres, scope, mode):
    with weir_with(postgres, scope, query_timeout="300ms") as w:
        with connect(w, mode) as c:
            pid = c.value("select pg_backend_pid()")
            c.send(query("select pg_sleep(20)"))
            error = fields(c)
            assert (error["S"], error["C"]) == ("ERROR", "57014")
            assert error["M"] == "canceling statement: it took longer than 300 ms"
            assert error["H"] == f"The limit is query_timeout, from {SCOPES[scope]}."
            assert c.until_ready() == [("Z", "I")]
            assert c.value("select pg_backend_pid()") == pid, "the connection lives"
        assert server_of(w, mode) == pid
        no_wait(w, "a statement is cancelled, it took longer than 300 ms (query_timeout); "
                   "last statement: select pg_sleep(?)")


def test_transaction_timeout(postgres, scope, mode):
    with weir_with(postgres, scope, transaction_timeout="500ms") as w:
        with connect(w, mode) as c:
            pid = c.value("select pg_backend_pid()")
            c.query("create table if not exists kept (a int)")
            c.query("begin")
            c.query("insert into kept values (4711)")
            error = fields(c)
            assert (error["S"], error["C"]) == ("FATAL", "25P04")
            assert error["M"] == "terminating connection: its transaction took longer than 500 ms"
            assert error["H"] == f"The limit is transaction_timeout, from {SCOPES[scope]}."
            assert c.rest() == []
        with connect(w, mode) as next_one:
            assert next_one.value("select pg_backend_pid()") == pid
            assert next_one.value("select count(*) from kept where a = 4711") == "0", "it was rolled back"
        no_wait(w, "is disconnected: its transaction took longer than 500 ms (transaction_timeout); "
                   "last statement: insert into kept values (?)")


def test_idle_in_transaction_timeout(postgres, scope, mode):
    with weir_with(postgres, scope, idle_in_transaction_timeout="300ms") as w:
        with connect(w, mode) as c:
            pid = c.value("select pg_backend_pid()")
            c.query("begin")
            assert c.value("select pg_sleep(0.7)") == "", "who waits for PostgreSQL is not idle"
            error = fields(c)
            assert (error["S"], error["C"]) == ("FATAL", "25P03")
            assert error["M"] == "terminating connection: idle in a transaction for 300 ms"
            assert error["H"] == f"The limit is idle_in_transaction_timeout, from {SCOPES[scope]}."
            assert c.rest() == []
        assert server_of(w, mode) == pid
        no_wait(w, "is disconnected: idle in a transaction for 300 ms (idle_in_transaction_timeout); "
                   "last statement: select pg_sleep(?)")


def test_client_idle_timeout(postgres, scope, mode):
    with weir_with(postgres, scope, client_idle_timeout="400ms") as w:
        with connect(w, mode) as c:
            pid = c.value("select pg_backend_pid()")
            c.query("begin")
            assert c.value("select pg_sleep(0.9)") == "", "inside a transaction nobody is idle"
            assert c.query("commit")[-1] == ("Z", "I")
            error = fields(c)
            assert (error["S"], error["C"]) == ("FATAL", "57P05")
            assert error["M"] == "terminating connection: idle for 400 ms"
            assert error["H"] == f"The limit is client_idle_timeout, from {SCOPES[scope]}."
            assert c.rest() == []
        assert server_of(w, mode) == pid


def test_a_cancelled_statement_is_answered_in_its_place(postgres, mode):
    """In the extended protocol: what stands before it is answered, what follows is skipped, the next group runs."""
    with weir_with(postgres, "apps", query_timeout="300ms") as w, connect(w, mode) as c:
        slow = parse("", "select pg_sleep(20)") + bind("", "") + execute()
        c.send(parse("", "select 1") + bind("", "") + execute() + slow + parse("", "select 2") + bind("", "") + execute(),
               SYNC)
        replies = c.until_ready()
        assert [r[0] for r in replies] == ["1", "2", "D", "C", "1", "2", "E", "Z"]
        assert replies[-2][1:] == ("57014", "canceling statement: it took longer than 300 ms")
        assert c.value("select 3") == "3"
        # In a block it aborts the transaction, as PostgreSQL's own does.
        c.query("begin")
        assert [r[:2] for r in c.query("select pg_sleep(20)")] == [("T", ("pg_sleep", 2278)), ("E", "57014"), ("Z", "E")]
        assert c.query("rollback")[-1] == ("Z", "I")


def test_others_are_left_alone(postgres, mode):
    with weir_with(postgres, "apps", query_timeout="100ms", transaction_timeout="100ms",
                   idle_in_transaction_timeout="100ms", client_idle_timeout="100ms") as w:
        with Wire(w.at(mode), database="e2e", application_name="other") as c:
            c.query("begin")
            assert c.value("select pg_sleep(0.6)") == ""
            assert c.query("commit")[-1] == ("Z", "I")


def test_a_pinned_client_keeps_to_the_limits(postgres):
    with weir_with(postgres, "apps", query_timeout="300ms", idle_in_transaction_timeout="600ms") as w:
        with connect(w, "transaction") as c:
            assert c.value("select pg_advisory_lock(77)") == ""
            assert ("E", "57014") in [r[:2] for r in c.query("select pg_sleep(20)")]
            held = "select count(*) from pg_locks where locktype = 'advisory' and objid = 77"
            assert c.value(held) == "1"
            c.query("begin")
            assert fields(c)["C"] == "25P03"
        with Wire(w.at("transaction"), database="e2e") as other:
            assert other.value(held) == "0"


def test_a_copy_that_stalls_ends(postgres, mode):
    """PostgreSQL waits for its client then and takes no cancel: after cancel_timeout the client is disconnected."""
    with weir_with(postgres, "apps", query_timeout="300ms") as w:
        w.databases["e2e"]["cancel_timeout"] = "400ms"
        reload(w)
        with connect(w, mode) as c:
            c.query("create table if not exists stalled (a int)")
            c.send(query("copy stalled from stdin"))
            assert c.receive()[0] == "G"
            error = fields(c)
            assert (error["S"], error["C"]) == ("FATAL", "57014")
            assert error["M"] == ("terminating connection: a statement took longer than 300 ms, "
                                  "and could not be cancelled within 400 ms")
        with connect(w, mode) as c:
            assert c.value("select count(*) from stalled") == "0"


def test_a_reload_changes_the_limits_of_who_is_there(postgres, mode):
    with weir_with(postgres, "apps", idle_in_transaction_timeout=LONG) as w, connect(w, mode) as c:
        c.query("begin")
        assert c.value("select 1") == "1"
        w.sections["apps"]["limited"]["idle_in_transaction_timeout"] = "200ms"
        reload(w)
        assert fields(c)["C"] == "25P03"
        with pytest.raises(Closed):
            c.receive()

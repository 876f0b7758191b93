"""Session state in transaction mode: what a direct connection keeps, the transaction port keeps, with other clients on
the same few servers all the while."""
import pytest

from lib.targets import everywhere
from lib.wire import SYNC, bind, execute, parse, run


class Others:
    """Clients that use the servers in between, so that nothing is kept by mere luck."""

    def __init__(self, target, count=2):
        self.clients = [target.wire() for _ in range(count)]
        for i, c in enumerate(self.clients):
            c.query(f"set search_path = other{i}; set timezone = 'Asia/Tokyo'; set app.tenant = 'other{i}'")

    def go(self):
        for c in self.clients:
            c.query("begin")
        for c in self.clients:
            c.query("select 1; commit")

    def close(self):
        for c in self.clients:
            c.close()


def steps(target, *texts):
    """The replies to each text, with the others at work before each."""
    others = Others(target)
    outcome = []
    try:
        with target.wire() as c:
            for text in texts:
                others.go()
                got = c.query(text) if isinstance(text, str) else c.ask(*text)
                outcome.append([r for r in got if r[0] != "S"])
    finally:
        others.close()
    return outcome


SETTINGS = [
    ("set work_mem = '1234kB'", "show work_mem"),
    ("set session search_path = a, \"B c\"", "show search_path", "reset search_path", "show search_path"),
    ("set time zone 'Europe/Berlin'", "show timezone", "set time zone default", "show timezone"),
    ("set timezone to interval '02:00' hour to minute", "show timezone"),
    ("set names 'latin1'", "show client_encoding", "set names 'utf8'", "show client_encoding"),
    ("set session characteristics as transaction read only", "create table t_state ()", "show default_transaction_read_only"),
    ("set app.tenant = 'x y''z'", "select current_setting('app.tenant')", "reset app.tenant",
     "select current_setting('app.tenant', true)"),
    ("set app.tenant = ''", "select current_setting('app.tenant')"),
    ("select set_config('app.tenant', '7', false)", "select current_setting('app.tenant')"),
    ("select set_config('app.' || 'ten', '7', false)", "select current_setting('app.ten')"),
    ("begin", "set work_mem = '1MB'", "rollback", "show work_mem"),
    ("begin", "set work_mem = '1MB'", "commit", "show work_mem"),
    ("begin", "set work_mem = '1MB'", "savepoint a", "set work_mem = '2MB'", "rollback to a", "commit", "show work_mem"),
    ("set work_mem = '3MB'", "begin; set work_mem = '1MB'; select 1/0; commit", "rollback", "show work_mem"),
    ("set work_mem = '3MB'", "begin; set local work_mem = '1MB'; show work_mem; commit", "show work_mem"),
    ("set work_mem = '3MB'; set app.a = '1'; set datestyle = 'german'", "select current_setting('app.a'), date '2001-02-03'",
     "reset all",
     "show work_mem", "show datestyle"),
    ("set work_mem = '3MB'", "discard all", "show work_mem"),
    ("set role pg_monitor", "select current_user", "reset role", "select current_user = session_user"),
    ("set role none", "select current_user = session_user"),
    ("set session authorization pg_monitor", "select session_user", "reset session authorization",
     "select session_user = current_user"),
    ("do $$ begin perform set_config('work_mem', '5MB', false); perform set_config('app.done', 'y', false); end $$",
     "show work_mem",
     "select current_setting('app.done')"),
    ("update pg_settings set setting = '6MB' where name = 'work_mem'", "show work_mem"),
    ("set nothing_like_it = 1", "set work_mem = 'x'", "show work_mem"),
    ("set statement_timeout = '1234567'", "show statement_timeout", "set statement_timeout to default", "show statement_timeout"),
    ((parse("", "set work_mem = '7MB'"), bind("", ""), execute(), SYNC), "show work_mem"),
    ((parse("s", "set work_mem = '8MB'"), SYNC), (bind("", "s"), execute(), SYNC), "show work_mem"),
    ("set work_mem = '3MB'; begin; set work_mem = '4MB'; commit and chain; set work_mem = '5MB'; rollback", "show work_mem"),
]


@pytest.mark.parametrize("texts", SETTINGS, ids=lambda t: str(t[0])[:40])
@everywhere
def test_settings(target, texts):
    return steps(target, *texts)


PINNED = [
    ("create temp table mine (a int)", "insert into mine values (1)", "select * from mine", "drop table mine",
     "select * from mine"),
    ("begin; create temp table mine (a int) on commit drop; insert into mine values (1); select * from mine; commit",
     "select * from mine"),
    ("create temp sequence s", "select nextval('s')", "select nextval('s')", "discard temp", "select nextval('s')"),
    ("create function pg_temp.f() returns int language sql as 'select 7'", "select pg_temp.f()", "drop function pg_temp.f"),
    ("set search_path = pg_temp", "create table mine2 (a int)", "select count(*) from mine2", "drop table mine2"),
    ("prepare p (int) as select $1 + 1", "execute p(1)", "execute p(2)", "deallocate p", "execute p(1)"),
    ("prepare p as select 1", "prepare p as select 2", "deallocate all", "prepare p as select 3", "execute p", "deallocate p"),
    ("begin; declare c cursor with hold for select generate_series(1, 5); commit", "fetch 2 from c", "fetch 2 from c",
     "close c", "fetch c"),
    ("select pg_advisory_lock(4711)", "select count(*) from pg_locks where locktype = 'advisory' and objid = 4711",
     "select pg_advisory_unlock(4711)", "select count(*) from pg_locks where locktype = 'advisory' and objid = 4711"),
    ("select pg_try_advisory_lock(4712)", "select pg_advisory_unlock_all()", "select count(*) from pg_locks where objid = 4712"),
    ("listen here", "select * from pg_listening_channels()", "unlisten here", "select * from pg_listening_channels()"),
    ("begin; listen here; rollback", "select * from pg_listening_channels()"),
    ("select setseed(0.5)", "select random() < 2", "select setseed(0.5)"),
]


@pytest.mark.parametrize("texts", PINNED, ids=lambda t: str(t[0])[:40])
@everywhere
def test_what_stays_with_its_server(target, texts):
    return steps(target, *texts)


@everywhere
def test_notifications(target):
    with target.wire() as c, target.wire() as other:
        c.query("listen news")
        other.query("notify news, 'one'")
        first = c.receive()
        c.query("unlisten news")
        return first[0], first[-2:] if isinstance(first, tuple) else first


@everywhere
def test_start_up_parameters_are_what_reset_returns_to(target):
    others = Others(target)
    outcome = []
    with target.wire(options="-c work_mem=2MB", search_path="mine") as c:
        for text in ("set work_mem = '4MB'", "show work_mem", "reset work_mem", "show work_mem", "set search_path = x",
         "reset all",
                     "show search_path", "set work_mem = '5MB'", "discard all", "show work_mem"):
            others.go()
            outcome.append([r for r in c.query(text) if r[0] != "S"])
    others.close()
    return outcome


def test_a_setting_of_one_costs_the_other_no_server(weir):
    """Settings do not pin: more clients with settings of their own than servers."""
    w = weir(pool_size=1)
    clients = [w.wire(database="e2e") for _ in range(5)]
    for i, c in enumerate(clients):
        c.query(f"set work_mem = '{i + 1}MB'; set app.who = 'c{i}'")
    for _ in range(3):
        for i, c in enumerate(clients):
            assert c.query("select current_setting('work_mem'), current_setting('app.who')")[1] == (
                "D", f"{i + 1}MB".encode(), f"c{i}".encode())
    for c in clients:
        c.close()


def test_the_server_is_free_when_the_state_is_gone(weir):
    w = weir(pool_size=1, pool_timeout="300ms")
    with w.wire(database="e2e") as a, w.wire(database="e2e") as b:
        for keep, end in (("create temp table t ()", "drop table t"), ("select pg_advisory_lock(1)",
         "select pg_advisory_unlock(1)"),
                          ("listen x", "unlisten *"), ("prepare p as select 1", "deallocate p"),
                          ("begin; declare c cursor with hold for select 1; commit", "close c")):
            a.query(keep)
            a.query(end)
            assert b.query("select 1")[1] == ("D", b"1"), keep


@everywhere(targets=("transaction",))
def test_a_reset_is_told_before_the_server_is_ready(target):
    """The parameters that are reported, too: in a transaction, behind a savepoint, and after going back to it."""
    with target.wire(application_name="start", options="-c TimeZone=Europe/Oslo -c work_mem=2MB -c my.own=mine") as c:
        return [c.query(text) for text in (
            "set application_name = 'other'; set timezone = 'UTC'", "reset application_name", "set application_name = ''",
            "reset all", "set timezone = 'UTC'; set my.own = 'x'; set work_mem = '3MB'",
            "begin; reset timezone; reset my.own; reset work_mem; savepoint a", "show work_mem", "select 1/0",
            "rollback to a", "select current_setting('my.own'), current_setting('work_mem'), current_setting('timezone')",
            "rollback", "show timezone", "discard all", "show my.own")]


@everywhere
def test_set_behind_a_reset_in_one_group_stays(target):
    """Pipelined in a transaction: the reset goes back to the start, the SET behind it counts."""
    with target.wire(options="-c work_mem=2MB") as c:
        c.query("begin")
        c.ask(parse("", "reset work_mem"), bind("", ""), execute(),
              parse("", "set work_mem = '5MB'"), bind("", ""), execute(), SYNC)
        inside = c.query("show work_mem")
        c.query("commit")
        return inside, c.query("show work_mem")

"""Limits over several pools: exact by PostgreSQL's own count, shared without starving, told with numbers."""
import signal
import threading
import time

import pytest
from throwaway import Postgres

from lib.pooler import wait_for
from lib.wire import Closed, ServerError, Wire, query

WATCH = "select count(*) from pg_stat_activity where datname in ('one', 'two', 'three')"


@pytest.fixture
def pg():
    with Postgres(settings={"max_connections": 30, "superuser_reserved_connections": 3}) as pg:
        for name in ("one", "two", "three"):
            pg.psql(f"create database {name}")
        for name in ("alice", "bob"):
            pg.psql(f"create role {name} login superuser")
        yield pg


def url(pg, name):
    return f"postgresql://127.0.0.1:{pg.port}/{name}"


def three(pg, **settings):
    return {name: {"url": url(pg, name), "pool_size": 8, "connect_backoff": "20ms", "connect_backoff_max": "200ms",
                   **settings} for name in ("one", "two", "three")}


def host(pg, **settings):
    return {f"127.0.0.1:{pg.port}": settings}


class Watch:
    """The most connections there ever were, by PostgreSQL's own count."""

    def __init__(self, pg, condition="true"):
        self.pg, self.most, self.samples, self.over = pg, 0, 0, False
        self.statement = f"{WATCH} and {condition}"
        self.thread = threading.Thread(target=self.run)

    def run(self):
        wire = None
        while not self.over:
            try:
                wire = wire or Wire(("127.0.0.1", self.pg.port))
                self.most = max(self.most, int(wire.value(self.statement)))
                self.samples += 1
            except (Closed, ServerError, OSError, AssertionError):
                wire = None
        if wire:
            wire.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()


class Clients:
    """Threads that each do transactions on a database as a user, again and again, until they are told to stop."""

    def __init__(self, w, places, again=False):
        self.w, self.again, self.over = w, again, False
        self.done = [0] * len(places)
        self.errors = []
        self.threads = [threading.Thread(target=self.run, args=(i, *place)) for i, place in enumerate(places)]
        for thread in self.threads:
            thread.start()

    def run(self, i, database, user, text="select pg_sleep(0.005)"):
        wire = None
        while not self.over:
            try:
                wire = wire or self.w.wire(database=database, user=user)
                wire.query(text)
                self.done[i] += 1
            except (Closed, ServerError, OSError, AssertionError) as error:
                wire = None
                if not self.again:
                    self.errors.append(error)
                    return
                time.sleep(0.01)
        if wire:
            wire.close()

    def all_have(self, n):
        before = list(self.done)
        wait_for(lambda: self.errors or all(now - old >= n for now, old in zip(self.done, before)), 40,
                 f"somebody starves: {before} -> {self.done}")
        assert not self.errors, self.errors

    def stop(self):
        self.over = True
        for thread in self.threads:
            thread.join()


def failure(w, **arguments):
    """(SQLSTATE, message, hint) of what a new client is told."""
    with pytest.raises(ServerError) as caught:
        w.wire(**arguments)
    return caught.value.sqlstate, caught.value.fields["M"], caught.value.fields.get("H")


def everywhere(n):
    return [(database, user) for database in ("one", "two", "three") for user in ("alice", "bob") for _ in range(n)]


def test_a_host_is_shared_exactly_and_by_all(weir, pg):
    """Six pools on two workers contend for six places: never one more, and everybody is served all the time."""
    w = weir(three(pg), sections={"hosts": host(pg, max_connections=7, reserve=1)})
    with Watch(pg) as watch:
        clients = Clients(w, everywhere(4))
        try:
            clients.all_have(5)
            clients.all_have(5)
        finally:
            clients.stop()
        assert not clients.errors
    assert 4 <= watch.most <= 6 and watch.samples > 20


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_restarts_and_recycling(weir, pg, how):
    """Servers that are replaced all the time, and PostgreSQL restarted below: never one more than there may be."""
    w = weir(three(pg, pool_recycle="300ms"), sections={"hosts": host(pg, max_connections=7)})
    with Watch(pg) as watch:
        clients = Clients(w, everywhere(3), again=True)
        try:
            clients.all_have(5)
            pg.restart(how)
            clients.all_have(5)
        finally:
            clients.stop()
    assert 1 <= watch.most <= 6


def test_a_database_and_a_user(weir, pg):
    """A server counts at every level: one database over its users, one user over all databases."""
    databases = three(pg)
    databases["one"]["max_connections"] = 2
    w = weir(databases, sections={"users": {"alice": {"max_connections": 3}}})
    with Watch(pg, "datname = 'one'") as one, Watch(pg, "usename = 'alice'") as alice, Watch(pg) as all_of_them:
        clients = Clients(w, everywhere(3))
        try:
            clients.all_have(10)
        finally:
            clients.stop()
        assert not clients.errors
    assert one.most == 2 and alice.most <= 3 and all_of_them.most > 3


def test_idle_servers_give_way(weir, pg):
    """Nobody waits for a server that others only keep."""
    w = weir(three(pg), sections={"hosts": host(pg, max_connections=4)})
    held = [w.wire(database="one", user="alice") for _ in range(3)]
    for c in held:
        c.query("begin")
    for c in held:
        c.query("commit")
    wait_for(lambda: pg.psql(f"{WATCH} and datname = 'one'") == "3", what="they are idle")
    with w.wire(database="two", user="alice") as c:
        assert c.value("select 1") == "1"
    with w.wire(database="three", user="bob") as c:
        assert c.value("select 1") == "1"
    for c in held:
        assert c.value("select 2") == "2"
        c.close()


def test_what_is_full_is_told(weir, pg):
    w = weir(three(pg, pool_timeout="300ms"), sections={"hosts": host(pg, max_connections=4)})
    held = [w.wire("session", database="one", user="alice") for _ in range(2)]
    held.append(w.wire("session", database="two", user="bob"))
    for c in held:
        c.query("select 1")
    state, message, hint = failure(w, database="three", user="bob")
    assert state == "53300"
    assert f'host "127.0.0.1:{pg.port}" is full, 3 of 3 in use (one/alice 2, two/bob 1), 1 waiting' in message
    assert "within 300 ms" in message
    assert f'max_connections (4, of which reserve keeps 1) in [hosts."127.0.0.1:{pg.port}"]' in hint
    held.pop().close()
    with w.wire(database="three", user="bob") as c:
        assert c.value("select 3") == "3"
    for c in held:
        c.close()


def test_a_database_that_is_full_is_told(weir, pg):
    databases = three(pg, pool_timeout="300ms")
    databases["one"]["max_connections"] = 1
    w = weir(databases, sections={"users": {"bob": {"max_connections": 1}}})
    with w.wire("session", database="one", user="alice") as c, w.wire("session", database="two", user="bob") as d:
        c.query("select 1")
        d.query("select 1")
        state, message, hint = failure(w, database="one", user="carol")
        assert state == "53300" and 'database "one" is full, 1 of 1 in use (one/alice 1)' in message
        assert 'max_connections (1) in [databases.one]' in hint
        state, message, hint = failure(w, database="three", user="bob")
        assert state == "53300" and 'user "bob" is full, 1 of 1 in use (two/bob 1)' in message
        assert 'max_connections (1) in [users.bob]' in hint


def test_a_lower_limit_drains(weir, pg):
    """A reload closes idle servers at once and others as they come back; nobody is dropped."""
    w = weir(three(pg), sections={"hosts": host(pg, max_connections=11)})
    held = [w.wire(database=name, user="alice") for name in ("one", "two", "three") for _ in range(3)]
    for c in held:
        c.query("begin")
    idle, busy = held[:6], held[6:]
    for c in idle:
        c.query("commit")

    def count():
        return int(pg.psql(WATCH))

    assert count() == 9
    w.sections = {"hosts": host(pg, max_connections=3)}
    w.write_config()
    w.send_signal(signal.SIGHUP)
    wait_for(lambda: count() == 3, what="the idle ones are closed")
    for c in busy:
        assert c.value("select 1") == "1"
        c.query("commit")
    wait_for(lambda: count() == 2, what="a lease has ended")
    for c in held:
        assert c.value("select 2") == "2"
    w.sections = {"hosts": host(pg, max_connections=11)}
    w.write_config()
    w.send_signal(signal.SIGHUP)
    for c in held:
        c.query("begin")
    assert count() == 9
    for c in held:
        c.close()


def test_postgres_refuses(weir, pg):
    """Others have taken what there was: clients wait for a moment, and the log says so once."""
    w = weir(three(pg), sections={"hosts": host(pg, max_connections=20)})
    with w.wire(database="one", user="alice") as first:
        first.query("select 1")
        others = []
        while True:
            try:
                others.append(Wire(("127.0.0.1", pg.port), user="alice"))
            except ServerError as error:
                assert error.sqlstate == "53300"
                break
        answers = []
        waiting = [threading.Thread(target=lambda: answers.append(w.wire(database="two", user="bob").value("select 1")))
                   for _ in range(3)]
        for thread in waiting:
            thread.start()
        w.wait_log("takes no more connections")
        for c in others[:8]:
            c.close()
        for thread in waiting:
            thread.join()
        assert answers == ["1"] * 3
        for c in others[8:]:
            c.close()
    assert len([line for line in w.log().splitlines() if "takes no more connections" in line]) == 1


def test_postgres_refuses_for_too_long(weir, pg):
    w = weir(three(pg, pool_timeout="700ms"))
    others = []
    with pytest.raises(ServerError):
        while True:
            others.append(Wire(("127.0.0.1", pg.port)))
    state, message, _ = failure(w, database="two", user="bob")
    assert state == "53300", message
    for c in others:
        c.close()


def test_promising_more_than_there_is(weir, pg):
    """Said with the arithmetic on first contact, and again when it changes; others are named."""
    w = weir(three(pg, pool_size=20), sections={"hosts": host(pg, host_interval="200ms")})
    with Wire(("127.0.0.1", pg.port), application_name="reports"), w.wire(database="one", user="alice") as c:
        c.query("select 1")
        assert "promised" not in w.log()
        w.wire(database="two", user="alice").query("select 1")
        w.wait_log(r'more is promised than PostgreSQL at 127.0.0.1:\d+ has: pgweir may open 40 = 20 for database "one" '
                   r'\(1 pool\) \+ 20 for database "two" \(1 pool\); there, max_connections 30 - '
                   r"superuser_reserved_connections 3 - reserved_connections 0 leave 27, and others use 1 of them "
                   r"\(reports 1\); set max_connections in .* to at most 26")
        w.sections = {"hosts": host(pg, host_interval="200ms", max_connections=29)}
        w.write_config()
        w.send_signal(signal.SIGHUP)
        w.wait_log(r"pgweir may open 29, the max_connections of \[hosts")


def test_thresholds(weir, pg):
    w = weir(three(pg, pool_size=5), sections={"hosts": host(pg, max_connections=11)})
    held = [w.wire("session", database=name, user="alice") for name in ("one",) * 5 + ("two",) * 4]
    for c in held:
        c.query("select 1")
    w.wait_log(rf"PostgreSQL at 127.0.0.1:{pg.port} is yellow: 6 of 11 connections are in use \(one/alice 5, two/alice 1\)")
    w.wait_log(rf"PostgreSQL at 127.0.0.1:{pg.port} is red: 9 of 11 connections are in use \(one/alice 5, two/alice 4\)")
    w.wait_log(r"the pool is above 80 %: 5 of 5 servers, 1 waiting")
    for c in held:
        c.close()


def test_cancels_fit_into_the_reserve(weir, pg):
    """As many as there are servers at a time, one after the other: all of them end."""
    w = weir(three(pg), sections={"hosts": host(pg, max_connections=6, reserve=1)})
    clients = [w.wire(database=name, user="alice") for name in ("one", "one", "two", "two", "three")]
    for c in clients:
        c.send(query("select pg_sleep(30)"))
    wait_for(lambda: pg.psql(f"{WATCH} and query = 'select pg_sleep(30)' and state = 'active'") == "5")
    cancels = [threading.Thread(target=c.cancel) for c in clients]
    for thread in cancels:
        thread.start()
    for c in clients:
        replies = c.until_ready()
        assert ("57014", ("Z", "I")) == (next(r[1] for r in replies if r[0] == "E"), replies[-1])
    for thread in cancels:
        thread.join()
    for c in clients:
        assert c.value("select 1") == "1"
        c.close()


def apart(pg, name):
    """The same PostgreSQL as another host."""
    return {"url": f"postgresql://localhost:{pg.port}/{name}"}


def busy(w, n, database, application_name, text):
    """Threads that keep a pool busy; call what is returned to end them."""
    over = threading.Event()

    def run():
        with w.wire("transaction", database=database, user="alice", application_name=application_name, timeout=60) as c:
            while not over.is_set():
                c.query(text)

    threads = [threading.Thread(target=run) for _ in range(n)]
    for thread in threads:
        thread.start()

    def end():
        over.set()
        for thread in threads:
            thread.join()
    return end


def test_a_wait_for_a_host_becomes_more_urgent(weir, pg):
    """Work in the background that holds nothing is served after background_patience, whoever else is busy."""
    w = weir(three(pg), top={"workers": 1, "background_patience": "500ms", "pool_timeout": "20s"},
             sections={"hosts": host(pg, max_connections=3), "apps": {"cron": {"priority": "background"}}})
    end = busy(w, 8, "one", "api", "select pg_sleep(0.01)")
    try:
        with w.wire("transaction", database="two", user="alice", application_name="cron", timeout=60) as c:
            assert c.value("select 1") == "1"
    finally:
        end()


@pytest.mark.parametrize("weight", [1, 10])
def test_shares_settle(weir, pg, weight):
    """Once both have their share, no server is closed for a pool that would not get its place."""
    w = weir(three(pg), top={"workers": 1, "log_level": "debug"},
             sections={"hosts": host(pg, max_connections=7),
                       "apps": {"a": {"weight": 100 * weight}, "b": {"weight": 100}}})
    ends = [busy(w, 20, "one", "a", "select pg_sleep(0.01)"), busy(w, 20, "two", "b", "select pg_sleep(0.1)")]
    try:
        wait_for(lambda: pg.psql(f"{WATCH} and state <> 'idle'") == "6")
        time.sleep(1)
        closed = w.log().count("another pool needs its place")
        time.sleep(3)
        assert w.log().count("another pool needs its place") <= closed + 3
    finally:
        for end in ends:
            end()


def test_a_server_is_not_kept_for_who_cannot_use_it(weir, pg):
    """The app of the pool's only waiter has all it may have, on another host: the server goes to others."""
    databases = three(pg)
    databases["one"]["pool_size"] = 1
    databases["two"] = apart(pg, "two")
    w = weir(databases, top={"workers": 1, "pool_timeout": "20s"},
             sections={"hosts": host(pg, max_connections=2), "apps": {"x": {"pool_size": 1}, "r": {"pool_timeout": "3s"}}})

    def wire(database, app):
        c = w.wire("transaction", database=database, user="alice", application_name=app, timeout=60)
        assert c.value("select 1") == "1"
        return c

    with wire("two", "x") as elsewhere, wire("three", "r") as r, wire("one", "x") as first, wire("one", "x") as second:
        first.query("begin")
        elsewhere.send(query("select pg_sleep(6)"))
        time.sleep(0.3)
        second.send(query("select 1"))
        time.sleep(0.3)
        r.send(query("select 7"))
        time.sleep(0.02)
        first.query("commit")
        assert "D" in [reply[0] for reply in r.until_ready()]
        elsewhere.until_ready()
        second.until_ready()


def test_an_idle_server_goes_to_who_comes_from_another_limit(weir, pg):
    """Who has waited for the user's limit waits for the host's then, and those there hear of it."""
    databases = three(pg, pool_timeout="5s")
    databases["two"], databases["three"] = apart(pg, "two"), apart(pg, "three")
    w = weir(databases, top={"workers": 1},
             sections={"hosts": {f"localhost:{pg.port}": {"max_connections": 2}}, "users": {"alice": {"max_connections": 1}}})
    with w.wire(database="three", user="bob") as idle, w.wire(database="one", user="alice") as first:
        assert idle.value("select 1") == "1"
        first.query("begin")
        answers = []
        waiting = threading.Thread(
            target=lambda: answers.append(w.wire(database="two", user="alice", timeout=60).value("select 2")))
        waiting.start()
        time.sleep(0.3)
        first.query("commit")
        waiting.join()
        assert answers == ["2"]


def test_a_place_that_is_only_kept_is_not_called_in_use(weir, pg):
    """Another pool of the user's has its place, and waits for one at its host."""
    databases = three(pg, pool_timeout="1s")
    databases["two"] = {**apart(pg, "two"), "pool_timeout": "20s"}
    databases["three"] = apart(pg, "three")
    w = weir(databases, top={"workers": 1},
             sections={"hosts": {f"localhost:{pg.port}": {"max_connections": 2}}, "users": {"alice": {"max_connections": 1}}})
    with w.wire(database="three", user="bob") as held:
        held.query("begin")
        waiting = threading.Thread(target=lambda: w.wire(database="two", user="alice", timeout=60).close())
        waiting.start()
        time.sleep(0.3)
        _, message, _ = failure(w, database="one", user="alice")
        assert ('user "alice" is full, 0 of 1 in use and 1 kept for servers that wait for a place at another limit '
                "(two/alice 1), 1 waiting") in message
        held.query("commit")
        waiting.join()

"""Servers come, go, break and are replaced; the limit is exact; clients wait and are told."""
import signal
import threading
import time

import pytest
from throwaway import Postgres

from lib.pooler import wait_for
from lib.wire import Closed, ServerError, Wire, query


@pytest.fixture
def pg():
    with Postgres(settings={"max_connections": 50}) as pg:
        pg.psql("create database e2e")
        yield pg


def at(pg, **settings):
    return {"e2e": {"url": f"postgresql://postgres@127.0.0.1:{pg.port}/e2e", "pool_size": 3, "connect_backoff": "20ms",
                    "connect_backoff_max": "200ms", **settings}}


def backends(pg, condition="true"):
    return int(pg.psql("select count(*) from pg_stat_activity where datname = 'e2e' and backend_type = 'client backend' "
                       f"and {condition}"))


def failure(w, mode="transaction", **arguments):
    """(SQLSTATE, message) of what a new client is told."""
    try:
        with w.wire(mode, database="e2e", **arguments) as c:
            c.send(query("select 1"))
            reply = c.receive()
            return reply[1], reply[2]
    except ServerError as error:
        return error.sqlstate, error.fields["M"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_restart_of_postgres(weir, pg, how):
    """Clients outside of a transaction do not notice, others get an error; afterwards everybody works."""
    w = weir(at(pg))
    idle = [w.wire(database="e2e") for _ in range(10)]
    for c in idle * 2:  # a server whose first transaction is over is not free before it is surveyed
        assert c.value("select 1") == "1"
    busy = w.wire(database="e2e")
    busy.query("begin")
    session = w.wire("session", database="e2e")
    session.query("select 1")
    pg.restart(how)
    with pytest.raises((Closed, AssertionError, BrokenPipeError)):
        assert busy.value("select 1") == "1"
    for c in idle:
        assert c.value("select 2") == "2"
        c.close()
    with w.wire("session", database="e2e") as c:
        assert c.value("select 3") == "3"


def test_down_while_clients_come(weir, pg):
    """Clients that arrive in an outage wait, and are served when PostgreSQL is back."""
    w = weir(at(pg, pool_timeout="20s"))
    with w.wire(database="e2e") as known:
        assert known.value("select 1") == "1"
        assert known.value("select 1") == "1"  # the first keeps its server until it is surveyed
        pg.stop()
        results = []

        def wait():
            try:
                results.append(known.value("select 5"))
            except Exception as error:  # noqa: BLE001
                results.append(repr(error))

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(1)
        assert results == []
        pg.start()
        thread.join(15)
        assert results == ["5"]


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_down_at_start(weir, pg, mode):
    """pgweir starts; clients get a clear answer in time; then it works by itself."""
    pg.stop()
    w = weir(at(pg, pool_timeout="1s"))
    start = time.monotonic()
    state, message = failure(w, mode)
    assert state in ("08006", "57P03"), message
    assert time.monotonic() - start < 8
    pg.start()

    def works():
        try:
            with w.wire(mode, database="e2e") as c:
                return c.value("select 1") == "1"
        except (ServerError, AssertionError, Closed):
            return False

    wait_for(works, 10)


def test_starting_up_postgres_is_waited_for(weir, pg):
    """57P03 from PostgreSQL while it starts is not passed on while there is time to wait."""
    w = weir(at(pg, pool_timeout="15s"))
    with w.wire(database="e2e") as c:
        c.query("select 1")
        c.query("select 1")  # the first keeps its server until it is surveyed
        pg.stop()
        c.send(query("select 7"))
        time.sleep(0.2)
        pg.start(wait=False)
        assert c.until_ready()[1] == ("D", b"7")
        pg.wait_ready()


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_terminated_idle_server_is_not_lent(weir, pg, mode):
    w = weir(at(pg, pool_size=1))
    for _ in range(5):
        with w.wire(mode, database="e2e") as c:
            assert c.value("select 1") == "1"
        wait_for(lambda: backends(pg, "state = 'idle'") == 1)
        pg.psql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'e2e'")
        time.sleep(0.1)
        with w.wire(mode, database="e2e") as c:
            assert c.value("select 2") == "2"


def test_server_lost_inside_a_query(weir, pg):
    """PostgreSQL's own error reaches the client; in transaction mode its next query may run on another server."""
    w = weir(at(pg))
    with w.wire(database="e2e") as c:
        c.send(query("select pg_sleep(30)"))
        wait_for(lambda: backends(pg, "state = 'active'") == 1)
        pg.psql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'e2e'")
        error = c.until("E", "Z")[-1]
        assert error[:2] in (("E", "57P01"), ("E", "57P02"), ("E", "08006")), error
    with w.wire(database="e2e") as c:
        assert c.value("select 1") == "1"
    wait_for(lambda: backends(pg) <= 3)


def test_backend_crash(weir, pg):
    w = weir(at(pg, pool_timeout="20s"))
    with w.wire(database="e2e") as victim:
        pid = victim.value("select pg_backend_pid()")
        victim.send(query("select pg_sleep(30)"))
        time.sleep(0.2)
        import os
        os.kill(int(pid), signal.SIGKILL)
        with pytest.raises((Closed, AssertionError)):
            replies = victim.until_ready()
            assert replies[0][0] != "E", replies
    with w.wire(database="e2e") as c:
        assert c.value("select 1") == "1"


def test_pool_timeout(weir, pg):
    """53300 in time, and the message says what is full."""
    w = weir(at(pg, pool_size=2, pool_timeout="400ms"))
    holders = [w.wire(database="e2e") for _ in range(2)]
    for c in holders:
        c.query("begin")
    waiters = [w.wire(database="e2e") for _ in range(5)]
    for c in waiters:
        c.send(query("select 1"))
    for c in waiters:
        first = c.receive()
        assert first[:2] == ("E", "53300"), first
        assert "2 of 2" in first[2], first
    for c in holders:
        assert c.query("commit")[-1] == ("Z", "I")
    with w.wire(database="e2e") as c:
        assert c.value("select 1") == "1"


def test_session_mode_waits_and_times_out(weir, pg):
    w = weir(at(pg, pool_size=1, pool_timeout="500ms"))
    with w.wire("session", database="e2e") as c:
        c.query("select 1")
        assert failure(w, "session")[0] == "53300"
    with w.wire("session", database="e2e") as c:
        assert c.value("select 1") == "1"


def test_waiters_are_served_in_order(weir, pg):
    w = weir(at(pg, pool_size=1))
    holder = w.wire(database="e2e")
    holder.query("begin")
    clients = [w.wire(database="e2e") for _ in range(20)]
    pg.psql("drop table if exists turn; create table turn (n serial, who int)", database="e2e")
    for i, c in enumerate(clients):
        c.send(query(f"insert into turn (who) values ({i})"))
        time.sleep(0.02)
    holder.query("commit")
    for c in clients:
        c.until_ready()
    assert pg.psql("select string_agg(who::text, ',' order by n) from turn", database="e2e") == \
        ",".join(str(i) for i in range(20))


def crowd(w, clients, transactions=10, sql="select pg_sleep(0.01)"):
    """This many clients at once; the errors that they met."""
    errors = []

    def work():
        try:
            with w.wire(database="e2e") as c:
                for _ in range(transactions):
                    replies = c.query(sql)
                    if replies[0][0] == "E":
                        errors.append(replies[0])
        except Exception as error:  # noqa: BLE001
            errors.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    return threads, errors


def test_overflow_is_opened_and_closed(weir, pg):
    w = weir(at(pg, pool_size=1, max_overflow=3, overflow_idle_timeout="300ms"))
    most = 0
    threads, errors = crowd(w, 12, 20)
    while any(thread.is_alive() for thread in threads):
        most = max(most, backends(pg))
    assert errors == []
    assert most == 4
    wait_for(lambda: backends(pg) == 1, 10)


def test_postgres_never_sees_more_than_the_limit(weir, pg):
    """PostgreSQL itself watches: a role's limit refuses what is too much with an error that a client would see."""
    pg.psql("create role limited login connection limit 3")
    w = weir({"e2e": {"url": f"postgresql://limited@127.0.0.1:{pg.port}/e2e", "pool_size": 3}})
    for _ in range(3):
        threads, errors = crowd(w, 40, 5, "select 1")
        for thread in threads:
            thread.join()
        assert errors == []
    assert "too many connections" not in w.log()


def test_recycle(weir, pg):
    w = weir(at(pg, pool_size=1, pool_recycle="500ms"))
    with w.wire(database="e2e") as c:
        pids = set()
        for _ in range(20):
            pids.add(c.value("select pg_backend_pid()"))
            time.sleep(0.1)
    assert 3 <= len(pids) <= 8, pids


def test_idle_servers_are_closed(weir, pg):
    w = weir(at(pg, server_idle_timeout="500ms"))
    threads, errors = crowd(w, 10)
    for thread in threads:
        thread.join()
    assert errors == []
    wait_for(lambda: backends(pg) == 0, 10)
    with w.wire(database="e2e") as c:
        assert c.value("select 1") == "1"


def test_slow_connects_in_parallel(weir, pg):
    """Ten servers are opened side by side: the second client does not wait for the first one's server."""
    pg.psql("alter system set post_auth_delay = 1")
    pg.restart()
    w = weir(at(pg, pool_size=10, connect_parallel=10))
    start = time.monotonic()
    threads, errors = crowd(w, 10, 1, "select pg_sleep(0.5)")
    for thread in threads:
        thread.join()
    assert errors == []
    assert time.monotonic() - start < 6, "one after the other would take 10 s"


def test_connect_timeout(weir, pg):
    """A PostgreSQL that accepts and says nothing does not hold anybody longer than pool_timeout."""
    import socket
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        port = silent.getsockname()[1]
        w = weir({"e2e": {"url": f"postgresql://postgres@127.0.0.1:{port}/e2e", "connect_timeout": "300ms",
                          "pool_timeout": "1s"}})
        start = time.monotonic()
        state, message = failure(w)
        assert state in ("08006", "57P03", "53300"), message
        assert time.monotonic() - start < 6


def test_upstream_is_full(weir, pg):
    """PostgreSQL's own 53300 is waited out when others leave in time."""
    pg.psql("create role narrow login connection limit 1")
    with Wire(("127.0.0.1", pg.port), user="narrow", database="e2e") as hog:
        hog.query("select 1")
        w = weir({"e2e": {"url": f"postgresql://narrow@127.0.0.1:{pg.port}/e2e", "pool_size": 1, "pool_timeout": "15s",
                          "connect_backoff": "20ms", "connect_backoff_max": "100ms"}})
        threads, errors = crowd(w, 2, 1, "select 1")
        time.sleep(1)
        hog.close()
        for thread in threads:
            thread.join()
        assert errors == []


def test_databases_do_not_disturb_each_other(weir, pg):
    """One database is down, another works on; pools are apart."""
    w = weir({**at(pg), "dead": {"url": "postgresql://postgres@127.0.0.1:1/x", "pool_timeout": "5s"}})
    waiting = []

    def wait_for_dead():
        try:
            with w.wire(database="dead") as c:
                c.send(query("select 1"))
                waiting.append(c.receive())
        except ServerError as error:
            waiting.append(("E", error.sqlstate))

    threads = [threading.Thread(target=wait_for_dead) for _ in range(20)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        with w.wire(database="e2e") as c:
            assert c.value("select 1") == "1"
    for thread in threads:
        thread.join()
    assert {reply[1] for reply in waiting} <= {"08006", "57P03"}, waiting

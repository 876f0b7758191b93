"""Clients that vanish at every point: the server is cleaned and reused or closed, and nothing of theirs is left."""
import os
import signal
import socket
import subprocess
import time

import pytest

from lib.pooler import wait_for
from lib.tools import BIN
from lib.wire import FLUSH, SYNC, copy_data, parse, query, run


def fin(c):
    c.sock.close()


def rst(c):
    c.reset()


def half(c):
    """Only our sending side is shut; PostgreSQL sees an end of input."""
    c.sock.shutdown(socket.SHUT_WR)


def in_transaction(c):
    c.query("begin")
    c.query("insert into gone values (1)")


def in_failed_transaction(c):
    c.query("begin")
    c.query("insert into gone values (1)")
    c.query("select 1/0")


def in_a_long_query(c):
    c.send(query("insert into gone values (1); select pg_sleep(60)"))
    time.sleep(0.2)


def in_a_long_query_of_a_transaction(c):
    c.query("begin; insert into gone values (1)")
    c.send(query("select pg_sleep(60)"))
    time.sleep(0.2)


def in_copy_in(c):
    c.send(query("copy gone from stdin"), copy_data(b"1\n"))
    c.until("G")
    c.send(copy_data(b"2\n" * 1000))


def in_copy_in_cut_in_the_middle(c):
    c.send(query("copy gone from stdin"))
    c.until("G")
    c.send(copy_data(b"2\n" * 1000)[:777])


def in_copy_out(c):
    c.send(query("insert into gone values (1); copy (select repeat('x', 1000) from generate_series(1, 300000)) to stdout"))
    c.until("H")


def in_a_result(c):
    c.send(query("begin; insert into gone values (1); select repeat('x', 1000) from generate_series(1, 300000)"))
    c.until("T")


def in_extended_without_sync(c):
    c.send(parse("", "insert into gone values (1)"), run(""), FLUSH)
    c.until("C")
    c.send(parse("", "select pg_sleep(60)"), run(""), FLUSH)


def in_a_deep_pipeline(c):
    c.send(parse("p", "insert into gone values ($1)", 23), SYNC)
    c.until_ready()
    c.send(query("begin"), *[run("p", i) + SYNC for i in range(500)], query("select pg_sleep(60)"))
    c.until_ready(10)


def in_half_a_message(c):
    c.query("begin; insert into gone values (1)")
    c.send(query("select 'cut'")[:9])


def idle(c):
    c.query("select 1")


POINTS = [in_transaction, in_failed_transaction, in_a_long_query, in_a_long_query_of_a_transaction, in_copy_in,
          in_copy_in_cut_in_the_middle, in_copy_out, in_a_result, in_extended_without_sync, in_a_deep_pipeline,
          in_half_a_message, idle]


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.__name__)
def test_vanishing(weir, postgres, mode, point):
    """A pool of one: the next client can only be served when the server was given back in order."""
    w = weir(pool_size=1, cancel_timeout="1s")
    postgres.psql("drop table if exists gone; create table gone (a int)", database="e2e")
    for way in (fin, rst, half):
        c = w.wire(mode, database="e2e")
        point(c)
        way(c)
        for next_mode in ("session", "transaction"):
            with w.wire(next_mode, database="e2e") as after:
                where = f"{way.__name__}, then {next_mode}"
                assert after.query("select count(*) from gone")[1:] == \
                    [("D", b"0"), ("C", "SELECT 1"), ("Z", "I")], where
                assert after.query("begin; rollback")[-1] == ("Z", "I"), where
        c.sock.close()
    assert postgres.psql("select pid, state, query from pg_stat_activity where datname = 'e2e' and state <> 'idle' "
                         "and pid <> pg_backend_pid() and query like '%gone%'") == ""


def test_vanishing_while_waiting(weir, postgres):
    """Whoever leaves the queue does not get the server that comes free, and its query does not run."""
    w = weir(pool_size=1)
    postgres.psql("drop table if exists waited; create table waited (a int)", database="e2e")
    with w.wire(database="e2e") as holder:
        holder.query("begin")
        for way in (fin, rst):
            gone = [w.wire(database="e2e") for _ in range(10)]
            for c in gone:
                c.send(query("insert into waited values (1)"))
            time.sleep(0.2)
            for c in gone:
                way(c)
        stays = w.wire(database="e2e")
        stays.send(query("select 'served'"))
        time.sleep(0.3)
        holder.query("commit")
        assert stays.until_ready()[1] == ("D", b"served")
    assert postgres.psql("select count(*) from waited", database="e2e") == "0"


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_killed_processes(weir, postgres, mode):
    """kill -9 of real programs: psql in a transaction, pgbench in full swing."""
    w = weir(pool_size=2)
    host, port = w.at(mode)
    postgres.psql("drop table if exists killed; create table killed (a int)", database="e2e")
    for _ in range(3):
        psql = subprocess.Popen([BIN / "psql", "-X", "-q", "-h", host, "-p", str(port), "-U", "postgres", "-d", "e2e"],
                                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        psql.stdin.write(b"begin; insert into killed values (1); select pg_sleep(60);\n")
        psql.stdin.flush()
        wait_for(lambda: postgres.psql("select count(*) from pg_stat_activity where datname = 'e2e' "
                                       "and query like 'select pg_sleep(60)%' and state = 'active'") == "1")
        psql.send_signal(signal.SIGKILL)
        psql.wait()
        with w.wire(mode, database="e2e") as a, w.wire(mode, database="e2e") as b:
            a.query("begin")
            assert b.value("select count(*) from killed") == "0"
    script = w.folder / "script.sql"
    script.write_text("begin;\ninsert into killed values (2);\nselect pg_sleep(0.005);\nrollback;\n")
    bench = subprocess.Popen([BIN / "pgbench", "-n", "-h", host, "-p", str(port), "-U", "postgres", "-f", script, "-c",
                              "2" if mode == "session" else "20", "-t", "100000", "e2e"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    time.sleep(1)
    bench.send_signal(signal.SIGKILL)
    bench.wait()
    with w.wire(mode, database="e2e") as a, w.wire(mode, database="e2e") as b:
        assert a.value("select count(*) from killed") == "0"
        assert b.query("begin; rollback")[-1] == ("Z", "I")
    wait_for(lambda: postgres.psql("select count(*) from pg_stat_activity where query like '%killed%' and "
                                   "state <> 'idle' and pid <> pg_backend_pid()") == "0")


def test_storm_of_vanishing_clients(weir, postgres):
    """Hundreds that come, start something and vanish; at the end no more servers than allowed, all idle."""
    w = weir(pool_size=3)
    before = w.descriptors()
    for i in range(300):
        c = w.wire(database="e2e") if i % 3 else w.wire(login=False)
        if i % 3 == 1:
            c.send(query("begin; select pg_sleep(0.01)"))
        elif i % 3 == 2:
            c.send(parse("x", "select 1"), run("x"))
        (rst if i % 2 else fin)(c)
    with w.wire(database="e2e") as c:
        assert c.value("select 1") == "1"
    wait_for(lambda: postgres.psql("select count(*) from pg_stat_activity where datname = 'e2e' and state <> 'idle' "
                                   "and pid <> pg_backend_pid() and backend_type = 'client backend'") == "0", 15)
    wait_for(lambda: w.descriptors() <= before + 3, 10, "descriptors are left behind")


def test_session_state_is_cleaned(weir):
    """What a session client leaves is not there for the next one."""
    w = weir(pool_size=1)
    with w.wire("session", database="e2e", application_name="first") as c:
        pid = c.value("select pg_backend_pid()")
        for sql in ("set search_path = nowhere", "create temp table leftover (a int)", "select pg_advisory_lock(42)",
                    "listen leftover", "prepare leftover as select 1", "set role pg_monitor",
                    "declare leftover cursor with hold for select 1", "set statement_timeout = '5s'"):
            assert c.query(sql)[0][0] != "E", sql
        c.ask(parse("leftover2", "select 2"), SYNC)
    with w.wire("session", database="e2e") as c:
        assert c.value("select pg_backend_pid()") == pid, "a clean server is used again"
        assert c.value("show search_path") == '"$user", public'
        assert c.value("show statement_timeout") == "0"
        assert c.value("select current_user") == "postgres"
        assert c.value("show application_name") == ""
        assert c.query("select * from leftover")[0][:2] == ("E", "42P01")
        assert c.query("execute leftover")[0][:2] == ("E", "26000")
        assert c.ask(run("leftover2"), SYNC)[0][:2] == ("E", "26000")
        assert c.query("fetch leftover")[0][:2] == ("E", "34000")
        assert c.value("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()") == "0"
        assert c.value("select count(*) from pg_listening_channels()") == "0"


def test_a_client_that_never_reads(weir):
    """It stalls itself: others are served, and pgweir's memory stays small."""
    w = weir(pool_size=2)
    before = w.rss()
    stuck = w.wire(database="e2e")
    stuck.send(query("select repeat('x', 1000000) from generate_series(1, 300)"))
    with w.wire(database="e2e") as c:
        for i in range(200):
            assert c.value(f"select {i}") == str(i)
        time.sleep(0.5)
    assert w.rss() - before < 40 << 20
    fin(stuck)
    with w.wire(database="e2e") as a, w.wire(database="e2e") as b:
        a.query("begin")
        assert b.value("select 1") == "1"


def test_a_client_that_sends_and_never_reads(weir):
    """Queries without end and no reader: bounded memory, no effect on others, and the sender is stopped by TCP."""
    w = weir(pool_size=2)
    before = w.rss()
    flood = w.wire(database="e2e", timeout=1)
    block = query("select repeat('y', 10000)") * 100
    sent = 0
    try:
        for _ in range(5000):
            flood.sock.sendall(block)
            sent += len(block)
    except TimeoutError:
        pass
    assert sent < 200 << 20
    with w.wire(database="e2e") as c:
        for i in range(100):
            assert c.value(f"select {i}") == str(i)
    assert w.rss() - before < 60 << 20
    flood.sock.close()


def test_terminate_right_behind_queries(target):
    """Terminate sent together with the last query: the query still runs, as in PostgreSQL."""
    with target.wire() as c:
        c.query("drop table if exists last_words; create table last_words (a int)")
    for i in range(20):
        with target.wire() as c:
            c.send(query(f"insert into last_words values ({i})"), b"X\0\0\0\4")
            c.rest()
    time.sleep(0.5)  # in transaction mode the last may run while its client is already told goodbye
    with target.wire() as c:
        assert c.value("select count(*) from last_words") == "20"


def test_idle_timeout_of_clients(weir):
    w = weir(top={"client_idle_timeout": "500ms"})
    with w.wire(database="e2e") as c, w.wire(database="e2e") as busy:
        c.query("select 1")
        busy.query("begin")
        replies = c.rest()
        assert [reply[:2] for reply in replies] == [("E", "57P05")]
        assert busy.value("select 1") == "1", "inside a transaction nobody is idle"


def test_max_clients(weir):
    from lib.wire import ServerError
    w = weir(top={"max_clients": 5})
    clients = [w.wire(database="e2e") for _ in range(5)]
    with pytest.raises(ServerError) as error:
        w.wire(database="e2e")
    assert error.value.sqlstate == "53300"
    for c in clients:
        assert c.value("select 1") == "1"
    clients[0].close()

    def gets_in():
        try:
            with w.wire(database="e2e") as c:
                return c.value("select 1") == "1"
        except ServerError:
            return False

    wait_for(gets_in)
    assert os.path.exists(f"/proc/{w.process.pid}")

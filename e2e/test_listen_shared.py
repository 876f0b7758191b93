"""The server that listens for all clients of a pool: how many it serves, how it ends, and who is told."""
import contextlib
import os
import random
import re
import select
import signal
import threading
import time

import pytest
from throwaway import Postgres

from lib.pooler import Pgweir, wait_for
from lib.wire import SYNC, Wire, parse, query, run

HEARD_AT_MOST = 40 << 20  # bytes that the kernel may take for a client that does not read


def backends(postgres, before=0):
    """How many there are beside so many of other tests, which only become fewer."""
    return int(postgres.psql("select count(*) from pg_stat_activity where datname = 'e2e'"
                             " and backend_type = 'client backend'")) - before


def listening_pid(weir):
    return int(re.findall(r"server (\d+) listens for the clients", weir.log())[-1])


def direct(postgres):
    return Wire(("127.0.0.1", postgres.port), database="e2e", timeout=40)


def ending(c):
    """What it is told at its end, behind any notifications."""
    while True:
        reply = c.receive()
        if reply[0] == "E":
            assert c.at_end()
            return reply


def assert_free(weir, n):
    """So many servers are to be had at once."""
    clients = [weir.wire(database="e2e") for _ in range(n)]
    for c in clients:
        assert c.query("begin")[-1] == ("Z", "T")
    for c in clients:
        c.query("commit")
        c.close()


def test_a_thousand_listeners_have_one_server(weir, postgres):
    before = backends(postgres)
    w = weir(pool_size=2, pool_timeout="20s")
    ears = [w.wire(database="e2e", timeout=40) for _ in range(1000)]
    for i, c in enumerate(ears):
        c.send(query(f"listen news; listen \"mine {i}\""))
    for c in ears:
        assert c.until_ready()[-1] == ("Z", "I")
    assert backends(postgres, before) <= 2
    with direct(postgres) as speaker, w.wire(database="e2e") as other:
        speaker.query("notify news, 'to all'")
        for c in ears:
            assert c.receive() == ("A", "news", "to all")
        other.query("notify \"mine 7\", 'to one'")
        assert ears[7].receive() == ("A", "mine 7", "to one")
        assert other.query("select 1")[1] == ("D", b"1")
        for i, c in enumerate(ears[:50]):
            assert c.query(f"notify \"mine {i}\", 'own'")[1] == ("A", f"mine {i}", "own")
    assert backends(postgres, before) <= 2
    for c in ears:
        c.close()
    # When nobody listens any more, the server is like any other.
    wait_for(lambda: postgres.psql(f"select query from pg_stat_activity where pid = {listening_pid(w)}")
             == "DISCARD ALL", 20)
    assert_free(w, 2)


def test_two_listeners_at_once_do_not_take_all_servers(weir):
    w = weir(pool_size=2, pool_timeout="2s")
    ears = [w.wire(database="e2e") for _ in range(2)]
    for c in ears:
        c.send(query("begin; listen a"))
    for c in ears:
        assert c.until_ready()[-1] == ("Z", "T")
        c.send(query("commit"))
    for c in ears:
        c.until_ready()
    with w.wire(database="e2e") as other:
        other.query("notify a, 'x'")
    for c in ears:
        assert c.receive() == ("A", "a", "x")
        c.close()


def test_a_slow_listener_is_cut_off_and_stalls_nobody(weir, postgres):
    w = weir(pool_size=2, top={"listen_queue_bytes": "512kB"})
    with w.wire(database="e2e") as slow, w.wire(database="e2e", timeout=40) as fast, direct(postgres) as speaker:
        for c in (slow, fast):
            c.query("listen a")
        sent = 0
        while "notifications and replies wait" not in w.log():
            for _ in range(50):
                speaker.query(f"notify a, '{sent:06}{'x' * 7000}'")
                assert fast.receive()[2][:6] == f"{sent:06}"
                sent += 1
            assert sent * 7000 < HEARD_AT_MOST, "it was never cut off"
        error = ending(slow)
        assert error[1] == "54000" and "limit is 524288 bytes" in error[2]
        speaker.query("notify a, 'still there'")
        assert fast.receive() == ("A", "a", "still there")


def test_a_long_transaction_is_bounded_too(weir, postgres):
    w = weir(pool_size=2, top={"listen_queue_bytes": "64kB"})
    with w.wire(database="e2e") as c, w.wire(database="e2e") as other, direct(postgres) as speaker:
        c.query("listen a")
        other.query("listen a")
        assert_free(w, 1)  # they have no server of their own any more
        c.send(query("select pg_sleep(20)"))  # no word of channels: the shared server hears for it
        wait_for(lambda: postgres.psql("select count(*) from pg_stat_activity where query like '%sleep(20)'"
                                       " and pid <> pg_backend_pid()") == "1")
        for i in range(12):
            speaker.query(f"notify a, '{i}{'x' * 7000}'")
        assert ending(c)[1] == "54000"
        assert other.receive()[2][0] == "0"


def test_when_the_listening_server_is_lost_its_clients_are_told(weir, postgres):
    w = weir(pool_size=2)
    ears = [w.wire(database="e2e") for _ in range(5)]
    for c in ears:
        c.query("listen a")
    with w.wire(database="e2e") as other:
        assert_free(w, 1)  # they have no server of their own any more
        ears[0].query("select 1")
        ears[4].send(query("select pg_sleep(1)"))
        wait_for(lambda: postgres.psql("select count(*) from pg_stat_activity where query like '%sleep(1)'"
                                       " and pid <> pg_backend_pid()") == "1")
        postgres.psql(f"select pg_terminate_backend({listening_pid(w)})")
        for c in ears:
            if c is ears[4]:  # what it had begun is carried out
                assert c.receive()[0] == "T" and c.receive()[0] == "D" and c.receive()[0] == "C"
                assert c.receive() == ("Z", "I")
            error = ending(c)
            assert error[1] == "08006" and "the server that listened for this client was lost" in error[2]
        assert_free(w, 2)
        with w.wire(database="e2e") as again:
            again.query("listen a")
            other.query("notify a, 'back'")
            assert again.receive() == ("A", "a", "back")


def test_postgres_restarts(loop):
    with Postgres() as pg:
        pg.psql("create database e2e")
        with Pgweir({"e2e": {"url": f"postgresql://postgres@127.0.0.1:{pg.port}/e2e", "pool_size": 2}},
                    top={"loop": loop}) as w:
            ears = [w.wire(database="e2e") for _ in range(3)]
            for c in ears:
                c.query("listen a")
            pg.stop()
            for c in ears:
                assert ending(c)[1] in ("08006", "57P01")
            pg.start()
            with w.wire(database="e2e") as c, w.wire(database="e2e") as other:
                c.query("listen a")
                other.query("notify a, 'back'")
                assert c.receive() == ("A", "a", "back")


def test_one_that_vanishes_leaves_nothing(weir, postgres):
    w = weir(pool_size=2)
    with w.wire(database="e2e") as stays, direct(postgres) as speaker:
        stays.query("listen a")
        for act in (lambda c: c.reset(), lambda c: c.close(), lambda c: c.close(terminate=False)):
            c = w.wire(database="e2e")
            c.query("listen a; listen b")
            act(c)
            c = w.wire(database="e2e")
            c.query("listen a; listen b")
            c.send(query("notify a, 'in between'; select pg_sleep(0.2)"))
            act(c)
        speaker.query("notify a, 'last'")
        while stays.receive() != ("A", "a", "last"):
            pass
        assert stays.query("select pg_listening_channels()")[1] == ("D", b"a")
        assert_free(w, 1)


def test_a_pool_of_one_server_keeps_it_to_the_listener(weir, postgres):
    w = weir(pool_size=1, pool_timeout="20s")
    with w.wire(database="e2e") as c, w.wire(database="e2e") as other, direct(postgres) as speaker:
        c.query("listen a")
        for i in range(3):
            speaker.query(f"notify a, '{i}'")
            assert c.receive() == ("A", "a", str(i))
            assert c.query("notify a, 'own'")[1] == ("A", "a", "own")
        other.send(query("select 1"))
        c.query("unlisten a")
        assert other.until_ready()[1] == ("D", b"1")


def test_a_pool_that_becomes_one_server_tells_its_listeners(weir, postgres):
    w = weir(pool_size=2)
    with w.wire(database="e2e") as c:
        c.query("listen a")
        wait_for(lambda: "listens for the clients" in w.log())
        w.databases["e2e"]["pool_size"] = 1
        w.databases["e2e"]["max_overflow"] = 0
        w.write_config()
        w.send_signal(signal.SIGHUP)
        assert "its pool has one server only now" in ending(c)[2]
    with w.wire(database="e2e") as c:
        assert c.query("listen a")[-1] == ("Z", "I")


def test_a_drain_ends_it(weir):
    w = weir(pool_size=2, top={"drain_timeout": "20s"})
    ears = [w.wire(database="e2e") for _ in range(3)]
    for c in ears:
        c.query("listen a")
    w.send_signal(signal.SIGTERM)
    for c in ears:
        assert ending(c)[1] == "57P01"
    assert w.end() == 0


def test_health_counts_it(weir):
    w = weir(pool_size=2)
    with w.wire(database="e2e") as c, w.wire(database="e2e") as other:
        c.query("listen a")
        wait_for(lambda: "listens for the clients" in w.log())
        assert other.query("select 1")[1] == ("D", b"1")
        status, text = w.health()
        assert status == 200, text


@pytest.mark.parametrize("known", [True, False])
def test_a_function_that_unlistens(weir, postgres, known):
    """Its text says nothing, and the listening server hears for the client."""
    made = ("create or replace function deafens() returns void language plpgsql as $$ begin unlisten a; end $$;"
            "create or replace view ears as select pg_listening_channels() as a")
    w = weir(pool_size=3, top={"survey_interval": "24h"})
    if known:
        postgres.psql(made, database="e2e")
    with w.wire(database="e2e") as c, w.wire(database="e2e") as other:
        for one in (c, other):
            one.query("listen a; listen b")
        wait_for(lambda: "listens for the clients" in w.log())
        if not known:
            other.query(made)
        for ask in (lambda: c.query("select deafens()"),
                    lambda: c.ask(parse("", "select deafens()"), run(""), SYNC)):
            assert [r for r in c.query("select * from ears order by 1") if r[0] == "D"] == [("D", b"a"), ("D", b"b")]
            assert ask()[-1] == ("Z", "I")
            assert [r for r in c.query("select * from ears") if r[0] == "D"] == [("D", b"b")]
            other.query("notify a, 'x'")
            other.query("notify b, 'y'")
            assert c.receive() == ("A", "b", "y")
            c.query("listen a")


def stopped(pid):
    """PostgreSQL's process hangs."""
    @contextlib.contextmanager
    def during():
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
    return during()


@pytest.mark.parametrize("text", ["begin; notify a", "listen b"])
def test_a_request_that_waits_for_the_listening_server_can_be_cancelled(weir, text):
    w = weir(pool_size=3)
    with w.wire(database="e2e") as c, w.wire(database="e2e") as other:
        for one in (c, other):
            one.query("listen a")
        wait_for(lambda: "listens for the clients" in w.log())
        assert_free(w, 2)  # both are handed over
        with stopped(listening_pid(w)):
            for _ in range(3):
                c.send(query(text))
                c.cancel()
                while not select.select([c.sock], [], [], 0.05)[0]:
                    c.cancel()  # the one before came too early
                assert c.until_ready()[0][:2] == ("E", "57014")
        assert c.query("notify a, 'x'")[1] == ("A", "a", "x")
        assert other.receive() == ("A", "a", "x")
        assert other.query("begin; notify a, 'y'; commit")[-2] == ("A", "a", "y")


def test_a_listening_server_that_hangs_is_not_waited_for_for_ever(weir):
    w = weir(pool_size=3, pool_timeout="1s", cancel_timeout="1s")
    with w.wire(database="e2e") as c, w.wire(database="e2e") as other:
        for one in (c, other):
            one.query("listen a")
        wait_for(lambda: "listens for the clients" in w.log())
        assert_free(w, 2)  # both are handed over
        with stopped(listening_pid(w)):
            c.send(query("begin; notify a"))
            for one in (c, other):
                error = ending(one)
                assert error[1] == "08006" and "did not answer a LISTEN within 1000 ms" in error[2], error
            with w.wire(database="e2e") as c:
                c.query("listen a")
                assert c.query("notify a, 'x'")[1] == ("A", "a", "x")


def test_the_pool_serves_others_while_many_come_and_go(weir, postgres):
    before = backends(postgres)
    w = weir(pool_size=2, pool_timeout="20s")
    stop = threading.Event()
    wrong = []

    def come_and_go(n):
        try:
            while not stop.is_set():
                with w.wire(database="e2e", timeout=30) as c:
                    c.query(f"listen c{n}")
                    reply = c.query(f"select pg_notify('c{n}', 'x')")
                    if ("A", f"c{n}", "x") not in reply:
                        wrong.append(reply)
        except Exception as e:
            wrong.append(repr(e))

    threads = [threading.Thread(target=come_and_go, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    with w.wire(database="e2e", timeout=30) as c:
        for i in range(200):
            assert c.value(f"select {i}") == str(i)
            if i % 20 == 0:
                assert backends(postgres, before) <= 2
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]


class Restless(threading.Thread):
    """Listens, and does this and that meanwhile; keeps what it has heard on the channel, in order."""

    def __init__(self, weir, number, seed):
        super().__init__()
        self.weir, self.number, self.random = weir, number, random.Random(seed)
        self.heard, self.said, self.problem = [], 0, None

    def take(self, replies):
        self.heard += [r[2] for r in replies if r[0] == "A" and r[1] == "stress"]
        if any(r[0] == "E" for r in replies):
            raise AssertionError(replies)

    def act(self, c):
        choice = self.random.randrange(10)
        if choice < 3:
            if select.select([c.sock], [], [], self.random.random() * 0.02)[0]:
                self.take([c.receive()])
        elif choice == 3:
            self.take(c.query("select 1"))
        elif choice == 4:
            for text in ("begin", "select 1", "commit"):
                self.take(c.query(text))
        elif choice == 5:
            self.said += 1
            self.take(c.query(f"notify stress, 'l{self.number}:{self.said}'"))
        elif choice == 6:
            self.take(c.query("listen more"))
        elif choice == 7:
            self.take(c.query("unlisten more"))
        elif choice == 8:
            self.take(c.query("begin; unlisten stress; rollback"))
        else:
            self.take(c.query(f"set work_mem = '{self.random.randrange(1, 9)}MB'"))

    def run(self):
        try:
            time.sleep(self.random.random() * 2)
            with self.weir.wire(database="e2e", timeout=40) as c:
                self.take(c.query("listen stress"))
                while "end" not in self.heard:
                    self.act(c)
        except Exception as e:
            self.problem = repr(e)


@pytest.mark.limit(150)
@pytest.mark.parametrize("seed", [1])
def test_every_listener_hears_a_part_without_a_gap(weir, postgres, seed):
    """PostgreSQL's queue has one order for all. What a client hears, which comes and moves between servers all the time,
    is a part of what a direct connection hears: nothing is missing, doubled or in another place."""
    w = weir(pool_size=3, pool_timeout="60s")
    reference = direct(postgres)
    reference.query("listen stress")
    ears = [Restless(w, n, seed * 1000 + n) for n in range(24)]
    for ear in ears:
        ear.start()

    def speak(n, c):
        with c:
            for i in range(200):
                c.query(f"notify stress, 's{n}:{i}'")
                time.sleep(0.005)

    speakers = [threading.Thread(target=speak, args=(n, direct(postgres) if n % 2 else
                                                     w.wire(database="e2e", timeout=60))) for n in range(4)]
    for speaker in speakers:
        speaker.start()
    for speaker in speakers:
        speaker.join()
    with direct(postgres) as last:
        last.query("notify stress, 'end'")
    for ear in ears:
        ear.join()
    order = []
    while "end" not in order:
        order.append(reference.receive()[2])
    reference.close()
    place = {payload: i for i, payload in enumerate(order)}
    for ear in ears:
        assert ear.problem is None, (ear.number, ear.problem)
        heard = ear.heard[:ear.heard.index("end") + 1]
        first = place[heard[0]]
        assert heard == order[first:first + len(heard)], ear.number
        assert len(heard) > 100 or first > len(order) - 200

"""A cancel reaches the query it was meant for, and no other."""
import random
import threading
import time

from lib.pooler import wait_for
from lib.targets import everywhere
from lib.wire import Wire, query, send_cancel


def later(seconds, function):
    timer = threading.Timer(seconds, function)
    timer.start()
    return timer


@everywhere
def test_cancel_of_a_running_query(target):
    with target.wire() as c:
        timer = later(0.3, c.cancel)
        outcome = [c.query("select pg_sleep(30)")]
        timer.join()
        # It may be used at once, and what comes next is not hit by it.
        return outcome + [c.query("select 1") for _ in range(20)]


@everywhere
def test_cancel_inside_a_transaction(target):
    with target.wire() as c:
        outcome = [c.query("begin")]
        timer = later(0.3, c.cancel)
        outcome += [c.query("select pg_sleep(30)")]
        timer.join()
        return outcome + [c.query("select 1"), c.query("rollback"), c.query("select 2")]


@everywhere
def test_the_next_query_is_not_hit(target):
    """Once the connection that carried the cancel is closed, the cancel has happened: what is sent from then on is safe."""
    outcome = []
    with target.wire() as c:
        for i in range(60):
            c.send(query("select repeat('x', 20000) union all select pg_sleep(30)::text"))
            assert c.receive()[0] == "T"  # it runs
            c.cancel()
            outcome.append((c.until_ready()[-2][:2], c.query(f"select {i}, pg_sleep(0.02)")))
    return outcome


@everywhere
def test_cancel_of_nothing(target):
    """Of an idle client, of an unknown key, of a wrong secret: silence and no effect."""
    with target.wire() as c, target.wire() as other:
        outcome = [c.query("select 1")]
        c.cancel()
        send_cancel(c.address, 123456789, b"abcd")
        other.send(query("select pg_sleep(0.5)"))
        send_cancel(c.address, other.pid, bytes(b ^ 1 for b in other.secret))
        c.cancel()
        return outcome + [other.until_ready(), c.query("select 2")]


@everywhere
def test_cancel_keys_differ(target):
    clients = [target.wire() for _ in range(10)]
    keys = {(c.pid, c.secret) for c in clients}
    for c in clients:
        c.close()
    return len(keys)


def test_cancel_of_a_query_that_waits_for_a_server(weir):
    w = weir(pool_size=1)
    with w.wire(database="e2e") as holder, w.wire(database="e2e") as waiter:
        holder.query("begin")
        waiter.send(query("select 'never run'"))
        time.sleep(0.3)
        waiter.cancel()
        replies = waiter.until_ready()
        assert [reply[:2] for reply in replies] == [("E", "57014"), ("Z", "I")], replies
        holder.query("commit")
        assert waiter.value("select 5") == "5"


def test_hundreds_of_cancels_hit_only_their_own(weir):
    """Clients that cancel at the worst moments share four servers with clients that never do: those never see 57014."""
    w = weir(pool_size=4)
    stop = threading.Event()
    failures, counts = [], {"cancelled": 0, "finished": 0, "innocent": 0, "sent": 0}

    def innocent(i):
        try:
            with w.wire(database="e2e") as c:
                while not stop.is_set():
                    got = c.query(f"select pg_sleep(0.002), {i}")
                    if [r[0] for r in got] != ["T", "D", "C", "Z"] or got[1][2] != str(i).encode():
                        failures.append(got)
                        return
                    counts["innocent"] += 1
        except Exception as error:  # noqa: BLE001
            failures.append(repr(error))

    def canceller(i):
        rng = random.Random(i)
        try:
            with w.wire(database="e2e") as c:
                for n in range(60):
                    c.send(query(f"select pg_sleep({rng.choice([0, 0.001, 0.01])}), {n}"))
                    time.sleep(rng.choice([0, 0.001, 0.003, 0.006]))
                    senders = [threading.Thread(target=c.cancel, args=(rng.random() < 0.5,))
                               for _ in range(rng.choice([1, 1, 3]))]
                    for sender in senders:
                        sender.start()
                    got = c.until_ready()
                    for sender in senders:
                        sender.join()
                    counts["sent"] += len(senders)
                    if got[-2][0] == "E" and got[-2][1] == "57014":
                        counts["cancelled"] += 1
                    elif got[0][0] == "T" and got[1][2] == str(n).encode():
                        counts["finished"] += 1
                    else:
                        failures.append(got)
        except Exception as error:  # noqa: BLE001
            failures.append(repr(error))

    innocents = [threading.Thread(target=innocent, args=(i,)) for i in range(4)]
    cancellers = [threading.Thread(target=canceller, args=(i,)) for i in range(6)]
    for thread in innocents + cancellers:
        thread.start()
    for thread in cancellers:
        thread.join(50)
    stop.set()
    for thread in innocents:
        thread.join(10)
    assert not failures, failures[:3]
    assert counts["sent"] >= 360 and counts["cancelled"] > 0 and counts["innocent"] > 50, counts


def test_a_key_of_a_gone_client_does_nothing(weir):
    w = weir(pool_size=1)
    with w.wire(database="e2e") as gone:
        gone.query("select 1")
        pid, secret = gone.pid, gone.secret
    with w.wire(database="e2e") as c:
        for _ in range(20):
            c.send(query("select pg_sleep(0.05)"))
            send_cancel(w.at("transaction"), pid, secret)
            assert c.until_ready()[0][0] == "T"


def test_cancel_through_the_other_port(weir):
    """The key says it all: any listener takes it."""
    w = weir(pool_size=2)
    with w.wire("session", database="e2e") as c:
        c.send(query("select pg_sleep(30)"))
        time.sleep(0.3)
        send_cancel(w.at("transaction"), c.pid, c.secret)
        assert c.until("E", "Z")[-1][:2] == ("E", "57014")


def test_a_thousand_wrong_cancels_leave_nothing(weir):
    w = weir()
    before = w.descriptors()
    for i in range(1000):
        send_cancel(w.at("session"), i, b"1234", wait=False)
    wait_for(lambda: w.descriptors() <= before + 3, 10, "descriptors are left behind")
    with Wire(w.at("session"), database="e2e") as c:
        assert c.value("select 1") == "1"

"""Apps: who gets the next server, how many each may have, and what those are told who get none."""
import signal
import threading

import pytest

from lib.pooler import wait_for
from lib.wire import ServerError, query


def connect(w, app, mode="transaction", **more):
    """A new name needs a server to log in: those who are to wait later connect before all are taken."""
    return w.wire(mode, database="e2e", application_name=app, **more)


def hold(w, app, mode="transaction"):
    """A client that has a server, and keeps it."""
    c = connect(w, app, mode)
    c.query("begin")
    return c


def queue_up(c, sql):
    """Returns when it waits: wait_notice is short."""
    c.send(query(sql))
    assert c.receive()[0] == "N"


def refusal(c, sql="select 1"):
    """The error of a client that gets no server."""
    c.send(query(sql))
    errors = [r for r in c.rest() if r[0] == "E"]
    assert len(errors) == 1 and errors[0][1] == "53300", errors
    return errors[0][2]


def test_an_app_never_holds_more_than_it_may_over_all_pools(weir, postgres):
    w = weir(pool_size=5, pool_timeout="300ms", sections={"apps": {"worker": {"pool_size": 1, "max_overflow": 1}}})
    postgres.psql("do $$ begin create role other superuser login; exception when duplicate_object then null; end $$")
    first = hold(w, "worker")
    with w.wire("transaction", user="other", database="e2e", application_name="worker") as second:
        second.query("begin")
        assert ("app \"worker\" within 300 ms: the app holds 2 of the 2 servers that it may hold, 1 of its clients wait "
                "here" in refusal(connect(w, "worker")))
        with connect(w, "api") as c:
            assert c.value("select 1") == "1", "others are not held up"
    w.wait_log(r"refused: no server connection for .*app \"worker\"")
    first.close()


def test_what_another_pool_gives_back_is_for_who_waits_here(weir, postgres):
    w = weir(pool_size=5, top={"wait_notice": "1ms"}, sections={"apps": {"worker": {"pool_size": 1}}})
    users = [f"app_user_{n}" for n in range(6)]
    for user in users:
        postgres.psql(f"do $$ begin create role {user} superuser login; exception when duplicate_object then null; end $$")
    clients = [w.wire("transaction", user=user, database="e2e", application_name="worker", timeout=10) for user in users]
    clients[0].query("begin")
    for n, c in enumerate(clients[1:], 1):
        queue_up(c, f"select {n}")
    clients[0].query("commit")
    for n, c in enumerate(clients[1:], 1):
        assert ("D", b"%d" % n) in c.until_ready()
    for c in clients:
        c.close()


def test_the_guaranteed_minimum_is_there_at_once(weir):
    w = weir(pool_size=3, sections={"apps": {"api": {"min": 1}}})
    api = connect(w, "api")
    workers = [hold(w, "worker") for _ in range(2)]
    late = connect(w, "worker")
    late.send(query("select 1"))
    assert api.value("select 7") == "7"
    workers[0].query("commit")
    assert ("D", b"1") in late.until_ready()
    for c in [*workers, late, api]:
        c.close()


def test_the_background_gets_what_nobody_else_wants(weir):
    w = weir(pool_size=1, top={"background_patience": "20s", "wait_notice": "1ms"},
             sections={"apps": {"cron": {"priority": "background"}}})
    apps = {app: connect(w, app) for app in ("cron", "api", "web")}
    holder = hold(w, "api")
    for c in apps.values():
        queue_up(c, "select clock_timestamp()::text")
    holder.query("commit")
    when = {app: c.until_ready()[1][1] for app, c in apps.items()}
    assert max(when, key=when.get) == "cron"
    for c in (holder, *apps.values()):
        c.close()


def test_a_flood_of_one_app_leaves_others_their_part(weir):
    """Forty clients of one app never pause; five of another get as much."""
    w = weir(pool_size=4)
    stop = threading.Event()
    done = {"flood": 0, "shop": 0}
    lock = threading.Lock()

    def work(app):
        with connect(w, app, timeout=30) as c:
            while not stop.is_set():
                c.query("select pg_sleep(0.005)")
                with lock:
                    done[app] += 1
                    if sum(done.values()) >= 1200:
                        stop.set()

    threads = [threading.Thread(target=work, args=(app,)) for app in ["flood"] * 40 + ["shop"] * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done["shop"] > sum(done.values()) / 3, done


def test_sessions_leave_servers_for_transactions(weir):
    w = weir(pool_size=3, top={"session_connections": 2, "wait_notice": "1ms", "pool_timeout": "1s"})
    sessions = [hold(w, "s", "session") for _ in range(2)]
    assert "sessions hold 2 of the 2 servers that they may hold" in refusal(connect(w, "s", "session"))
    with connect(w, "t") as c:
        assert c.value("select 1") == "1"
    late = connect(w, "s", "session", timeout=10)
    queue_up(late, "select 4")
    sessions[0].close()
    assert ("D", b"4") in late.until_ready()
    for c in (sessions[1], late):
        c.close()


def test_sessions_that_lend_their_server(weir):
    """Ten clients of the session port, one server; their settings stay their own."""
    w = weir(pool_size=1, sections={"apps": {"web": {"session_lend": True}}})
    clients = [connect(w, "web", "session") for _ in range(10)]
    for n, c in enumerate(clients):
        c.query(f"set my.number = {n}")
    for n, c in enumerate(clients):
        assert c.value("select current_setting('my.number')") == str(n)
        assert c.value("show application_name") == "web"
    for c in clients:
        c.close()


def test_clients_are_limited_at_each_level(weir):
    w = weir(sections={"apps": {"worker": {"max_clients": 2}, "*": {"max_clients": 3}}})

    def refused(app):
        with pytest.raises(ServerError) as caught:
            connect(w, app)
        assert caught.value.sqlstate == "53300"
        return caught.value.fields

    clients = [connect(w, "worker") for _ in range(2)]
    said = refused("worker")
    assert said["M"] == "sorry, too many clients already: 2 of 2 of app \"worker\""
    assert said["H"] == "The limit is max_clients in [apps.worker]."
    clients += [connect(w, "x") for _ in range(3)]
    clients.append(connect(w, "y"))
    assert refused("x")["H"] == "The limit is max_clients in [apps.\"*\"]."
    clients.pop(0).close()

    def comes_in():
        try:
            clients.append(connect(w, "worker"))
            return True
        except ServerError:
            return False

    wait_for(comes_in)
    for c in clients:
        c.close()


def test_a_queue_that_is_full_refuses_at_once(weir):
    w = weir(pool_size=1, top={"wait_notice": "1ms"}, sections={"apps": {"worker": {"max_waiting": 2}}})
    queue = [connect(w, "worker", timeout=10) for _ in range(3)]
    other = connect(w, "web", timeout=10)
    holder = hold(w, "api")
    for c in queue[:2]:
        queue_up(c, "select 1")
    assert ("2 of the app's clients wait already, and the limit is 2; 1 of 1 in use (api 1)" in refusal(queue[2]))
    queue_up(other, "select 1")
    holder.query("commit")
    for c in (other, *queue[:2]):
        assert ("D", b"1") in c.until_ready()
        c.close()
    holder.close()


def test_a_long_wait_is_told_once(weir):
    w = weir(pool_size=1, sections={"apps": {"web": {"wait_notice": "100ms"}}})
    first, second = connect(w, "web", timeout=10), connect(w, "web", timeout=10)
    holder = hold(w, "api")
    first.send(query("select 1"))
    assert first.receive() == ("N", "00000", "waiting for a server connection: position 1 of 1 of app \"web\"; "
                                             "1 of 1 in use (api 1)")
    second.send(query("select 2"))
    assert "position 2 of 2 of app" in second.receive()[2]
    holder.query("commit")
    assert [r[0] for r in first.until_ready()] == ["T", "D", "C", "Z"]
    assert [r[0] for r in second.until_ready()] == ["T", "D", "C", "Z"]
    for c in (holder, first, second):
        c.close()


def test_each_app_has_its_own_patience(weir):
    w = weir(pool_size=1, top={"wait_notice": "1ms"}, sections={"apps": {"web": {"pool_timeout": "100ms"}}})
    patient, hasty = connect(w, "worker", timeout=10), connect(w, "web")
    holder = hold(w, "api")
    queue_up(patient, "select 1")
    assert "app \"web\" within 100 ms: 1 of 1 in use (api 1), 2 waiting" in refusal(hasty)
    holder.query("commit")
    assert ("D", b"1") in patient.until_ready()
    for c in (holder, patient):
        c.close()


def test_a_mapping_is_the_app(weir):
    """The user's section says which app it is, whatever the client calls itself."""
    w = weir(pool_size=3, pool_timeout="200ms",
             sections={"users": {"postgres": {"app": "batch"}}, "apps": {"batch": {"pool_size": 1}}})
    holder, other = connect(w, "one"), connect(w, "two")
    holder.query("begin")
    assert holder.value("show application_name") == "one"
    assert "app \"batch\" within 200 ms: the app holds 1 of the 1 servers" in refusal(other)
    holder.close()


def test_a_reload_changes_limits_and_drops_nobody(weir):
    w = weir(pool_size=4, top={"wait_notice": "1ms"}, sections={"apps": {"worker": {"pool_size": 3}}})

    def reload(**worker):
        before = w.log().count("the configuration was reloaded")
        w.sections["apps"]["worker"] = worker
        w.write_config()
        w.send_signal(signal.SIGHUP)
        wait_for(lambda: w.log().count("the configuration was reloaded") > before)
        for _ in range(2):  # so that the pool's worker has read it, too
            clients[0].query("select 1")

    clients = [hold(w, "worker") for _ in range(3)]
    late = connect(w, "worker", timeout=10)
    queue_up(late, "select 4")
    reload(pool_size=4)
    assert ("D", b"4") in late.until_ready()
    reload(pool_size=1, pool_timeout="100ms")
    for c in clients[1:]:
        assert c.value("select 5") == "5"
        c.query("commit")
    assert "the app holds 1 of the 1 servers" in refusal(late)
    clients[0].query("commit")
    assert clients[1].value("select 6") == "6"
    for c in clients:
        c.close()

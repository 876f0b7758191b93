"""The process: signals, drain, reload, descriptors, ports, the command line, logs, health."""
import json
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error

import pytest
from throwaway import Postgres, free_port

from lib.pooler import BINARY, Pgweir, wait_for
from lib.wire import Closed, ServerError, Wire, open_socket, query, scram_secret, startup


def run(*arguments, timeout=20):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout, done.stderr


def codes(replies):
    return [reply[:2] for reply in replies if reply[0] == "E"]


def refused(w, mode):
    try:
        w.wire(mode, database="e2e").close()
        return False
    except (OSError, Closed):
        return True
    except ServerError as error:
        return error.sqlstate in ("57P01", "57P03")


def test_sigterm_drains(weir):
    """Transactions finish, idle clients are told 57P01 at once, nobody new gets in, and the exit is clean."""
    w = weir(top={"drain_timeout": "20s"})
    idle, busy = w.wire(database="e2e"), w.wire(database="e2e")
    session_idle, session_busy = w.wire("session", database="e2e"), w.wire("session", database="e2e")
    idle.query("select 1")
    busy.query("begin")
    session_idle.query("select 1")
    session_busy.query("begin")
    w.send_signal(signal.SIGTERM)
    for c in (idle, session_idle):
        assert codes(c.rest()) == [("E", "57P01")]
    wait_for(lambda: refused(w, "transaction") and refused(w, "session"))
    for c in (busy, session_busy):
        assert c.value("select 7") == "7"
        c.send(query("commit"))
        replies = c.rest()
        assert ("C", "COMMIT") in replies and codes(replies) == [("E", "57P01")], replies
    assert w.end(10) == 0


def test_drain_ends_at_its_limit(weir):
    w = weir(top={"drain_timeout": "700ms"})
    busy = w.wire(database="e2e")
    busy.query("begin")
    start = time.monotonic()
    w.send_signal(signal.SIGTERM)
    assert codes(busy.rest()) == [("E", "57P01")]
    assert w.end(10) == 0
    assert 0.5 < time.monotonic() - start < 5


@pytest.mark.parametrize("seconds", [0.3, 6])
def test_drain_waits_for_who_reads_late(weir, postgres, tmp_path, seconds):
    """A Unix socket takes about 200 KB: the end of this result is still pgweir's when the server is free again."""
    path = str(tmp_path / "s")
    w = weir(top={"drain_timeout": "15s", "workers": 1}, listeners=[(path, "transaction")])
    c = Wire(path, database="e2e")
    c.send(query("select repeat('x', 1000) from generate_series(1, 300)"))
    wait_for(lambda: json.loads(w.health()[1])["database"]["pool"]["checked_out"] == 0)
    w.send_signal(signal.SIGTERM)
    time.sleep(seconds)
    replies = c.rest()
    assert sum(reply[0] == "D" for reply in replies) == 300
    assert [reply[:2] for reply in replies[-3:]] == [("C", "SELECT 300"), ("Z", "I"), ("E", "57P01")]
    assert w.end(5) == 0


def test_drain_without_time_tells_everybody(weir):
    """Also those in the middle of a long result that is read late."""
    w = weir(top={"drain_timeout": "0s"}, pool_size=2)
    clients = [w.wire(mode, database="e2e") for mode in ("session", "transaction")]
    for c in clients:
        c.send(query("select repeat('x', 4000), pg_sleep(0) from generate_series(1, 3000000)"))
        c.until("D")
    w.send_signal(signal.SIGTERM)
    for c in clients:
        assert c.rest()[-1][:2] == ("E", "57P01")
    assert w.end(5) == 0


def test_drain_under_load(weir, postgres):
    """Every transaction either happens and is confirmed, or is refused: no client loses an answer."""
    w = weir(top={"drain_timeout": "10s"})
    postgres.psql("drop table if exists drained; create table drained (a int)", database="e2e")
    confirmed, odd = [], []

    def work(n):
        with w.wire(database="e2e") as c:
            i = 0
            while True:
                try:
                    c.send(query(f"insert into drained values ({n * 100000 + i})"))
                    reply = c.receive()
                except (Closed, BrokenPipeError, ConnectionResetError):
                    odd.append("closed without a word")
                    return
                if reply[0] == "E":
                    if reply[1] != "57P01":
                        odd.append(reply)
                    return
                c.until_ready()
                confirmed.append(n * 100000 + i)
                i += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    w.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(10)
    assert w.end(10) == 0
    assert odd == []
    stored = set(map(int, postgres.psql("select a from drained", database="e2e").split()))
    assert stored == set(confirmed) and len(confirmed) > 50


def test_sigint_stops_at_once(weir):
    w = weir()
    busy = w.wire(database="e2e")
    busy.query("begin")
    w.send_signal(signal.SIGINT)
    assert w.end(3) == 0
    busy.rest()


def test_second_sigterm_or_sigint_ends_a_drain(weir):
    w = weir(top={"drain_timeout": "60s"})
    busy = w.wire(database="e2e")
    busy.query("begin")
    w.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert w.running()
    w.send_signal(signal.SIGINT)
    assert w.end(3) == 0


def test_reload_of_pool_size(weir, postgres):
    w = weir(pool_size=1, pool_timeout="500ms")
    a, b = w.wire(database="e2e"), w.wire(database="e2e")
    a.query("begin")
    b.send(query("select 1"))
    assert b.receive()[:2] == ("E", "53300")
    w.databases["e2e"]["pool_size"] = 2
    w.write_config()
    w.send_signal(signal.SIGHUP)

    def second_server():
        with w.wire(database="e2e") as c:
            c.send(query("select 1"))
            return c.receive()[0] == "T"

    wait_for(second_server)
    assert a.query("commit")[-1] == ("Z", "I"), "who was there goes on"
    w.databases["e2e"]["pool_size"] = 1
    w.write_config()
    w.send_signal(signal.SIGHUP)
    wait_for(lambda: postgres.psql("select count(*) from pg_stat_activity where datname = 'e2e' and "
                                   "pid <> pg_backend_pid() and application_name = ''") is not None)
    with w.wire(database="e2e") as c:
        assert c.value("select 1") == "1"


def test_reload_of_users_and_databases(weir, postgres):
    w = weir(auth={"method": "scram-sha-256"}, users={"alice": "one"})
    before = w.wire(user="alice", database="e2e", password="one")
    w.users = {"alice": scram_secret("two"), "bob": "three"}
    w.databases["new"] = {"url": f"postgresql://postgres@127.0.0.1:{postgres.port}/e2e"}
    w.write_config()
    w.send_signal(signal.SIGHUP)

    def bob_is_in():
        try:
            with w.wire(user="bob", database="new", password="three") as c:
                return c.value("select 1") == "1"
        except ServerError:
            return False

    wait_for(bob_is_in)
    with pytest.raises(ServerError) as error:
        w.wire(user="alice", database="e2e", password="one")
    assert error.value.sqlstate == "28P01"
    with w.wire(user="alice", database="e2e", password="two") as c:
        assert c.value("select 1") == "1"
    assert before.value("select 5") == "5", "who is logged in stays"


def test_reload_that_removes_a_database(weir, postgres):
    """Its clients go when they are in no transaction; those of other databases stay; nobody new gets in."""
    url = f"postgresql://postgres@127.0.0.1:{postgres.port}/e2e"
    w = weir(databases={"stays": {"url": url}, "goes": {"url": url, "pool_size": 2}})
    stays = w.wire(database="stays")
    idle, session = w.wire(database="goes"), w.wire("session", database="goes")
    busy, waits = w.wire(database="goes"), w.wire(database="goes")
    session.query("set work_mem = '1MB'")
    busy.query("begin")
    waits.send(query("select 'not in a transaction yet'"))
    time.sleep(0.2)
    del w.databases["goes"]
    w.write_config()
    w.send_signal(signal.SIGHUP)
    for c in (idle, session, waits):
        replies = c.rest()
        assert codes(replies) == [("E", "57P01")] and "\"goes\"" in replies[-1][2], replies
    assert busy.value("select 7") == "7"
    with pytest.raises(ServerError) as error:
        w.wire(database="goes")
    assert error.value.sqlstate == "3D000"
    busy.send(query("commit"))
    replies = busy.rest()
    assert ("C", "COMMIT") in replies and codes(replies) == [("E", "57P01")], replies
    assert stays.value("select 8") == "8"


def test_reload_of_the_log_level(weir):
    w = weir(top={"log_level": "error"})
    size = len(w.log())
    w.wire(database="e2e").close()
    w.top["log_level"] = "debug"
    w.write_config()
    w.send_signal(signal.SIGHUP)

    def more():
        with w.wire(database="e2e") as c:
            c.query("select 1")
        return len(w.log()) > size

    wait_for(more)


def test_reload_of_a_broken_file_changes_nothing(weir):
    w = weir()
    good = w.config.read_text()
    w.config.write_text(good + "\npool_sise = 7\n[[[\n")
    w.send_signal(signal.SIGHUP)
    w.wait_log(r"pgweir\.toml:\d+:\d+")
    with w.wire(database="e2e") as c:
        assert c.value("select 1") == "1"
    w.config.write_text(good)
    w.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    with w.wire(database="e2e") as c:
        assert c.value("select 1") == "1"


def test_no_descriptors_left(weir):
    """Accepting pauses; those who are in work on; when some leave, the next get in."""
    w = weir(files_limit=80, pool_size=2, top={"workers": 1})
    inside = [w.wire(database="e2e") for _ in range(5)]
    for c in inside:
        c.query("select 1")
    crowd = []
    for _ in range(150):
        s = open_socket(w.at("transaction"))
        s.sendall(startup(user="postgres", database="e2e"))
        crowd.append(s)
    time.sleep(0.5)
    for i, c in enumerate(inside * 3):
        assert c.value(f"select {i}") == str(i)
    assert w.running()
    for s in crowd:
        s.close()

    def gets_in():
        try:
            with w.wire(database="e2e", timeout=2) as c:
                return c.value("select 1") == "1"
        except (ServerError, TimeoutError, Closed):
            return False

    wait_for(gets_in, 15)
    for c in inside:
        assert c.value("select 2") == "2"


def test_descriptors_are_left_for_servers(weir):
    """A crowd of clients does not keep those who are in from getting a server."""
    w = weir(files_limit=80, pool_size=4, server_idle_timeout="300ms", pool_timeout="5s",
             top={"workers": 1, "login_timeout": "50s"})
    inside = [w.wire(database="e2e") for _ in range(4)]
    inside[0].query("select 1")
    wait_for(lambda: json.loads(w.health()[1])["database"]["pool"]["size"] == 0)
    crowd = [socket.socket() for _ in range(120)]
    for s in crowd:
        s.setblocking(False)
        s.connect_ex(w.at("transaction"))
    w.wait_log("left are for servers")
    for c in inside:
        c.send(query("select pg_sleep(0.3), 5"))
    for c in inside:
        assert c.until_ready()[1] == ("D", b"", b"5")
    for s in crowd:
        s.close()

    def gets_in():
        try:
            with w.wire(database="e2e", timeout=2) as c:
                return c.value("select 1") == "1"
        except (ServerError, TimeoutError, Closed):
            return False

    wait_for(gets_in, 15)


def test_port_that_is_taken(postgres, tmp_path):
    """One line that says which, and what to pass instead."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option in ("--session", "--transaction", "--http"):
            others = [item for other in ("--session", "--transaction", "--http") if other != option
                      for item in (other, f"127.0.0.1:{free_port()}")]
            code, out, err = run("serve", f"postgresql://postgres@127.0.0.1:{postgres.port}/e2e", option,
                                 f"127.0.0.1:{port}", *others)
            assert code != 0
            lines = [line for line in (out + err).splitlines() if str(port) in line]
            assert len(lines) == 1, out + err
            assert option in lines[0], lines


def test_serve_needs_something():
    code, out, err = run("serve")
    assert code != 0 and len((out + err).strip().splitlines()) == 1, out + err
    code, out, err = run("serve", "--config", "/no/such/file.toml")
    assert code != 0 and "/no/such/file.toml" in out + err
    code, out, err = run("serve", "mysql://x")
    assert code != 0 and len((out + err).strip().splitlines()) == 1, out + err
    assert run("--version")[0] == 0
    assert run("nonsense")[0] != 0


GOOD = """
workers = 2
loop = "epoll"
pool_size = 5
[[listen]]
address = "127.0.0.1:15432"
mode = "session"
[auth]
method = "trust"
[databases.shop]
url = "postgresql://postgres:secret@127.0.0.1:5433/shop"
pool_timeout = "30s"
"""


def check(tmp_path, text):
    path = tmp_path / "pgweir.toml"
    path.write_text(text)
    code, out, err = run("check", path)
    return code, out + err


def test_check_of_a_good_file(tmp_path):
    assert check(tmp_path, GOOD)[0] == 0


@pytest.mark.parametrize("old,new,line,words", [
    ("pool_size = 5", "pool_sise = 5", 4, ["pool_sise", "pool_size"]),
    ("pool_size = 5", "pool_size = 0", 4, ["pool_size", "1"]),
    ("pool_size = 5", 'pool_size = "many"', 4, ["pool_size"]),
    ('pool_timeout = "30s"', 'pool_timeout = "30 fortnights"', 12, ["pool_timeout"]),
    ('pool_timeout = "30s"', "pool_timeot = 3", 12, ["pool_timeot", "pool_timeout"]),
    ('loop = "epoll"', 'loop = "epol"', 3, ["epol", "epoll"]),
    ('mode = "session"', 'mode = "sesion"', 7, ["sesion", "session"]),
    ('method = "trust"', 'method = "truts"', 9, ["truts", "trust"]),
    ('address = "127.0.0.1:15432"', 'address = "127.0.0.1"', 6, ["127.0.0.1:5432"]),
    ("postgresql://postgres:secret@127.0.0.1:5433/shop", "mysql://x", 11, ["url"]),
    ("[databases.shop]", "[databases.shop", 10, []),
    ("workers = 2", "workers = 2\nworkers = 3", 3, []),
    ("[databases.shop]", "[database.shop]", 10, ["database", "databases"]),
])
def test_check_of_a_wrong_file(tmp_path, old, new, line, words):
    """File, line and column, what was expected, the nearest known name; and never the password."""
    code, said = check(tmp_path, GOOD.replace(old, new))
    assert code != 0
    assert re.search(rf"pgweir\.toml:{line}:\d+", said), said
    for word in words:
        assert word in said, said
    assert "secret" not in said


def test_config_lists_every_setting():
    code, out, err = run("config")
    rows = (BINARY.resolve().parents[1] / "src/config/settings.def")
    assert code == 0
    if rows.exists():
        for name in re.findall(r"^SETTING\((\w+),", rows.read_text(), re.M):
            assert name in out, name


def test_json_log(weir):
    """Every line is an object; those about a client name it, its user, database and app."""
    w = weir(top={"log_format": "json", "log_level": "debug"})
    with w.wire(database="e2e", application_name='app "with" \n odd \x01 name') as c:
        c.query("select 1")
    with pytest.raises(ServerError):
        w.wire(user="x", database="nope")
    time.sleep(0.3)
    lines = [json.loads(line) for line in w.log().splitlines()]
    about = [line for line in lines if line.get("database") == "e2e"]
    assert about and any(line.get("user") == "postgres" for line in about), w.log()
    assert any("app" in line and "odd" in line["app"] for line in about), w.log()


@pytest.mark.parametrize("form", ["text", "json"])
def test_log_of_clients(weir, form):
    """Who logs in and leaves, from where and why; each line about a client names its address."""
    w = weir(top={"log_format": form, "workers": 3})
    polite, rude = (w.wire(mode, user="postgres", database="e2e", application_name="shop")
                    for mode in ("transaction", "session"))
    wrong = w.wire(database="e2e", application_name="broken")
    address = {c: "%s:%d" % c.sock.getsockname() for c in (polite, rude, wrong)}
    polite.query("select 1")
    polite.close()
    rude.query("select 1")
    rude.sock.close()
    wrong.send(b"z\0\0\0\4")
    wrong.rest()
    with pytest.raises(ServerError):
        w.wire(user="nobody", database="nope")
    expected = [
        (address[polite], "shop", r"logged in \(transaction mode\)"), (address[polite], "shop", "left: it said goodbye"),
        (address[rude], "shop", r"logged in \(session mode\)"), (address[rude], "shop", "left: the peer closed"),
        (address[wrong], "broken", "left: invalid frontend message type 122"),
    ]
    for client, app, what in expected:
        if form == "text":
            w.wait_log(f"info: {what}.* client={re.escape(client)} user=postgres database=e2e app={app}\n")
        else:
            w.wait_log(f'"level":"info","message":"{what}[^"]*","client":"{re.escape(client)}","user":"postgres",'
                       f'"database":"e2e","app":"{app}"')
    w.wait_log(r'login refused.*client("?)[=:]"?127\.0\.0\.1:\d+')


def test_log_of_clients_can_be_switched_off(weir):
    """Errors are logged all the same."""
    w = weir(top={"log_connections": False, "log_disconnections": False})
    with w.wire(database="e2e") as c, w.wire(database="e2e") as wrong:
        c.query("select 1")
        wrong.send(b"z\0\0\0\4")
        wrong.rest()
    w.wait_log("left: invalid frontend message type 122")
    assert "logged in" not in w.log() and w.log().count("left: ") == 1, w.log()


def test_log_cannot_be_forged(weir):
    w = weir(top={"log_level": "debug"})
    with w.wire(database="e2e", application_name="x\n2026-01-01T00:00:00Z error: forged") as c:
        c.query("select 1")
    try:
        w.wire(user="u\n2026-01-01 forged", database="d\nforged")
    except ServerError:
        pass
    time.sleep(0.3)
    assert not re.search(r"^\S* ?(error: )?forged", w.log(), re.M)


def test_health(weir):
    w = weir()
    status, text = w.health()
    assert status == 200 and json.loads(text)
    import urllib.error
    import urllib.request
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"http://127.0.0.1:{w.ports['http']}/nope", timeout=5)
    assert error.value.code == 404


def test_health_follows_postgresql(loop):
    """Down while nobody asks, down when somebody does, up again, and a single server that ends is no illness."""
    def get():
        try:
            status, text = w.health()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        return status, json.loads(text)["databases"]["*"]

    with Postgres() as pg, Pgweir({"*": {"url": f"postgresql://127.0.0.1:{pg.port}", "pool_timeout": "300ms"}},
                                  top={"loop": loop}) as w:
        status, database = get()
        assert status == 200 and "last_success_seconds" not in database
        with w.wire() as c:
            assert c.value("select 1") == "1"
        status, database = get()
        assert status == 200 and database["last_success_seconds"] < 5 and "last_failure_seconds" not in database
        pg.psql("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and "
                "pid <> pg_backend_pid()")
        time.sleep(0.2)
        assert get()[0] == 200
        time.sleep(1.1)
        pg.stop()
        wait_for(lambda: get()[0] == 503)
        assert "refused" in get()[1]["reason"]
        with pytest.raises(ServerError):
            w.wire().query("select 1")
        status, database = get()
        assert status == 503 and database["last_failure_seconds"] < 5 and "refused" in database["reason"]
        pg.start()
        wait_for(lambda: get()[0] == 200, 20)


def test_says_how_many_clients_are_possible(weir):
    w = weir(files_limit=200)
    assert re.search(r"open files.*200.*\d+ clients", w.log()), w.log()


def test_exit_leaves_no_servers(weir, postgres):
    w = weir()
    with w.wire(database="e2e") as c:
        pid = c.value("select pg_backend_pid()")
    w.send_signal(signal.SIGTERM)
    assert w.end(10) == 0
    wait_for(lambda: postgres.psql(f"select count(*) from pg_stat_activity where pid = {pid}") == "0")


def test_check_reads_the_users_too(tmp_path):
    text = GOOD.replace('method = "trust"', 'method = "scram-sha-256"\nfile = "users.txt"')
    code, said = check(tmp_path, text)
    assert code != 0 and "users.txt" in said and "No such file" in said
    (tmp_path / "users.txt").write_text('app "x"\n')
    code, said = check(tmp_path, text)
    assert code != 0 and "users.txt:1" in said
    (tmp_path / "users.txt").write_text('"app" "x"\n')
    assert check(tmp_path, text)[0] == 0

"""Where pgweir listens, and how it reaches PostgreSQL: TCP over IPv4 and IPv6, Unix sockets, names."""
import os
import socket
import subprocess
import threading
import urllib.parse

import pytest
from throwaway import Postgres, free_port

from lib.tools import BIN
from lib.wire import ServerError, Wire, query


@pytest.fixture(scope="module")
def pg6():
    with Postgres(settings={"listen_addresses": "127.0.0.1,::1"}) as pg:
        os.chmod(pg.folder, 0o755)
        yield pg


def psql(host, port, sql="select 1", database="e2e"):
    done = subprocess.run([BIN / "psql", "-XAtw", "-h", str(host), "-p", str(port), "-U", "postgres", "-d", database,
                           "-c", sql], capture_output=True, text=True, timeout=20)
    return done.stdout.strip() or done.stderr


def test_all_kinds_at_once(weir, tmp_path):
    """IPv4, IPv6, every address, and two Unix sockets, each with its own mode."""
    ports = [free_port() for _ in range(4)]
    folder = tmp_path / "s"
    folder.mkdir()
    weir(listeners=[(f"127.0.0.1:{ports[0]}", "session"), (f"[::1]:{ports[1]}", "transaction"),
                        (f"*:{ports[2]}", "transaction"), (f"{folder}/.s.PGSQL.5432", "session"),
                        (f"{folder}/.s.PGSQL.6543", "transaction"), (f"127.0.0.1:{ports[3]}", "transaction")])
    assert psql("127.0.0.1", ports[0]) == "1"
    assert psql("::1", ports[1]) == "1"
    assert psql("127.0.0.1", ports[2]) == "1"
    assert psql(folder, 5432) == "1"
    assert psql(folder, 6543) == "1"
    assert psql("127.0.0.1", ports[3]) == "1"
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", ports[1])) != 0, "a listener on ::1 must not answer on 127.0.0.1"


def test_modes_by_listener(weir, tmp_path):
    """A session client keeps its server over transactions, a transaction client does not."""
    folder = tmp_path / "s"
    folder.mkdir()
    weir(pool_size=1, listeners=[(f"{folder}/.s.PGSQL.1", "session"), (f"{folder}/.s.PGSQL.2", "transaction")],
             pool_timeout="300ms")
    with Wire(f"{folder}/.s.PGSQL.2", database="e2e") as a, Wire(f"{folder}/.s.PGSQL.2", database="e2e") as b:
        for _ in range(3):
            assert a.value("select 1") == "1" and b.value("select 2") == "2"
    with Wire(f"{folder}/.s.PGSQL.1", database="e2e") as a:
        a.query("select 1")
        with Wire(f"{folder}/.s.PGSQL.2", database="e2e") as b:
            b.send(query("select 2"))
            assert b.receive()[:2] == ("E", "53300")
    with Wire(f"{folder}/.s.PGSQL.2", database="e2e") as b:
        assert b.value("select 2") == "2"


def test_old_socket_file_is_replaced(weir, tmp_path):
    """A file that a killed pgweir left behind does not stop the next one."""
    path = f"{tmp_path}/.s.PGSQL.1"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
    w = weir(listeners=[(path, "session")])
    with Wire(path, database="e2e") as c:
        assert c.value("select 1") == "1"
    w.stop()
    assert not os.path.exists(path)


@pytest.mark.parametrize("how", ["ipv6", "name", "socket-in-host", "socket-in-query"])
def test_ways_to_postgres(weir, pg6, how):
    folder = urllib.parse.quote(str(pg6.folder), safe="")
    url = {
        "ipv6": f"postgresql://postgres@[::1]:{pg6.port}/postgres",
        "name": f"postgresql://postgres@localhost:{pg6.port}/postgres",
        "socket-in-host": f"postgresql://postgres@{folder}:{pg6.port}/postgres",
        "socket-in-query": f"postgresql://postgres@/postgres?host={folder}&port={pg6.port}",
    }[how]
    w = weir({"e2e": {"url": url}})
    for mode in ("session", "transaction"):
        with w.wire(mode, database="e2e") as c:
            assert c.value("select 1") == "1"
            c.send(query("select pg_sleep(30)"))
            timer = threading.Timer(0.3, c.cancel)
            timer.start()
            assert c.until("E", "Z")[-1][:2] == ("E", "57014")
            timer.join()


def test_name_that_does_not_exist(weir):
    w = weir({"e2e": {"url": "postgresql://postgres@no-such-host.invalid/postgres", "pool_timeout": "1s"}})
    try:
        with w.wire(database="e2e") as c:
            c.send(query("select 1"))
            code = c.receive()[1]
    except ServerError as error:
        code = error.sqlstate
    assert code in ("08006", "57P03", "08001", "53300")


def test_options_in_the_url(weir, postgres):
    """Start-up parameters for the servers."""
    w = weir({"e2e": {"url": f"postgresql://postgres@127.0.0.1:{postgres.port}/e2e"
                             "?options=-c%20statement_timeout%3D7s&application_name=from_url"}})
    with w.wire(database="e2e") as c:
        assert c.value("show statement_timeout") == "7s"


def test_serve_url_without_a_file(postgres, loop):
    """`pgweir serve URL`, the listeners overridden."""
    from lib.pooler import BINARY, die_with_parent, wait_for
    import signal
    import urllib.request
    s, t, h = free_port(), free_port(), free_port()
    process = subprocess.Popen([BINARY, "serve", f"postgresql://postgres@127.0.0.1:{postgres.port}/e2e", "--session",
                                f"127.0.0.1:{s}", "--transaction", f"127.0.0.1:{t}", "--http", f"127.0.0.1:{h}",
                                "--loop", loop], preexec_fn=die_with_parent(), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    try:
        def answers():
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{h}/health", timeout=2).status == 200
            except OSError:
                return False

        wait_for(answers)
        assert psql("127.0.0.1", s, "select current_database()") == "e2e"
        assert psql("127.0.0.1", t, "select current_database()", "postgres") == "postgres"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()

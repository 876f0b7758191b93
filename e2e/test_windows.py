"""A client's message that comes just when its server is still busy with something of pgweir's own."""
import contextlib
import socket
import threading

from lib.pooler import Pgweir, wait_for
from lib.wire import SYNC, Wire, parse, query


class Gate:
    """A way to PostgreSQL that, once armed, holds back what PostgreSQL says from the message `held` on."""

    def __init__(self, port, held):
        self.port_behind, self.held = port, held
        self.armed, self.reached, self.opened = threading.Event(), threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port_behind))
                threading.Thread(target=self.pump, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self.pump, args=(server, client, False), daemon=True).start()

    def pump(self, source, sink, asks):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if asks and self.armed.is_set() and self.held in data:
                    self.reached.set()
                if not asks and self.reached.is_set():
                    self.opened.wait(20)
                sink.sendall(data)
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


def test_settings_are_in_effect_though_statements_are_being_closed(postgres, loop):
    gate = Gate(postgres.port, b"Smine\0")  # Close of the statement
    url = f"postgresql://postgres@127.0.0.1:{gate.port}/e2e"
    with Pgweir({"e2e": {"url": url, "pool_size": 2}}, top={"loop": loop, "workers": 1}) as w:
        with w.wire(database="e2e", search_path="own") as c:
            c.ask(parse("mine", "select 1"), SYNC)
            gate.armed.set()
            assert c.query("execute mine; reset search_path")[-1] == ("Z", "I")
            assert gate.reached.wait(20)
            c.send(query("show search_path"))
            w.wire(database="e2e", search_path="own").close()  # the worker has seen what was sent before
            gate.opened.set()
            assert c.until_ready()[1] == ("D", b"own")
    gate.listener.close()


def test_a_cancelled_question_is_asked_again(weir, postgres):
    """A late cancel meets what pgweir asks the session, and then the client is idle: the server is for others."""
    w = weir(pool_size=1, pool_timeout="10s", top={"suspect": "text"})
    asking = "select pid from pg_stat_activity where query like '/* pgweir: what is in%' and wait_event_type = 'Lock'"
    with w.wire(database="e2e") as c, w.wire(database="e2e") as other, \
            Wire(("127.0.0.1", postgres.port), database="e2e") as direct:
        c.query("select 1")
        direct.query("begin; lock table pg_depend in access exclusive mode")
        assert c.query("set work_mem = '2MB'")[-1] == ("Z", "I")
        pid = wait_for(lambda: postgres.psql(asking, database="e2e"))
        postgres.psql(f"select pg_cancel_backend({pid})", database="e2e")
        wait_for(lambda: "its server stays with it: unknown" in w.log())
        direct.query("rollback")
        assert other.query("select 1")[1] == ("D", b"1")
        assert c.query("show work_mem")[1] == ("D", b"2MB")

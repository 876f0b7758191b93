"""Runs what is in examples/ as it is there: its configuration with other ports, its programs as processes."""
import asyncio
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

from throwaway import Postgres, die_with_parent, free_port

from .pooler import ROOT, Pgweir, wait_for
from .wire import Wire

EXAMPLES = ROOT / "examples"
ROLE = "app"  # no superuser: for it PostgreSQL keeps its limit


class ExamplePgweir(Pgweir):
    """pgweir with the pgweir.toml of an example; only addresses are other ones."""

    def __init__(self, example, postgres):
        self.text, self.postgres = (EXAMPLES / example / "pgweir.toml").read_text(), postgres
        super().__init__({})

    def write_config(self):
        text = self.text
        for port, own in ((5433, self.postgres.port), (5432, self.ports["session"]),
                          (6543, self.ports["transaction"]), (8080, self.ports["http"])):
            assert f"127.0.0.1:{port}" in text, f"the example's file says nothing of port {port}"
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{own}")
        self.config.write_text(text)


class Program:
    """A program of an example in its folder; its output is kept, and it ends with the test."""

    runs = [sys.executable]  # what the command is given to

    def __init__(self, example, *command, **environment):
        self.output = tempfile.NamedTemporaryFile(prefix="pgweir-example-")
        self.command = [str(part) for part in command]
        with open(self.output.name, "ab") as output:
            self.process = subprocess.Popen(
                [*self.runs, *self.command], cwd=EXAMPLES / example, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, preexec_fn=die_with_parent(signal.SIGKILL), start_new_session=True,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment})

    def said(self):
        return pathlib.Path(self.output.name).read_text(errors="replace")

    def wait(self, seconds):
        """The exit code."""
        return self.process.wait(seconds)

    def end(self, sig=signal.SIGKILL):
        """The whole group: a worker's children, too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, sig)
        self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


class Service(Program):
    """An application that uvicorn serves."""

    def __init__(self, example, app, **environment):
        self.port = free_port()
        super().__init__(example, "-m", "uvicorn", app, "--port", self.port, "--log-level", "warning", **environment)

    def wait_ready(self, seconds=30):
        def listens():
            assert self.process.poll() is None, self.said()
            with contextlib.suppress(OSError):
                return asyncio.run(request(self.port, "GET", "/openapi.json"))[0] == 200
        wait_for(listens, seconds, f"{self.command} does not listen")
        return self


class Redis(Program):
    """A broker without a file of its own."""

    runs = ["redis-server"]

    def __init__(self, example):
        self.port = free_port()
        super().__init__(example, "--bind", "127.0.0.1", "--port", self.port, "--save", "", "--appendonly", "no")
        self.url = f"redis://127.0.0.1:{self.port}/0"


async def request(port, method, path):
    """(status, JSON) of one HTTP request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        answer = await reader.read(-1)
    finally:
        writer.close()
    if not answer:
        raise ConnectionError("the service closed the connection")
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body) if b"application/json" in head else body.decode(errors="replace")


class Sampler:
    """Counts the connections of PostgreSQL all the while, by its own pg_stat_activity, on a superuser's connection,
    which is not counted. Survives restarts of PostgreSQL."""

    QUERY = f"select count(*) from pg_stat_activity where usename = '{ROLE}' and backend_type = 'client backend'"

    def __init__(self, postgres):
        self.postgres, self.most, self.samples = postgres, 0, 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stopping.is_set():
            try:
                with Wire(("127.0.0.1", self.postgres.port), database="shop", user="postgres") as admin:
                    while not self.stopping.is_set():
                        count = int(admin.value(self.QUERY))
                        self.most, self.samples = max(self.most, count), self.samples + 1
                        time.sleep(0.002)
            except Exception:  # PostgreSQL restarts: again
                time.sleep(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(10)


@contextlib.contextmanager
def limited_postgres(role, connections=100):
    """A PostgreSQL that itself refuses the connection number `role` + 1 of the role app, which owns the database shop; at
    the end it must never have had to. Superusers are not counted there."""
    with Postgres(settings={"max_connections": connections, "max_wal_senders": 0, "wal_level": "replica"}) as pg:
        pg.psql(f"create role {ROLE} login connection limit {role}; create database shop owner {ROLE}")
        yield pg
        log = pg.log.read_text(errors="replace")
        for refusal in ("remaining connection slots", "too many clients", "too many connections"):
            assert refusal not in log, log[-3000:]


def load_schema(example, postgres):
    postgres.psql((EXAMPLES / example / "schema.sql").read_text(), database="shop", user=ROLE)


def jain(values):
    """Jain's fairness index: 1 when all are equal, 1/n when one has everything."""
    values = list(values)
    squares = len(values) * sum(value * value for value in values)
    return sum(values) ** 2 / squares if squares else 1.0

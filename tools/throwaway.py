#!/usr/bin/python3
"""A throw-away PostgreSQL 15 (or what PG_BIN brings): a temporary folder, a free port (never 5432), no fsync, gone with
the one who started it.

As a command:
    tools/throwaway.py                       prints its URL, runs until SIGINT or SIGTERM
    tools/throwaway.py -- COMMAND {url} ...  runs COMMAND with its URL, ends with it (PGWEIR_TEST_URL is set as well)
As a library:
    with Postgres(settings={"max_connections": 100}) as pg: ... pg.url, pg.port, pg.psql("select 1")
"""
import argparse
import contextlib
import ctypes
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BIN = pathlib.Path(os.environ.get("PG_BIN", "/usr/lib/postgresql/15/bin"))
USER = "postgres"
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(sig=signal.SIGKILL):
    """For preexec_fn: the kernel sends `sig` when the thread that started this process ends."""
    return lambda: _libc.prctl(PR_SET_PDEATHSIG, int(sig), 0, 0, 0)


# Ports are taken from below the range that the kernel gives to outgoing connections, so that none of those can take
# one between here and its use; each of pytest's workers has its part of them, and processes of one machine start at
# different places.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_PORTS = 12000 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_FIRST_PORT = 20000 + _WORKER * _PORTS
_next_port = [_FIRST_PORT + (os.getpid() * 37) % _PORTS]


def free_port():
    while True:
        port = _next_port[0]
        _next_port[0] = _FIRST_PORT + (port + 1 - _FIRST_PORT) % _PORTS
        with contextlib.ExitStack() as held:
            try:
                for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                    s = held.enter_context(socket.socket(family))
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind((address, port))
                return port
            except OSError:
                continue


def major(programs):
    said = subprocess.run([programs / "postgres", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return int(said.split()[2].split(".")[0])


def account():
    """PostgreSQL refuses to run as root: then it runs as the user that Debian's package made for it."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(USER)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class Postgres:
    """One cluster. `start` and `stop` may be repeated; the data stays until `close`."""

    def __init__(self, settings=None, hba=None, port=None, programs=BIN):
        self.programs = programs  # initdb and postgres; psql is BIN's
        self.port = port or free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pgweir-pg-"))
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.process = None
        self.settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
            "shared_buffers": "64MB", "max_connections": 100, "max_wal_senders": 4, "wal_level": "logical",
            "autovacuum": "off", **({"jit": "off"} if major(programs) >= 11 else {}), "timezone": "UTC", "log_timezone": "UTC",
            **(settings or {}),
        }
        self.hba = hba or "local all all trust\nhost all all all trust\nhost replication all all trust\n" \
            "local replication all trust\n"
        self._account = account()
        try:
            if self._account:
                shutil.chown(self.folder, USER, USER)
            self._run("initdb", "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
                      "--no-sync")
            self.write_hba(self.hba)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _run(self, program, *arguments, timeout=60):
        done = subprocess.run([self.programs / program, *map(str, arguments)], cwd=self.folder, timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              **self._account)
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stdout}")

    def write_hba(self, text):
        (self.data / "pg_hba.conf").write_text(text)

    @property
    def url(self):
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def start(self, wait=True):
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, f"-cport={self.port}", *options], cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent(signal.SIGQUIT), **self._account)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            done = subprocess.run([BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], timeout=10)
            if done.returncode == 0:
                return
            time.sleep(0.02)
        text = self.log.read_text(errors="replace")
        self.stop(signal.SIGQUIT)
        raise RuntimeError(f"PostgreSQL did not start:\n{text[-3000:]}")

    def stop(self, how=signal.SIGINT, seconds=20):
        """SIGINT: fast shutdown, SIGQUIT: immediate, SIGTERM: smart (waits for the clients)."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                try:
                    self.process.wait(10)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
        self.process = None

    def restart(self, how=signal.SIGINT):
        self.stop(how)
        return self.start()

    def psql(self, sql, database="postgres", user=USER, timeout=60):
        """The rows as text, unaligned; raises on any error."""
        done = subprocess.run(
            [BIN / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", user,
             "-d", database, "-f", "-"], input=sql, timeout=timeout, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.rstrip("\n")

    def close(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()


def main():
    own, command = sys.argv[1:], []
    if "--" in own:
        cut = own.index("--")
        own, command = own[:cut], own[cut + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", action="append", default=[], metavar="NAME=VALUE", help="a setting of PostgreSQL")
    arguments = parser.parse_args(own)

    # Both signals end the child first, then PostgreSQL; a terminal's Ctrl-C reaches the child by itself.
    child = None
    stopping = []

    def stop(sig, _frame):
        stopping.append(sig)
        if child is not None and child.poll() is None and sig == signal.SIGTERM:
            child.send_signal(sig)
        elif child is None:
            raise SystemExit(128 + sig)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with Postgres(settings=dict(setting.split("=", 1) for setting in arguments.c)) as pg:
        if not command:
            print(pg.url, flush=True)
            while pg.process.poll() is None:
                time.sleep(0.2)
            return 1
        child = subprocess.Popen([part.replace("{url}", pg.url) for part in command],
                                 env={**os.environ, "PGWEIR_TEST_URL": pg.url},
                                 preexec_fn=die_with_parent(signal.SIGTERM))
        code = child.wait()
        return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())

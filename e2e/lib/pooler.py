"""A pgweir process: its configuration as a file, free ports, its log, and its end."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from throwaway import die_with_parent, free_port  # noqa: E402

from .wire import Wire  # noqa: E402

BINARY = pathlib.Path(os.environ.get("PGWEIR") or ROOT / "build" / "pgweir")
alive = set()  # every Pgweir that runs, for the watchdog


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else '"%s"' % str(value).replace("\\", "\\\\").replace('"', '\\"')


def config_text(top, listeners, auth, databases, sections=None):
    lines = [f"{key} = {toml(value)}" for key, value in top.items()]
    for address, mode in listeners:
        lines += ["[[listen]]", f"address = {toml(address)}", f"mode = {toml(mode)}"]
    if auth:
        lines += ["[auth]"] + [f"{key} = {toml(value)}" for key, value in auth.items()]
    for name, settings in databases.items():
        lines += [f"[databases.{toml(name)}]"] + [f"{key} = {toml(value)}" for key, value in settings.items()]
    for kind, named in (sections or {}).items():
        for name, settings in named.items():
            lines += [f"[{kind}.{toml(name)}]"] + [f"{key} = {toml(value)}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


class Pgweir:
    """`with Pgweir({"e2e": {"url": ...}}, top={"workers": 1}) as w: Wire(w.at("session"), database="e2e")`"""

    def __init__(self, databases, top=None, auth=None, users=None, listeners=None, wait=True, files_limit=None,
                 environment=None, sections=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pgweir-e2e-"))
        self.ports = {"session": free_port(), "transaction": free_port(), "http": free_port()}
        self.databases = databases
        self.listeners = listeners or [(f"127.0.0.1:{self.ports['session']}", "session"),
                                       (f"127.0.0.1:{self.ports['transaction']}", "transaction")]
        self.top = {"workers": 2, "loop": "epoll", "http": f"127.0.0.1:{self.ports['http']}", "drain_timeout": "5s",
                    **(top or {})}
        self.auth = auth or {"method": "trust"}
        self.users = users
        self.sections = sections or {}  # {"apps": {name: settings}, "users": {name: settings}}
        self.config = self.folder / "pgweir.toml"
        self.log_path = self.folder / "log"
        self.process = None
        self.files_limit = files_limit
        self.environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", **(environment or {})}
        self.write_config()
        try:
            self.start(wait)
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def write_config(self):
        auth = dict(self.auth)
        if self.users is not None:
            path = self.folder / "users.txt"
            path.write_text("".join(f'"{user}" "{secret}"\n' for user, secret in self.users.items()))
            auth["file"] = "users.txt"
        self.config.write_text(config_text(self.top, self.listeners, auth, self.databases,
                                           self.sections))

    def start(self, wait=True):
        def prepare():
            die_with_parent(signal.SIGKILL)()
            if self.files_limit:
                import resource
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.files_limit, self.files_limit))

        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([BINARY, "serve", "--config", self.config], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=prepare, env=self.environment)
        alive.add(self)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=15):
        deadline = time.monotonic() + seconds
        for address, _ in self.listeners:
            while True:
                if self.process.poll() is not None:
                    raise RuntimeError(f"pgweir ended with {self.process.returncode}:\n{self.log()[-3000:]}")
                try:
                    self._probe(address)
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"pgweir does not listen on {address}:\n{self.log()[-3000:]}") from None
                    time.sleep(0.01)

    @staticmethod
    def _probe(address):
        if address.startswith("/"):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(address)
            return
        host, port = address.rsplit(":", 1)
        host = host.strip("[]")
        socket.create_connection(("127.0.0.1" if host == "*" else host, int(port)), timeout=5).close()

    def at(self, mode):
        return "127.0.0.1", self.ports[mode]

    def wire(self, mode="transaction", **arguments):
        return Wire(self.at(mode), **arguments)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, pattern, seconds=10):
        return wait_for(lambda: re.search(pattern, self.log()), seconds, f"no '{pattern}' in pgweir's log")

    def running(self):
        return self.process is not None and self.process.poll() is None

    def health(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['http']}/health", timeout=5) as answer:
            return answer.status, answer.read().decode()

    def rss(self):
        """Resident bytes."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def send_signal(self, sig):
        self.process.send_signal(sig)

    def end(self, seconds=15):
        """Waits for its end by itself; the exit code."""
        code = self.process.wait(seconds)
        alive.discard(self)
        return code

    def stop(self, sig=signal.SIGINT):
        alive.discard(self)
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def assert_healthy(self):
        """Nothing a test did may end pgweir or trip one of its own checks."""
        log = self.log()
        assert self.running(), f"pgweir ended with {self.process.returncode}:\n{log[-3000:]}"
        for sign in ("AddressSanitizer", "ThreadSanitizer", "runtime error:", "pgweir has a bug"):
            assert sign not in log, log[-3000:]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        try:
            if error is None and self.process.poll() not in (0, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM):
                self.assert_healthy()
            elif error is not None:
                print(f"--- pgweir's log:\n{self.log()[-4000:]}")
        finally:
            self.stop()


def wait_for(condition, seconds=10, what="it did not happen in time"):
    deadline = time.monotonic() + seconds
    while True:
        got = condition()
        if got:
            return got
        assert time.monotonic() < deadline, what
        time.sleep(0.02)

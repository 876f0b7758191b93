"""The processes that are compared: pgweir, Debian's pgbouncer, Debian's haproxy. And what the kernel says they cost."""
import os
import pathlib
import pwd
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "e2e")]
from lib.pooler import config_text  # noqa: E402
from lib.wire import Wire, md5_secret  # noqa: E402
from throwaway import BIN, Postgres, die_with_parent, free_port  # noqa: E402

BINARY = pathlib.Path(os.environ.get("PGWEIR") or ROOT / "build" / "pgweir")
USER, PASSWORD = "postgres", "secret"


class Peer:
    """A proxy in front of PostgreSQL at `pg`, one thread that works, database `postgres`."""

    def __init__(self, pg, name, command, account=None):
        self.name = name
        files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=self.folder,
            preexec_fn=lambda: (die_with_parent()(), resource.setrlimit(resource.RLIMIT_NOFILE, files)), **(account or {}))
        deadline = time.monotonic() + 30
        while True:
            try:
                Wire(("127.0.0.1", self.port), password=PASSWORD).close()
                break
            except Exception:  # noqa: BLE001
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError(f"{name}: {(self.folder / 'log').read_text()[-2000:]}") from None
                time.sleep(0.05)

    @property
    def tasks(self):
        return [int(task) for task in os.listdir(f"/proc/{self.process.pid}/task")]

    def cpu(self):
        """Seconds on a CPU of all threads so far, user and system, in nanosecond steps."""
        total = 0
        for task in self.tasks:
            try:
                total += int(pathlib.Path(f"/proc/{self.process.pid}/task/{task}/schedstat").read_text().split()[0])
            except OSError:
                pass
        return total / 1e9

    def rss(self, field="VmRSS"):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", text)[1]) * 1024

    def forget_peak(self):
        """So that VmHWM is the peak from here on."""
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def strace(self):
        return Strace(self.process.pid)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Pgweir(Peer):
    def __init__(self, pg, loop="io_uring", pool_size=10, auth="trust", databases=None, max_clients=20000, top=None, apps=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pgweir-bench-"))
        self.port = free_port()
        upstream = {"url": f"postgresql://{USER}@127.0.0.1:{pg.port}/postgres", "pool_size": pool_size,
                    "pool_timeout": "10min"}
        config = self.folder / "pgweir.toml"
        (self.folder / "users.txt").write_text(f'"{USER}" "{md5_secret(USER, PASSWORD) if auth == "md5" else PASSWORD}"\n')
        config.write_text(config_text(
            {"workers": 1, "loop": loop, "http": "", "max_clients": max_clients, "log_level": "warning",
             "login_timeout": "5min", **(top or {})}, [(f"127.0.0.1:{self.port}", "transaction")],
            {"method": auth, **({"file": "users.txt"} if auth != "trust" else {})},
            {"postgres": upstream, **{name: upstream for name in databases or ()}}, {"apps": apps or {}}))
        super().__init__(pg, f"pgweir, {loop}", [BINARY, "serve", "--config", config])


class PgBouncer(Peer):
    def __init__(self, pg, pool_size=10, auth="any"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pgweir-bench-"))
        self.port = free_port()
        account = {}
        if os.geteuid() == 0:  # it refuses to run as root, like PostgreSQL
            entry = pwd.getpwnam("postgres")
            account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        users = self.folder / "users.txt"
        users.write_text(f'"{USER}" "{md5_secret(USER, PASSWORD)}"\n')
        config = self.folder / "pgbouncer.ini"
        config.write_text(f"""[databases]
postgres = host=127.0.0.1 port={pg.port} dbname=postgres user={USER} pool_size={pool_size}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
pool_mode = transaction
auth_type = {auth}
auth_file = {users}
max_client_conn = 20000
ignore_startup_parameters = extra_float_digits
query_wait_timeout = 600
client_login_timeout = 300
log_connections = 0
log_disconnections = 0
log_stats = 0
server_check_delay = 30
""")
        if account:
            for path in (self.folder, users, config):
                shutil.chown(path, "postgres", "postgres")
        super().__init__(pg, "pgbouncer", ["/usr/sbin/pgbouncer", config], account)


class HaProxy(Peer):
    def __init__(self, pg):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pgweir-bench-"))
        self.port = free_port()
        config = self.folder / "haproxy.cfg"
        config.write_text(f"""global
  maxconn 8000
  nbthread 1
defaults
  mode tcp
  timeout connect 10s
  timeout client 10m
  timeout server 10m
listen postgres
  bind 127.0.0.1:{self.port}
  server one 127.0.0.1:{pg.port}
""")
        super().__init__(pg, "haproxy", ["/usr/sbin/haproxy", "-f", config, "-db"])


class Relay(Peer):
    """bench/relay.cc: copies bytes and does nothing else."""

    def __init__(self, pg, loop):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pgweir-bench-"))
        self.port = free_port()
        binary = self.folder / "relay"
        subprocess.run(["clang++-19", "-std=c++23", "-O2", ROOT / "bench" / "relay.cc", "-o", binary, "-luring"], check=True,
                       timeout=120)
        super().__init__(pg, f"copying, {loop}", [binary, loop, str(self.port), str(pg.port)])


class Strace:
    """Counts the system calls of all threads of a process between `with` and its end."""

    def __init__(self, pid):
        self.pid, self.calls, self.by_name = pid, 0, {}

    def __enter__(self):
        self.process = subprocess.Popen(["strace", "-c", "-f", "-U", "name,calls", "-p", str(self.pid)],
                                        stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent(signal.SIGINT))
        line = ""
        while "attached" not in line:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError("strace may not attach here")
        time.sleep(0.3)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        _, text = self.process.communicate(timeout=60)
        for name, calls in re.findall(r"^(\w+)\s+(\d+)\s*$", text, re.M):
            if name != "total":
                self.by_name[name] = int(calls)
        self.calls = sum(self.by_name.values())


def start_pgbench(peer, protocol="prepared", clients=32, transactions=1000, more=(), database="postgres", options=""):
    """`pgbench -S` through the peer; `options`: PGOPTIONS."""
    return subprocess.Popen(
        [BIN / "pgbench", "-n", "-S", "-M", protocol, "-c", str(clients), "-j", "2" if clients > 1 else "1", "-t",
         str(transactions), "-h", "127.0.0.1", "-p", str(peer.port), "-U", USER, *more, database],
        env={**os.environ, "PGPASSWORD": PASSWORD, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable", "PGOPTIONS": options},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent())


def end_pgbench(peer, process, timeout=600):
    """How many transactions it has done."""
    try:
        out, errors = process.communicate(timeout=timeout)
    finally:
        process.kill()
    count = re.search(r"transactions actually processed: (\d+)/(\d+)", out)
    if process.returncode or not count or count[1] != count[2]:
        raise RuntimeError(f"pgbench through {peer.name} failed:\n{out}{errors}"[:3000])
    return int(count[1])


def pgbench(peer, *arguments, **more):
    """Runs `pgbench -S` through the peer; how many transactions were done."""
    return end_pgbench(peer, start_pgbench(peer, *arguments, **more))


def prepare(pg):
    subprocess.run([BIN / "pgbench", "-i", "-s", "1", "-q", "-h", "127.0.0.1", "-p", str(pg.port), "-U", USER,
                    "postgres"], check=True, capture_output=True, timeout=120)

"""Where a case runs: directly on PostgreSQL, and on both ports with both loops. `@everywhere` compares the outcomes."""
import contextlib
import ctypes
import functools
import inspect
import os

import pytest

from .pooler import BINARY, Pgweir, wait_for
from .wire import Wire

SMALL = 3  # servers in the pool that the transaction port's cases share
DATABASE = "e2e"


def io_uring_works():
    """Containers often forbid it; then there is nothing to generate for it."""
    params = (ctypes.c_char * 120)()
    fd = ctypes.CDLL(None, use_errno=True).syscall(425, 4, params)  # io_uring_setup
    if fd < 0:
        return False
    os.close(fd)
    return True


IO_URING = io_uring_works()
LOOPS = ["epoll", "io_uring"] if IO_URING else ["epoll"]
NAMES = [f"{mode}-{loop}" for loop in LOOPS for mode in ("session", "transaction")]
if os.environ.get("E2E_TARGETS"):  # a narrower choice, while developing
    NAMES = os.environ["E2E_TARGETS"].split(",")


class Target:
    """host, port, database as a driver wants them. In session mode a server per client is needed, so those cases get a
    wide pool of their own; the transaction port's cases have SMALL servers."""

    def __init__(self, name, host, port, database, weir=None):
        self.name, self.host, self.port, self.database, self.weir = name, host, port, database, weir
        self.mode = name.split("-")[0]
        self.user = "postgres"
        self.password = "postgres"

    @property
    def url(self):
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"

    @property
    def dsn(self):
        return f"host={self.host} port={self.port} dbname={self.database} user={self.user} password={self.password}"

    @property
    def keywords(self):
        return {"host": self.host, "port": self.port, "database": self.database, "user": self.user,
                "password": self.password}

    @property
    def environment(self):
        return {**os.environ, "PGHOST": self.host, "PGPORT": str(self.port), "PGDATABASE": self.database,
                "PGUSER": self.user, "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "10"}

    def wire(self, **arguments):
        return Wire((self.host, self.port), user=self.user, database=self.database, **arguments)

    def __repr__(self):
        return self.name


class World:
    """One PostgreSQL, and one pgweir per loop in front of it; made on demand, kept for the whole run."""

    def __init__(self, postgres):
        self.postgres = postgres
        self.weirs = {}
        self.direct = Target("direct", "127.0.0.1", postgres.port, DATABASE)
        self.outcomes = {}
        self.admin = Wire(("127.0.0.1", postgres.port), database=DATABASE)

    def weir(self, loop):
        weir = self.weirs.get(loop)
        if weir is None or not weir.running():
            base = f"postgresql://postgres@127.0.0.1:{self.postgres.port}/"
            weir = self.weirs[loop] = Pgweir(
                {DATABASE: {"url": base + DATABASE, "pool_size": SMALL},
                 "wide": {"url": base + DATABASE, "pool_size": 60},
                 "*": {"url": base, "pool_size": SMALL}},
                top={"loop": loop})
        return weir

    def target(self, name):
        if name == "direct":
            return self.direct
        mode, loop = name.split("-")
        weir = self.weir(loop)
        return Target(name, *weir.at(mode), DATABASE if mode == "transaction" else "wide", weir)

    def settle(self, target):
        """After a case: nothing held, nothing above the limit."""
        weir = target.weir
        if weir is None:
            return
        weir.assert_healthy()
        wait_for(lambda: self.admin.value(
            "select count(*) from pg_stat_activity where datname = 'e2e' and pid <> pg_backend_pid()"
            " and backend_type = 'client backend' and state <> 'idle'") == "0", 10,
            "a server was left in a transaction or running")

    def close(self):
        with contextlib.suppress(Exception):
            self.admin.close()
        for weir in self.weirs.values():
            weir.stop()


def everywhere(case=None, *, targets=None):
    """Makes a test of `case(target, ...)`: it runs on every target, and what it returns must be what it returns when it
    runs on PostgreSQL directly. More arguments are fixtures."""
    if case is None:
        return functools.partial(everywhere, targets=targets)
    names = [name for name in NAMES if targets is None or name.split("-")[0] in targets]

    def test(request, world, target_name, **fixtures):
        target = world.target(target_name)
        assert BINARY.exists(), f"there is no {BINARY}: run scripts/build"
        # A parametrised case has an outcome per parameter.
        key = request.node.nodeid.replace(target_name, "*")
        if key not in world.outcomes:
            world.outcomes[key] = case(world.direct, **fixtures)
        expected = world.outcomes[key]
        got = case(target, **fixtures)
        assert got == expected
        world.settle(target)

    names_of_fixtures = list(inspect.signature(case).parameters)[1:]
    parameters = ["request", "world", "target_name", *names_of_fixtures]
    test.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in parameters])
    test.__name__ = case.__name__
    test.__doc__ = case.__doc__
    test.__module__ = case.__module__
    test = pytest.mark.parametrize("target_name", names)(test)
    for mark in getattr(case, "pytestmark", []):
        test = getattr(pytest.mark, mark.name)(*mark.args, **mark.kwargs)(test)
    return test

"""One PostgreSQL and one World for the whole run, and a hard limit on the time of every test."""
import faulthandler
import os
import pathlib
import resource
import signal
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
pytest.register_assert_rewrite("lib")
from lib import pooler, targets  # noqa: E402
from throwaway import Postgres  # noqa: E402

LIMIT = int(os.environ.get("E2E_LIMIT", "60"))  # seconds for one test


def pytest_report_header():
    loops = ", ".join(targets.LOOPS)
    why = "" if targets.IO_URING else " (the kernel refuses io_uring here: its cases are not generated)"
    return f"pgweir: {pooler.BINARY}; loops: {loops}{why}; limit per test: {LIMIT} s"


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): a longer limit than the usual for one test")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """First an exception in the test; if it sits in a driver's C code, the end of every pgweir, which ends the driver's
    wait; if even that does not help, the end of the run with a trace of all threads."""
    mark = item.get_closest_marker("limit")
    limit = mark.args[0] if mark else LIMIT

    item.was_too_long = False

    def too_long(_signal, _frame):
        item.was_too_long = True
        raise TimeoutError(f"the test took longer than {limit} s")

    def end_all():
        for weir in list(pooler.alive):
            weir.process.kill()

    signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, limit)
    watchdog = threading.Timer(limit + 5, end_all)
    watchdog.daemon = True
    watchdog.start()
    faulthandler.dump_traceback_later(limit + 60, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        watchdog.cancel()
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def postgres():
    """The one PostgreSQL that nobody stops."""
    with Postgres(settings={"max_connections": 400, "superuser_reserved_connections": 3}) as pg:
        pg.psql("create database e2e")
        yield pg


@pytest.fixture(scope="session")
def world(postgres):
    world = targets.World(postgres)
    yield world
    world.close()


@pytest.fixture(params=targets.NAMES)
def target(request, world):
    """For what is not compared with PostgreSQL: each port with each loop."""
    target = world.target(request.param)
    yield target
    world.settle(target)


@pytest.fixture(params=targets.LOOPS)
def loop(request):
    return request.param


@pytest.fixture
def weir(postgres, loop):
    """Makes a pgweir of the test's own: weir(pool_size=1, top={...}, ...) with database e2e."""
    made = []

    def make(databases=None, top=None, **arguments):
        settings = {key: arguments.pop(key) for key in
                    ("pool_size", "max_overflow", "pool_timeout", "pool_recycle", "server_idle_timeout",
                     "overflow_idle_timeout", "connect_timeout", "connect_backoff", "connect_backoff_max",
                     "connect_parallel", "cancel_timeout") if key in arguments}
        if databases is None:
            databases = {"e2e": {"url": f"postgresql://postgres@127.0.0.1:{postgres.port}/e2e", **settings}}
        w = pooler.Pgweir(databases, top={"loop": loop, **(top or {})}, **arguments)
        made.append(w)
        return w

    yield make
    for w in made:
        healthy = w.process.poll() in (None, 0, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM)
        log = w.log() if w.log_path.exists() else ""
        if w.running():
            w.assert_healthy()
        w.stop()
        # What a failed test left running must not hold up the next one.
        postgres.psql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'e2e' and "
                      "state in ('active', 'idle in transaction', 'idle in transaction (aborted)') and "
                      "backend_type = 'client backend' and pid <> pg_backend_pid()")
        assert healthy, f"pgweir ended with {w.process.returncode}:\n{log[-3000:]}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows what the pgweirs of a failed test had to say."""
    report = (yield).get_result()
    if report.when == "call" and report.passed and item.was_too_long:
        # The signal came when the test had failed already and pytest was at work: both exceptions were lost.
        report.outcome, report.longrepr = "failed", "the test took too long"
    if report.when == "call" and report.failed:
        for weir in list(pooler.alive):
            if weir.running() and weir.log_path.exists():
                report.sections.append((f"log of pgweir {weir.ports}", weir.log()[-3000:]))

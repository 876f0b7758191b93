"""The examples in which applications share what a host gives: guaranteed servers, caps, and who is named."""
import asyncio
import contextlib
import statistics
import subprocess

import pytest

from lib.examples import (ExamplePgweir, Program, Redis, Sampler, Service, jain, limited_postgres,
                          load_schema, request)
from lib.pooler import BINARY, wait_for
from lib.wire import Wire

URL = "postgresql+{driver}://app@127.0.0.1:{port}/shop"


def test_check_takes_what_plan_prints(tmp_path):
    """The seven applications and the workers, planned instead of written by hand."""
    apps = ["api:mode=session,pool=2,overflow=3", "worker:workers=4,pool=5,overflow=10,priority=background", "odd \"name\""]
    command = [BINARY, "plan", "--toml", "--host", "db.example", "--limit", "60"]
    for app in apps:
        command += ["--app", app]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    file = tmp_path / "pgweir.toml"
    file.write_text(text)
    done = subprocess.run([BINARY, "check", file], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == f"{file}: OK\n", done.stdout + done.stderr


@pytest.mark.limit(180)
def test_api_beside_celery_workers():
    """A burst of uploads: none is lost, nobody gets an error, and the API does not queue behind the workers. How long it
    waits is counted in parts that workers begin meanwhile: behind all of their connections it would be dozens."""
    uploads, servers = 200, 15

    async def burst(api):
        free = asyncio.Semaphore(30)

        async def one(n):
            async with free:
                status, answer = await request(api.port, "POST", f"/uploads/film{n}")
                assert status == 202, answer

        await asyncio.gather(*[one(n) for n in range(uploads)])

    async def look(api, admin):
        """Parts that workers began between a question and its answer, asked while all workers have their hands full."""
        seen = []
        while admin.value("select count(*) from uploads") != str(uploads) or \
                int(admin.value("select count(*) from uploads where not done")) > 60:
            if int(admin.value("select count(*) from uploads where not done")) <= 60:
                await asyncio.sleep(0.01)
                continue
            before = int(admin.value("select last_value from parts_id_seq"))
            status, answer = await request(api.port, "GET", "/uploads/1")
            assert status == 200, answer
            seen.append(answer["parts"] - before)
        return seen

    async def both(api, admin):
        return (await asyncio.gather(look(api, admin), burst(api)))[0]

    with limited_postgres(servers) as pg, contextlib.ExitStack() as stack:
        load_schema("celery", pg)
        weir = stack.enter_context(ExamplePgweir("celery", pg))
        sampler = stack.enter_context(Sampler(pg))
        broker = Redis("celery")
        stack.callback(broker.end)
        environment = {"BROKER_URL": broker.url,
                       "DATABASE_URL": URL.format(driver="asyncpg", port=weir.ports["session"]),
                       "WORKER_DATABASE_URL": URL.format(driver="psycopg2", port=weir.ports["transaction"])}
        workers = [Program("celery", "-m", "celery", "-A", "tasks", "worker", "-l", "info", "-P", "threads", "-c", 15,
                           "-n", f"w{i}@x", **environment) for i in range(4)]
        api = Service("celery", "api:app", **environment)
        for program in (*workers, api):
            stack.callback(program.end)
        api.wait_ready()
        wait_for(lambda: all("x ready" in worker.said() for worker in workers), 60)
        admin = stack.enter_context(Wire(("127.0.0.1", pg.port), database="shop", user="postgres"))
        overtaken = asyncio.run(both(api, admin))
        wait_for(lambda: admin.value("select count(*) from uploads where not done") == "0", 60)
        assert pg.psql("select count(distinct (upload, part)), count(*) from parts", database="shop") == \
            f"{4 * uploads}|{4 * uploads}"
        assert admin.value("select count(*) from uploads") == str(uploads)
        for program in (*workers, api):
            assert "Traceback" not in program.said(), program.said()[-3000:]
        assert len(overtaken) >= 10 and statistics.median(overtaken) < 10, overtaken
        assert sampler.most <= servers, sampler.most


@pytest.mark.limit(180)
def test_seven_apps():
    """One leaks transactions, one floods: the five others have equal shares, and the log names the two."""
    good = ["billing", "mail", "reports", "search", "web"]
    with limited_postgres(60) as pg, contextlib.ExitStack() as stack:
        load_schema("seven_apps", pg)
        weir = stack.enter_context(ExamplePgweir("seven_apps", pg))
        sampler = stack.enter_context(Sampler(pg))
        address = URL.format(driver="psycopg2", port=weir.ports["transaction"])
        programs = {name: Program("seven_apps", "app.py", name, *kind, DATABASE_URL=address)
                    for name, kind in [*((name, []) for name in good), ("leaky", ["leaks"]), ("flood", ["floods"])]}
        for program in programs.values():
            stack.callback(program.end)

        def done():
            rows = pg.psql("select app, count(*) from work group by app", database="shop").splitlines()
            return {app: int(count) for app, count in (row.split("|") for row in rows)}

        def increase(since, least):
            now = {app: count - since.get(app, 0) for app, count in done().items()}
            return all(now.get(app, 0) >= least for app in good) and now

        wait_for(lambda: increase({}, 50), 60)
        holds = "select count(*) from pg_stat_activity where application_name = 'leaky' and state = 'idle in transaction'"
        wait_for(lambda: int(pg.psql(holds)) > 0, 30)
        since = done()
        shares = wait_for(lambda: increase(since, 300), 90)
        assert jain(shares[app] for app in good) >= 0.95, shares
        assert int(pg.psql(holds)) <= 5
        for culprit in ("leaky", "flood"):
            weir.wait_log(f"app={culprit}")
        assert sampler.most <= 60, sampler.most
        for name in good:
            assert programs[name].said() == "", programs[name].said()[-2000:]

"""The programs of examples/ under load, each with its own configuration and drivers at their default settings. PostgreSQL
itself keeps the limit, so that one connection too many is an error, however short it is."""
import asyncio
import contextlib
import json
import signal

import pytest

from lib.examples import (ExamplePgweir, Program, Sampler, Service, jain, limited_postgres, load_schema,
                          request)
from lib.pooler import wait_for


@contextlib.contextmanager
def ended(*programs):
    try:
        yield programs
    finally:
        for program in programs:
            program.end()


def url(weir, mode, driver="asyncpg"):
    return f"postgresql+{driver}://app@127.0.0.1:{weir.ports[mode]}/shop"


def test_jain():
    assert jain([5, 5, 5]) == 1 and jain([1, 0, 0, 0]) == 0.25 and jain([2, 1]) == 0.9


@pytest.mark.limit(120)
@pytest.mark.parametrize("pool", ["queue", "null"])
def test_fastapi_service(pool):
    """120 orders at a time over 15 connections: no error, and every background task does its work."""
    orders, at_once = 360, 120

    async def burst(service):
        free = asyncio.Semaphore(at_once)

        async def one(n):
            async with free:
                status, answer = await request(service.port, "POST", f"/orders/item{n % 7}")
                assert status == 201, (status, answer)
                status, seen = await request(service.port, "GET", f"/orders/{answer['id']}")
                assert (status, seen["item"]) == (200, f"item{n % 7}"), (status, seen)

        await asyncio.gather(*[one(n) for n in range(orders)])

    with limited_postgres(15) as pg, ExamplePgweir("fastapi", pg) as weir, Sampler(pg) as sampler, \
            ended(Service("fastapi", "app:app", DATABASE_URL=url(weir, "session"), POOL=pool)) as (service,):
        service.wait_ready()
        asyncio.run(burst(service))
        wait_for(lambda: pg.psql("select count(*) from orders where done", database="shop") == str(orders), 60)
        assert pg.psql("select count(*), min(steps), max(steps) from orders", database="shop") == f"{orders}|2|2"
        assert pg.psql("select sum(sold) from stock", database="shop") == str(orders)
        assert "Traceback" not in service.said(), service.said()[-3000:]
        assert 10 <= sampler.most <= 15, sampler.most


@pytest.mark.limit(180)
def test_serverless_burst():
    """200 processes with statements of the same names over ten servers: all of them do all that they were to do."""
    with limited_postgres(10) as pg:
        load_schema("serverless", pg)
        with ExamplePgweir("serverless", pg) as weir, Sampler(pg) as sampler, \
                ended(Program("serverless", "burst.py", 200, DATABASE_URL=url(weir, "transaction"))) as (burst,):
            code = burst.wait(170)
            results = json.loads(burst.said().splitlines()[-1])["results"]
            assert code == 0, [result for result in results if "error" in result][:5]
            assert sorted(result["event"] for result in results) == list(range(200))
            assert all(r["pages"] == 3 and r["twice"] == 2 * r["event"] for r in results), results
            assert pg.psql("select count(*), count(distinct (event, page)) from visits", database="shop") == "600|600"
            assert pg.psql("select visits from total", database="shop") == "600"
            assert sampler.most <= 10, sampler.most


@pytest.mark.limit(180)
def test_free_tier():
    """Instances are killed and start again, PostgreSQL restarts: all that was confirmed is there, and the 12 connections
    that PostgreSQL has for the role are never exceeded (the preset's ten by the sampler's count)."""
    with limited_postgres(12, connections=15) as pg:
        load_schema("free_tier", pg)
        with ExamplePgweir("free_tier", pg) as weir, Sampler(pg) as sampler:
            environment = {"DATABASE_URL": url(weir, "session")}
            services = [Service("free_tier", "service:app", **environment) for _ in range(2)]
            with contextlib.ExitStack() as stack:
                stack.callback(lambda: [service.end() for service in services])
                confirmed, failed = asyncio.run(free_tier_events(pg, services, environment))
            counted = int(pg.psql("select count(*) from counts", database="shop"))
            assert confirmed <= counted <= confirmed + failed, (confirmed, counted, failed)
            assert sampler.samples > 100 and 4 <= sampler.most <= 10, (sampler.samples, sampler.most)


async def free_tier_events(pg, services, environment):
    """Load on both instances throughout; the numbers of requests that were answered with 200, and of the others."""
    tally = {"confirmed": 0, "failed": 0}
    served = [0, 0]
    stopping = asyncio.Event()

    async def client(i):
        while not stopping.is_set():
            status = 0
            with contextlib.suppress(OSError, ValueError, IndexError):
                status, _ = await request(services[i].port, "POST", "/count")
            tally["confirmed" if status == 200 else "failed"] += 1
            served[i] += status == 200
            await asyncio.sleep(0 if status == 200 else 0.05)

    async def both_serve(requests):
        """Each has answered that many more."""
        goal = [count + requests for count in served]
        while any(count < wanted for count, wanted in zip(served, goal)):
            await asyncio.sleep(0.02)

    async def beside(what):
        await asyncio.get_running_loop().run_in_executor(None, what)

    clients = [asyncio.create_task(client(i)) for i in (0, 1) for _ in range(8)]
    await both_serve(50)
    for round_ in range(4):
        i = round_ % 2
        services[i].end(signal.SIGKILL)
        services[i] = Service("free_tier", "service:app", **environment)
        await both_serve(50)
    for _ in range(2):
        await beside(pg.stop)
        await asyncio.sleep(0.2)
        pg.start(wait=False)  # by this thread: PostgreSQL ends with the one that started it
        await beside(pg.wait_ready)
        await both_serve(50)
    stopping.set()
    await asyncio.gather(*clients)
    return tally["confirmed"], tally["failed"]

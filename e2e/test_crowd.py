"""Hundreds of clients over three servers: everybody gets its own answers."""
import asyncio
import threading

import asyncpg

from lib.targets import everywhere
from lib.wire import SYNC, parse, query, run


def test_asyncpg_three_hundred(world, loop):
    """Default settings, each with statements of the same names and other SQL."""
    target = world.target(f"transaction-{loop}")

    async def client(n):
        c = await asyncpg.connect(**target.keywords, timeout=50)
        try:
            for i in range(5):
                assert await c.fetchval(f"select $1::int + {n % 10}", i) == i + n % 10
                assert await c.fetchval("select $1::text", f"{n}/{i}") == f"{n}/{i}"
                async with c.transaction():
                    assert await c.fetchval("select $1::int * 2", n) == 2 * n
            return True
        finally:
            await c.close()

    async def main():
        return await asyncio.gather(*[client(n) for n in range(300)])

    assert all(asyncio.run(main()))
    world.settle(target)


def test_raw_five_hundred_in_flight(world, loop):
    """All send at once, named statements with the same name, then read."""
    target = world.target(f"transaction-{loop}")
    clients = [target.wire(timeout=40) for _ in range(500)]
    for n, c in enumerate(clients):
        c.send(parse("s", f"select {n}, $1::int", 23), run("s", n), SYNC, query("begin"), run("s", -n), SYNC,
               query("commit"))
    for n, c in enumerate(clients):
        replies = c.until_ready(4)
        assert [r for r in replies if r[0] in "DE"] == [("D", b"%d" % n, b"%d" % n), ("D", b"%d" % n, b"%d" % -n)]
        c.close()
    world.settle(target)


@everywhere
def test_threads_of_queries(target):
    wrong = []

    def work(n):
        with target.wire(timeout=40) as c:
            for i in range(20):
                if c.value(f"select '{n}.{i}'") != f"{n}.{i}":
                    wrong.append((n, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def test_nobody_starves(weir):
    """Greedy clients that never pause, and polite ones: the polite get their turn."""
    w = weir(pool_size=2)
    stop = threading.Event()

    def greedy():
        with w.wire(database="e2e") as c:
            while not stop.is_set():
                c.send(*[query("select pg_sleep(0.001)")] * 20)
                c.until_ready(20)

    threads = [threading.Thread(target=greedy) for _ in range(20)]
    for thread in threads:
        thread.start()
    with w.wire(database="e2e") as c:
        for i in range(20):
            assert c.value(f"select {i}") == str(i)
    stop.set()
    for thread in threads:
        thread.join()


def test_parameters_that_are_never_the_same_take_no_memory(weir):
    """What is kept of a client's start-up parameters goes when neither a client nor a server has them any more."""
    w = weir(pool_size=1, top={"workers": 1})

    def many(first):
        for i in range(first, first + 400):
            w.wire(database="e2e", options=f"-c my.v={i}{'x' * 9000}").close()

    many(0)
    before = w.rss()
    many(1000)
    many(2000)
    assert w.rss() - before < 4_000_000


def test_connections_one_after_the_other(weir):
    """A thousand logins leave nothing behind."""
    w = weir(pool_size=2)
    with w.wire(database="e2e") as c:
        c.query("select 1")
    before, memory = w.descriptors(), w.rss()
    for i in range(1000):
        with w.wire("session" if i % 2 else "transaction", database="e2e") as c:
            if i % 10 == 0:
                assert c.value("select 1") == "1"
            c.close()
    assert w.rss() - memory < 8 << 20
    from lib.pooler import wait_for
    wait_for(lambda: w.descriptors() <= before + 2, 10, "descriptors are left behind")

#!/usr/bin/python3
"""Clients that work beside the suite all the time, in a database of their own, and look whether they are left alone.

    beside.py HOST PORT DATABASE CLIENTS      until SIGTERM; then prints, as JSON, what was right and wrong

asyncpg at its default settings: prepared statements that stay, settings, temporary tables, transactions that fail.
"""
import asyncio
import collections
import json
import random
import signal
import sys

import asyncpg

PAUSE = 0.02  # between rounds: the suite shall have the machine
ROUNDS = 40  # then the client leaves and comes back


class Tally:
    def __init__(self):
        self.right = collections.Counter()
        self.wrong = collections.Counter()
        self.first = {}

    def note(self, what, got, wanted):
        if got == wanted:
            self.right[what] += 1
        else:
            self.fail(what, f"{got!r} instead of {wanted!r}")

    def fail(self, what, text):
        self.wrong[what] += 1
        self.first.setdefault(what, text)


async def prepared(c, tally, n):
    for i in range(3):
        tally.note("prepared", await c.fetchval(f"select $1::int + {i}", n), n + i)
    rows = await c.fetch("select i, i::text || $1 as t from generate_series(1, $2::int) i", f"#{n}", 50)
    tally.note("prepared", rows[-1]["t"], f"50#{n}")


async def settings(c, tally, n):
    await c.execute(f"set work_mem = '{2001 + 2 * n}kB'")
    await c.execute(f"set search_path = beside_{n}, public")
    await c.execute("set datestyle = 'German'")
    await asyncio.sleep(0.005)
    tally.note("SET", await c.fetchval("show work_mem"), f"{2001 + 2 * n}kB")
    tally.note("SET", await c.fetchval("show search_path"), f"beside_{n}, public")
    tally.note("SET", await c.fetchval("select date '2001-02-03' || ''"), "03.02.2001")
    await c.execute("reset all")


async def local_settings(c, tally, n):
    async with c.transaction():
        await c.execute(f"set local work_mem = '{4001 + 2 * n}kB'")
        tally.note("SET LOCAL", await c.fetchval("show work_mem"), f"{4001 + 2 * n}kB")


async def temporary(c, tally, n):
    await c.execute("create temp table mine (v int)")
    await c.execute(f"insert into mine select {n} from generate_series(1, 10)")
    await asyncio.sleep(0.005)
    tally.note("temporary table", await c.fetchval("select sum(v) from mine"), 10 * n)
    await c.execute("drop table mine")


async def temporary_inside(c, tally, n):
    async with c.transaction():
        await c.execute("create temp table inside (v int) on commit drop")
        await c.execute(f"insert into inside values ({n})")
        tally.note("temporary table in a transaction", await c.fetchval("select v from inside"), n)


async def failing(c, tally, n):
    try:
        async with c.transaction():
            await c.fetchval("select 1 / ($1::int - $1::int)", n)
        tally.fail("error", "no error")
    except asyncpg.DivisionByZeroError:
        tally.note("error", await c.fetchval("select $1::int", n), n)


async def copying(c, tally, n):
    rows = [(n, f"row {i}") for i in range(100)]
    async with c.transaction():
        await c.copy_records_to_table("copied", records=rows)
        tally.note("COPY", await c.fetchval("select count(*) from copied where n = $1", n), 100)
        await c.execute("delete from copied where n = $1", n)


STEPS = {"prepared": prepared, "SET": settings, "SET LOCAL": local_settings, "temporary table": temporary,
         "temporary table in a transaction": temporary_inside, "error": failing, "COPY": copying}


async def client(number, where, stop, tally):
    chance = random.Random(number)
    while not stop.is_set():
        try:
            c = await asyncpg.connect(**where, timeout=60, command_timeout=120)
        except Exception as error:  # noqa: BLE001: whatever it is, it is counted
            tally.fail("connect", repr(error))
            await asyncio.sleep(0.5)
            continue
        try:
            for _ in range(ROUNDS):
                if stop.is_set():
                    break
                what = chance.choice(list(STEPS))
                try:
                    await STEPS[what](c, tally, number * 1000 + chance.randrange(1000))
                except Exception as error:  # noqa: BLE001
                    tally.fail(what, repr(error))
                    if c.is_closed():
                        break
                await asyncio.sleep(PAUSE)
        finally:
            try:
                await c.close(timeout=5)
            except Exception:  # noqa: BLE001
                c.terminate()


async def main(host, port, database, clients):
    tally, stop = Tally(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    where = {"host": host, "port": int(port), "database": database, "user": "postgres", "ssl": False}
    await asyncio.gather(*(client(i + 1, where, stop, tally) for i in range(int(clients))))
    print(json.dumps({"right": tally.right, "wrong": tally.wrong, "first": tally.first}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

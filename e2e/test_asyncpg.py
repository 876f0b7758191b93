"""asyncpg at its defaults: everything is a named prepared statement in a cache."""
import asyncio
import contextlib
import datetime
import decimal
import io

import asyncpg

from lib.targets import everywhere


def go(main):
    return asyncio.run(main)


async def connect(target, **arguments):
    return await asyncpg.connect(**target.keywords, **arguments)


@contextlib.asynccontextmanager
async def connected(target, **arguments):
    c = await connect(target, **arguments)
    try:
        yield c
    finally:
        await c.close()


async def code(awaitable):
    try:
        return await awaitable
    except asyncpg.PostgresError as error:
        return type(error).__name__, error.sqlstate


def plain(records):
    return [tuple(record) for record in records]


@everywhere
def test_queries(target):
    async def main():
        async with connected(target) as c:
            outcome = []
            for i in range(25):
                outcome.append(await c.fetchval("select $1::int + 1", i))
                outcome.append(plain(await c.fetch("select i, $1::text from generate_series(1, 3) i", f"v{i}")))
                outcome.append(await c.fetchrow("select 1/1") == (1,))
            outcome.append(await code(c.fetchval("select 1/0")))
            outcome.append(await code(c.fetchval("select * from nothing_here")))
            outcome.append(await c.fetchval("select 'alive'"))
            return outcome

    return go(main())


@everywhere
def test_types(target):
    async def main():
        async with connected(target) as c:
            row = await c.fetchrow(
                "select $1::numeric, $2::timestamptz, $3::bytea, $4::int[], $5::jsonb, $6::text, $7::interval",
                decimal.Decimal("1.50"), datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc), b"\0\1",
                [1, 2, None], '{"a": 1}', "ü€", datetime.timedelta(days=1, seconds=3))
            return tuple(row)

    return go(main())


@everywhere
def test_composite_and_enum_types(target):
    """asyncpg asks the catalog for types it does not know, with queries of its own."""
    async def main():
        async with connected(target) as c:
            await c.execute("drop type if exists pair; drop type if exists mood;"
                            "create type pair as (a int, b text); create type mood as enum ('sad', 'happy')")
            outcome = []
            for _ in range(5):
                outcome.append(tuple(await c.fetchval("select row(1, 'x')::pair")))
                outcome.append(await c.fetchval("select $1::mood", "happy"))
            await c.execute("drop type pair; drop type mood")
            return outcome

    return go(main())


@everywhere
def test_transactions(target):
    async def main():
        async with connected(target) as c:
            await c.execute("drop table if exists apg; create table apg (a int primary key, b text)")
            outcome = []
            async with c.transaction():
                await c.execute("insert into apg values ($1, $2)", 1, "one")
                with contextlib.suppress(asyncpg.UniqueViolationError):
                    async with c.transaction():
                        await c.execute("insert into apg values ($1, $2)", 1, "again")
                await c.execute("insert into apg values ($1, $2)", 2, "two")
            with contextlib.suppress(ZeroDivisionError):
                async with c.transaction(isolation="serializable"):
                    await c.execute("insert into apg values ($1, $2)", 3, "three")
                    raise ZeroDivisionError
            outcome.append(plain(await c.fetch("select * from apg order by a")))
            outcome.append(await c.execute("update apg set b = 'x'"))
            outcome.append(c.is_in_transaction())
            await c.execute("drop table apg")
            return outcome

    return go(main())


@everywhere
def test_prepared_by_hand(target):
    async def main():
        async with connected(target) as c:
            statement = await c.prepare("select $1::int * 2 as twice")
            outcome = [await statement.fetchval(i) for i in range(20)]
            outcome += [[(a.name, a.type.name) for a in statement.get_attributes()], statement.get_statusmsg()]
            return outcome

    return go(main())


@everywhere
def test_cursors(target):
    async def main():
        async with connected(target) as c:
            async with c.transaction():
                total = 0
                async for row in c.cursor("select i from generate_series(1, $1::int) i", 500, prefetch=37):
                    total += row[0]
                cursor = await c.cursor("select i from generate_series(1, 20) i")
                first = plain(await cursor.fetch(5))
                await cursor.forward(5)
                return total, first, plain(await cursor.fetch(3))

    return go(main())


@everywhere
def test_copy(target):
    async def main():
        async with connected(target) as c:
            await c.execute("drop table if exists apgcopy; create table apgcopy (a int, b text)")
            outcome = [await c.copy_records_to_table("apgcopy", records=[(i, f"v{i}") for i in range(5000)])]
            out = io.BytesIO()
            outcome.append(await c.copy_from_query("select * from apgcopy where a < $1 order by a", 5, output=out))
            outcome.append(out.getvalue())
            outcome.append(await code(c.copy_records_to_table("apgcopy", records=[(1, "x")], columns=["a", "nope"])))
            outcome.append(await c.fetchval("select count(*) from apgcopy"))
            await c.execute("drop table apgcopy")
            return outcome

    return go(main())


@everywhere
def test_executemany(target):
    async def main():
        async with connected(target) as c:
            await c.execute("drop table if exists apgmany; create table apgmany (a int, b text)")
            await c.executemany("insert into apgmany values ($1, $2)", [(i, "x" * (i % 50)) for i in range(3000)])
            outcome = [tuple(await c.fetchrow("select count(*), sum(a), sum(length(b)) from apgmany"))]
            outcome.append(await code(c.executemany("insert into apgmany values ($1, (10 / $1)::text)",
                                                    [(1,), (0,), (2,)])))
            outcome.append(await c.fetchval("select count(*) from apgmany"))
            await c.execute("drop table apgmany")
            return outcome

    return go(main())


@everywhere
def test_timeout_cancels(target):
    async def main():
        async with connected(target) as c:
            outcome = []
            for _ in range(3):
                try:
                    await c.fetchval("select pg_sleep(30)", timeout=0.2)
                except asyncio.TimeoutError:
                    outcome.append("timeout")
                outcome.append(await c.fetchval("select 5"))
            return outcome

    return go(main())


@everywhere
def test_task_cancelled(target):
    async def main():
        async with connected(target) as c:
            outcome = []
            for _ in range(3):
                task = asyncio.ensure_future(c.fetchval("select pg_sleep(30)"))
                await asyncio.sleep(0.1)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                outcome.append(await c.fetchval("select 6"))
            return outcome

    return go(main())


@everywhere
def test_two_clients_same_names_different_sql(target):
    """asyncpg counts its statement names from 1 in every process: they are always the same, for other SQL."""
    async def main():
        async with connected(target) as a, connected(target) as b:
            outcome = []
            for i in range(10):
                sa, sb = await a.prepare(f"select 'a', {i}, $1::int"), await b.prepare(f"select {i}::text, 'b', $1::text")
                outcome.append((tuple(await sa.fetchrow(i)), tuple(await sb.fetchrow(str(i)))))
                outcome.append((tuple(await sa.fetchrow(i)), tuple(await sb.fetchrow(str(i)))))
            return outcome

    return go(main())


@everywhere
def test_small_cache_evicts(target):
    async def main():
        async with connected(target, statement_cache_size=3) as c:
            return [await c.fetchval(f"select {i} + $1::int", round_) for round_ in range(4) for i in range(10)]

    return go(main())


@everywhere
def test_no_cache(target):
    async def main():
        async with connected(target, statement_cache_size=0) as c:
            return [await c.fetchval("select $1::int", i) for i in range(20)]

    return go(main())


@everywhere
def test_pool(target):
    """The pool resets each connection when it is given back; forty tasks share it."""
    async def main():
        async with asyncpg.create_pool(**target.keywords, min_size=2, max_size=20) as pool:
            async def work(n):
                got = []
                for i in range(10):
                    async with pool.acquire() as c:
                        async with c.transaction():
                            got.append(await c.fetchval("select $1::text", f"{n}.{i}"))
                return got == [f"{n}.{i}" for i in range(10)]

            return await asyncio.gather(*[work(n) for n in range(40)])

    return go(main())


@everywhere
def test_server_settings(target):
    async def main():
        settings = {"application_name": "apg app", "search_path": "pg_catalog", "statement_timeout": "8000"}
        async with connected(target, server_settings=settings) as c, connected(target) as other:
            outcome = []
            for name in settings:
                outcome += [await c.fetchval(f"show {name}"), await other.fetchval(f"show {name}")]
            outcome += [c.get_settings().application_name, c.get_server_version()]
            return outcome

    return go(main())


@everywhere
def test_type_codec(target):
    import json

    async def main():
        async with connected(target) as c:
            await c.set_type_codec("json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
            return [await c.fetchval("select $1::json", {"n": i}) for i in range(5)]

    return go(main())


@everywhere
def test_log_and_notice_listeners(target):
    async def main():
        async with connected(target) as c:
            seen = []
            c.add_log_listener(lambda _c, message: seen.append(message.message))
            await c.execute("do $$ begin raise notice 'one'; raise warning 'two'; end $$")
            await asyncio.sleep(0)
            return seen

    return go(main())

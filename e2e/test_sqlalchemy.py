"""SQLAlchemy 1.4 with asyncpg at the defaults of both: statement caches on, QueuePool and NullPool."""
import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import declarative_base
from sqlalchemy.pool import NullPool

from lib.targets import everywhere

Base = declarative_base()


class Item(Base):
    __tablename__ = "sa_items"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String)
    price = sa.Column(sa.Numeric(10, 2))


def engine_of(target, pool, **arguments):
    url = target.url.replace("postgresql://", "postgresql+asyncpg://")
    if pool == "null":
        return create_async_engine(url, poolclass=NullPool, **arguments)
    return create_async_engine(url, pool_size=10, max_overflow=10, **arguments)


@everywhere
@pytest.mark.parametrize("pool", ["queue", "null"])
def test_hundreds_of_checkouts(target, pool):
    async def main():
        engine = engine_of(target, pool)

        async def work(n):
            good = 0
            for i in range(10):
                async with engine.connect() as c:
                    value = (await c.execute(sa.text("select cast(:v as text), cast(:n as integer)"),
                                             {"v": f"{n}.{i}", "n": n})).one()
                    good += tuple(value) == (f"{n}.{i}", n)
            return good

        try:
            return sum(await asyncio.gather(*[work(n) for n in range(30)]))
        finally:
            await engine.dispose()

    return asyncio.run(main())


@everywhere
@pytest.mark.parametrize("pool", ["queue", "null"])
def test_orm(target, pool):
    async def main():
        engine = engine_of(target, pool)
        try:
            async with engine.begin() as c:
                await c.run_sync(Base.metadata.drop_all)
                await c.run_sync(Base.metadata.create_all)
            outcome = []
            for round_ in range(5):
                async with AsyncSession(engine, expire_on_commit=False) as session:
                    session.add_all([Item(name=f"n{round_}.{i}", price=i) for i in range(20)])
                    await session.commit()
                async with AsyncSession(engine) as session:
                    found = await session.execute(sa.select(Item).where(Item.name.like(f"n{round_}.%")).order_by(Item.id))
                    outcome.append([(item.id, item.name, item.price) for item in found.scalars()])
                    await session.execute(sa.update(Item).where(Item.id == round_ + 1).values(price=99))
                    await session.rollback()
                    outcome.append((await session.execute(sa.select(sa.func.count()).select_from(Item))).scalar())
            async with engine.begin() as c:
                await c.run_sync(Base.metadata.drop_all)
            return outcome
        finally:
            await engine.dispose()

    return asyncio.run(main())


@everywhere
def test_stream(target):
    async def main():
        engine = engine_of(target, "queue")
        try:
            async with engine.connect() as c:
                result = await c.stream(sa.text("select i from generate_series(1, 2000) i"))
                total = 0
                async for row in result:
                    total += row[0]
                return total
        finally:
            await engine.dispose()

    return asyncio.run(main())


@everywhere
def test_errors_and_savepoints(target):
    async def main():
        engine = engine_of(target, "queue")
        outcome = []
        try:
            async with engine.connect() as c:
                async with c.begin():
                    try:
                        async with c.begin_nested():
                            await c.execute(sa.text("select 1/0"))
                    except sa.exc.DBAPIError as error:
                        outcome.append(error.orig.pgcode)
                    outcome.append((await c.execute(sa.text("select 7"))).scalar())
                try:
                    await c.execute(sa.text("select * from no_such"))
                except sa.exc.DBAPIError as error:
                    outcome.append(error.orig.pgcode)
            async with engine.connect() as c:
                outcome.append((await c.execute(sa.text("select 8"))).scalar())
            return outcome
        finally:
            await engine.dispose()

    return asyncio.run(main())


@everywhere
def test_pre_ping_and_recycle(target):
    async def main():
        engine = engine_of(target, "queue", pool_pre_ping=True, pool_recycle=1)
        try:
            outcome = []
            for _ in range(3):
                async with engine.connect() as c:
                    outcome.append((await c.execute(sa.text("select 1"))).scalar())
                await asyncio.sleep(0.4)
            return outcome
        finally:
            await engine.dispose()

    return asyncio.run(main())


@everywhere
def test_synchronous_engine(target):
    """psycopg2 behind the classic engine."""
    engine = sa.create_engine(target.url)
    outcome = []
    for i in range(20):
        with engine.begin() as c:
            outcome.append(c.execute(sa.text("select :v"), {"v": i}).scalar())
    engine.dispose()
    return outcome

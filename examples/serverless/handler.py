"""A function as a serverless platform runs it: a process, an event loop, an engine without a pool, and gone.

    python3 handler.py 7
"""
import asyncio
import os
import sys

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

URL = os.environ.get("DATABASE_URL", "postgresql+asyncpg://app@127.0.0.1:6543/shop")


async def handle(event):
    """Three connections, one after the other, each with asyncpg's statement cache as it comes."""
    engine = create_async_engine(URL, poolclass=NullPool)
    async with engine.begin() as c:
        await c.execute(sa.text("insert into visits (event, page) values (:event, :page)"),
                        [{"event": event, "page": page} for page in range(3)])
    async with engine.begin() as c:
        await c.execute(sa.text("update total set visits = visits + 3"))
    async with engine.connect() as c:
        pages = (await c.execute(sa.text("select count(*) from visits where event = :event"), {"event": event})).scalar()
        again = (await c.execute(sa.text("select cast(:event as integer) * 2"), {"event": event})).scalar()
    await engine.dispose()
    return {"event": event, "pages": pages, "twice": again}


if __name__ == "__main__":
    print(asyncio.run(handle(int(sys.argv[1]))))

"""A shop: one SQLAlchemy engine serves the API and the tasks that go on after an answer.

    uvicorn app:app --port 8000
"""
import os

import sqlalchemy as sa
from fastapi import BackgroundTasks, FastAPI, HTTPException
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

URL = os.environ.get("DATABASE_URL", "postgresql+asyncpg://app@127.0.0.1:5432/shop")
# POOL=null: a connection for each use. Else SQLAlchemy's default: 5 that are kept and 10 more.
POOL = {"poolclass": NullPool} if os.environ.get("POOL") == "null" else {}

engine = create_async_engine(URL, connect_args={"server_settings": {"application_name": "shop"}}, **POOL)
app = FastAPI()


@app.on_event("startup")
async def make_tables():
    async with engine.begin() as c:
        await c.execute(sa.text("create table if not exists stock (item text primary key, sold integer not null)"))
        await c.execute(sa.text("create table if not exists orders (id bigserial primary key, item text not null, "
                                "steps integer not null default 0, done boolean not null default false)"))


@app.on_event("shutdown")
async def leave():
    await engine.dispose()


@app.post("/orders/{item}", status_code=201)
async def order(item: str, tasks: BackgroundTasks):
    async with engine.begin() as c:
        number = (await c.execute(sa.text("insert into orders (item) values (:item) returning id"), {"item": item})).scalar()
    tasks.add_task(fulfil, number, item)
    return {"id": number}


@app.get("/orders/{number}")
async def look(number: int):
    async with engine.connect() as c:
        row = (await c.execute(sa.text("select item, steps, done from orders where id = :id"), {"id": number})).one_or_none()
    if row is None:
        raise HTTPException(404)
    return {"item": row.item, "steps": row.steps, "done": row.done}


async def fulfil(number, item):
    """What need not be done before the answer: three transactions."""
    for _ in range(2):
        async with engine.begin() as c:
            await c.execute(sa.text("update orders set steps = steps + 1 where id = :id"), {"id": number})
    async with engine.begin() as c:
        await c.execute(sa.text("insert into stock values (:item, 1) on conflict (item) do update set sold = stock.sold + 1"),
                        {"item": item})
        await c.execute(sa.text("update orders set done = true where id = :id"), {"id": number})

"""A counter, as a service of which two instances run on a free tier: small pools, connections that do not grow old.

    uvicorn service:app --port 8001
"""
import os

import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

URL = os.environ.get("DATABASE_URL", "postgresql+asyncpg://app@127.0.0.1:5432/shop")

engine = create_async_engine(URL, pool_size=2, max_overflow=3, pool_recycle=300, pool_pre_ping=True,
                             connect_args={"server_settings": {"application_name": "counter"}})
app = FastAPI()


@app.post("/count")
async def count():
    async with engine.begin() as c:
        await c.execute(sa.text("insert into counts default values"))
    return {"counted": True}


@app.get("/count")
async def total():
    async with engine.connect() as c:
        return {"total": (await c.execute(sa.text("select count(*) from counts"))).scalar()}

"""The API of the upload service: an engine with a pool of 20 + 40, on the session port.

    uvicorn api:app --port 8000
"""
import os

import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

import tasks

URL = os.environ.get("DATABASE_URL", "postgresql+asyncpg://app@127.0.0.1:5432/shop")

engine = create_async_engine(URL, pool_size=20, max_overflow=40,
                             connect_args={"server_settings": {"application_name": "api"}})
app = FastAPI()


@app.post("/uploads/{name}", status_code=202)
async def upload(name: str):
    async with engine.begin() as c:
        number = (await c.execute(sa.text("insert into uploads (name) values (:name) returning id"), {"name": name})).scalar()
    tasks.process.delay(number)
    return {"id": number}


@app.get("/uploads/{number}")
async def look(number: int):
    """`parts`: how many parts, of all uploads, workers had begun when this was answered."""
    async with engine.connect() as c:
        done = (await c.execute(sa.text("select done from uploads where id = :id"), {"id": number})).scalar()
        parts = (await c.execute(sa.text("select last_value from parts_id_seq"))).scalar()
    return {"done": done, "parts": parts}

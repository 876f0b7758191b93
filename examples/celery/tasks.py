"""The workers of the upload service: each has an engine with a pool of 5 + 10, on the transaction port.

    celery -A tasks worker -P threads -c 15
"""
import os

import sqlalchemy as sa
from celery import Celery

URL = os.environ.get("WORKER_DATABASE_URL", "postgresql+psycopg2://app@127.0.0.1:6543/shop")
PARTS = 4

engine = sa.create_engine(URL, pool_size=5, max_overflow=10, connect_args={"application_name": "worker"})
app = Celery("tasks", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
app.conf.task_ignore_result = True
app.conf.worker_prefetch_multiplier = 1  # else the first two take all


@app.task
def process(upload):
    """Each part is a transaction that takes its time, as reading and writing large values does."""
    for part in range(PARTS):
        with engine.begin() as c:
            c.execute(sa.text("insert into parts (upload, part) values (:upload, :part)"), {"upload": upload, "part": part})
            c.execute(sa.text("select pg_sleep(0.25)"))
    with engine.begin() as c:
        c.execute(sa.text("update uploads set done = true where id = :id"), {"id": upload})

"""One of seven applications, each with a pool of ten connections.

    python3 app.py NAME [leaks | floods]      runs until it is stopped
"""
import os
import sys
import threading
import time

import sqlalchemy as sa

URL = os.environ.get("DATABASE_URL", "postgresql+psycopg2://app@127.0.0.1:6543/shop")
POOL = 10


def work(engine, name, pause):
    with engine.begin() as c:
        c.execute(sa.text("insert into work (app) values (:app)"), {"app": name})
        c.execute(sa.text("select pg_sleep(0.01)"))
    time.sleep(pause)


def leak(engine, name):
    """A transaction that is begun and forgotten."""
    connection = engine.connect()
    connection.begin()
    connection.execute(sa.text("select 1"))
    time.sleep(3600)


def forever(step, *arguments):
    while True:
        try:
            step(*arguments)
        except sa.exc.OperationalError as error:  # the limits of this application; the others do not feel it
            print(f"{arguments[1]}: {error.orig}", flush=True)
            time.sleep(0.1)


def main():
    name = sys.argv[1]
    kind = sys.argv[2] if len(sys.argv) > 2 else "behaves"
    engine = sa.create_engine(URL, pool_size=POOL, max_overflow=0, connect_args={"application_name": name})
    step = {"behaves": (work, engine, name, 0.05), "floods": (work, engine, name, 0), "leaks": (leak, engine, name)}[kind]
    for _ in range(POOL):
        threading.Thread(target=forever, args=step, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()

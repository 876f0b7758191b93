"""psycopg 3: prepared statements after five executions (its default) or at once, pipelines, COPY, cursors."""
import asyncio

import psycopg
import pytest

from lib.targets import everywhere


def connect(target, **arguments):
    return psycopg.connect(target.dsn, **arguments)


def code(function):
    try:
        return function()
    except psycopg.Error as error:
        return error.sqlstate, str(error).splitlines()[0]


@everywhere
@pytest.mark.parametrize("threshold", [0, 5, None])
def test_repeated_queries(target, threshold):
    with connect(target, autocommit=True, prepare_threshold=threshold) as c:
        outcome = []
        for i in range(30):
            outcome.append(c.execute("select %s::int + 1", (i,)).fetchall())
            outcome.append(c.execute("select %s::text", (f"t{i}",)).fetchall())
        return outcome


@everywhere
@pytest.mark.parametrize("threshold", [0, 5])
def test_transactions(target, threshold):
    with connect(target, prepare_threshold=threshold) as c:
        c.execute("drop table if exists pp3")
        c.execute("create table pp3 (a int, b text)")
        c.commit()
        outcome = []
        for i in range(12):
            with c.transaction():
                c.execute("insert into pp3 values (%s, %s)", (i, f"v{i}"))
            with c.transaction(force_rollback=True):
                c.execute("insert into pp3 values (%s, %s)", (1000 + i, "gone"))
            outcome.append(c.execute("select count(*) from pp3 where a >= %s", (0,)).fetchone())
            c.commit()
        outcome.append(code(lambda: c.execute("select 1 / %s::int", (0,))))
        c.rollback()
        c.execute("drop table pp3")
        return outcome


@everywhere
def test_eviction_sends_deallocate(target):
    """With room for two, psycopg sends DEALLOCATE name for each statement it drops."""
    with connect(target, autocommit=True, prepare_threshold=0) as c, \
            connect(target, autocommit=True, prepare_threshold=0) as other:
        c.prepared_max = 2
        outcome = []
        for round_ in range(4):
            for i in range(6):
                outcome.append(c.execute(f"select {i}, %s::int", (round_,)).fetchone())
                outcome.append(other.execute(f"select {i}, %s::int * 10", (round_,)).fetchone())
        return outcome


@everywhere
def test_deallocate_all_of_a_neighbour(target):
    with connect(target, autocommit=True, prepare_threshold=0) as a, \
            connect(target, autocommit=True, prepare_threshold=0) as b:
        outcome = []
        for i in range(5):
            outcome += [a.execute("select %s::int", (i,)).fetchone(), b.execute("select %s::int", (-i,)).fetchone()]
        a.execute("deallocate all")
        for i in range(5):
            outcome += [b.execute("select %s::int", (-i,)).fetchone(), code(lambda: a.execute("select %s::int", (i,)))]
        return outcome


@everywhere
@pytest.mark.parametrize("threshold", [0, 5])
def test_pipeline(target, threshold):
    with connect(target, autocommit=True, prepare_threshold=threshold) as c:
        outcome = []
        with c.pipeline() as p:
            cursors = [c.execute("select %s::int, %s::text", (i, str(i))) for i in range(100)]
            p.sync()
            cursors += [c.execute("select %s::int", (i,)) for i in range(100)]
            outcome += [cursor.fetchone() for cursor in cursors]
        with c.pipeline():
            with c.transaction():
                c.execute("drop table if exists pipe3")
                c.execute("create table pipe3 (a int)")
                c.cursor().executemany("insert into pipe3 values (%s)", [(i,) for i in range(200)])
            outcome.append(c.execute("select count(*), sum(a) from pipe3").fetchone())
        c.execute("drop table pipe3")
        return outcome


@everywhere
def test_error_in_a_pipeline(target):
    with connect(target, autocommit=True) as c:
        outcome = []

        def broken():
            with c.pipeline() as p:
                first = c.execute("select %s::int", (1,))
                c.execute("select 1 / %s::int", (0,))
                skipped = c.execute("select 3")
                p.sync()
                return first.fetchone(), skipped.fetchone()

        outcome.append(code(broken))
        outcome.append(c.execute("select 'usable'").fetchone())
        with c.pipeline():
            outcome.append(c.execute("select 4").fetchone())
        return outcome


@everywhere
def test_copy(target):
    with connect(target) as c:
        c.execute("drop table if exists copy3")
        c.execute("create table copy3 (a int, b text)")
        with c.cursor().copy("copy copy3 from stdin") as copy:
            for i in range(3000):
                copy.write_row((i, f"v{i}"))
        with c.cursor().copy("copy copy3 (a, b) from stdin (format binary)") as copy:
            copy.set_types(["int4", "text"])
            for i in range(100):
                copy.write_row((i, "binary"))
        with c.cursor().copy("copy (select a from copy3 where a < 10 order by a) to stdout") as copy:
            outcome = [row for row in copy.rows()]
        outcome.append(c.execute("select count(*) from copy3").fetchone())

        def changes_its_mind():
            with c.cursor().copy("copy copy3 from stdin") as copy:
                copy.write("1\tx\n")
                raise psycopg.DataError("no more")

        outcome.append(code(changes_its_mind))
        c.rollback()
        return outcome


@everywhere
def test_server_side_cursor(target):
    with connect(target) as c:
        with c.cursor("ssc") as cur:
            cur.execute("select i from generate_series(1, %s) i", (1000,))
            outcome = [cur.fetchmany(10), sum(row[0] for row in cur)]
        c.commit()
        with c.cursor("ssc") as cur:
            cur.execute("select 'again'")
            outcome.append(cur.fetchall())
        return outcome


@everywhere
def test_binary_results_and_stream(target):
    with connect(target) as c:
        cur = c.cursor(binary=True)
        outcome = [cur.execute("select %s::int, %s::bytea, %s::float8, array[1, 2, %s::int]",
                               (1, b"\0\xff", 1.5, 3)).fetchone()]
        outcome.append(list(c.cursor().stream("select i from generate_series(1, 50) i")))
        outcome.append(c.cursor().executemany("select %s::int", [(i,) for i in range(5)]))
        return outcome


@everywhere
def test_types_change_the_statement(target):
    """The same text with other parameter types is another statement."""
    with connect(target, autocommit=True, prepare_threshold=0) as c:
        return [c.execute("select %s", (value,)).fetchone() for _ in range(4) for value in (1, "x", 2.5, True, None)]


@everywhere
def test_information(target):
    with connect(target, application_name="pp3 app") as c:
        info = c.info
        return info.server_version, info.encoding, info.parameter_status("application_name"), info.transaction_status, \
            info.user, c.execute("show application_name").fetchone(), info.transaction_status


@everywhere
def test_async_connections(target):
    async def worker(n):
        async with await psycopg.AsyncConnection.connect(target.dsn, autocommit=True, prepare_threshold=0) as c:
            got = []
            for i in range(20):
                cur = await c.execute("select %s::int, %s::text", (n, f"{n}-{i}"))
                got.append(await cur.fetchone())
            return got == [(n, f"{n}-{i}") for i in range(20)]

    async def main():
        return await asyncio.gather(*[worker(n) for n in range(25)])

    return asyncio.run(main())


@everywhere
def test_cancel(target):
    import threading
    with connect(target, autocommit=True) as c:
        timer = threading.Timer(0.3, c.cancel)
        timer.start()
        outcome = [code(lambda: c.execute("select pg_sleep(30)"))]
        timer.join()
        return outcome + [c.execute("select 1").fetchone()]


@everywhere
def test_row_count_and_status_message(target):
    with connect(target, autocommit=True, prepare_threshold=0) as c:
        c.execute("drop table if exists status3")
        outcome = []
        for sql in ("create table status3 (a int)", "insert into status3 select generate_series(1, 10)",
                    "update status3 set a = a + 1", "delete from status3 where a > 5", "select * from status3",
                    "begin", "commit", "drop table status3"):
            cur = c.execute(sql)
            outcome.append((cur.statusmessage, cur.rowcount))
        return outcome

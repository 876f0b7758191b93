"""psycopg2 at its defaults: every statement opens a transaction."""
import io
import threading

import psycopg2
import psycopg2.extras

from lib.targets import everywhere


def rows(cursor, sql, *values):
    cursor.execute(sql, values or None)
    return cursor.fetchall()


@everywhere
def test_queries_and_transactions(target):
    c = psycopg2.connect(target.dsn)
    outcome = []
    with c, c.cursor() as cur:
        cur.execute("drop table if exists pp2; create table pp2 (a int, b text)")
        psycopg2.extras.execute_values(cur, "insert into pp2 values %s", [(i, f"v{i}") for i in range(100)])
        outcome.append(rows(cur, "select count(*), sum(a) from pp2 where a < %s", 50))
    with c, c.cursor() as cur:
        outcome.append(rows(cur, "select * from pp2 where b = %s", "v7"))
    try:
        with c, c.cursor() as cur:
            cur.execute("insert into pp2 values (1000, 'x')")
            cur.execute("select 1/0")
    except psycopg2.Error as error:
        outcome.append((error.pgcode, str(error)))
    with c, c.cursor() as cur:
        outcome.append(rows(cur, "select count(*) from pp2"))
    c.close()
    return outcome


@everywhere
def test_autocommit(target):
    c = psycopg2.connect(target.dsn)
    c.autocommit = True
    outcome = []
    with c.cursor() as cur:
        for i in range(50):
            outcome.append(rows(cur, "select %s::int", i))
    outcome.append(c.get_transaction_status())
    c.close()
    return outcome


@everywhere
def test_isolation_and_encoding(target):
    c = psycopg2.connect(target.dsn)
    c.set_session(isolation_level="SERIALIZABLE", readonly=True)
    c.set_client_encoding("UTF8")
    outcome = []
    with c, c.cursor() as cur:
        outcome += [rows(cur, "show transaction_isolation"), rows(cur, "show transaction_read_only")]
    try:
        with c, c.cursor() as cur:
            cur.execute("create table never (a int)")
    except psycopg2.Error as error:
        outcome.append(error.pgcode)
    outcome += [c.encoding, c.get_parameter_status("client_encoding"), c.server_version]
    c.close()
    return outcome


@everywhere
def test_named_cursor(target):
    c = psycopg2.connect(target.dsn)
    with c, c.cursor("big") as cur:
        cur.itersize = 100
        cur.execute("select i from generate_series(1, 1234) i")
        total = sum(row[0] for row in cur)
    with c, c.cursor("scrolling", scrollable=True) as cur:
        cur.execute("select i from generate_series(1, 10) i")
        first = cur.fetchmany(4)
        cur.scroll(-2)
        again = cur.fetchall()
    c.close()
    return total, first, again


@everywhere
def test_copy(target):
    c = psycopg2.connect(target.dsn)
    with c, c.cursor() as cur:
        cur.execute("drop table if exists pp2copy; create table pp2copy (a int, b text)")
        cur.copy_from(io.StringIO("".join(f"{i}\tx{i}\n" for i in range(5000))), "pp2copy")
        out = io.StringIO()
        cur.copy_expert("copy (select * from pp2copy order by a desc limit 3) to stdout with csv header", out)
        outcome = [rows(cur, "select count(*) from pp2copy"), out.getvalue()]
    try:
        with c, c.cursor() as cur:
            cur.copy_from(io.StringIO("not a number\tx\n"), "pp2copy")
    except psycopg2.Error as error:
        outcome.append((error.pgcode, str(error)))
    with c, c.cursor() as cur:
        outcome.append(rows(cur, "select count(*) from pp2copy"))
        cur.execute("drop table pp2copy")
    c.close()
    return outcome


@everywhere
def test_large_objects(target):
    """Opened, written and read by function calls inside a transaction."""
    c = psycopg2.connect(target.dsn)
    large = c.lobject(0, "wb")
    large.write(b"0123456789" * 100000)
    oid = large.oid
    large.close()
    c.commit()
    large = c.lobject(oid, "rb")
    large.seek(999_990)
    outcome = [large.read(), large.size if hasattr(large, "size") else None]
    large.unlink()
    c.commit()
    c.close()
    return outcome


@everywhere
def test_cancel(target):
    c = psycopg2.connect(target.dsn)
    timer = threading.Timer(0.3, c.cancel)
    timer.start()
    try:
        with c, c.cursor() as cur:
            cur.execute("select pg_sleep(30)")
        outcome = ["not cancelled"]
    except psycopg2.Error as error:
        outcome = [error.pgcode]
    timer.join()
    with c, c.cursor() as cur:
        outcome.append(rows(cur, "select 1"))
    c.close()
    return outcome


@everywhere
def test_notices_and_status(target):
    c = psycopg2.connect(target.dsn, application_name="pp2 app", options="-c statement_timeout=9s")
    with c, c.cursor() as cur:
        cur.execute("do $$ begin raise notice 'n1'; raise warning 'w1'; end $$")
        outcome = [list(c.notices), rows(cur, "show statement_timeout"), rows(cur, "show application_name")]
    outcome += [c.get_parameter_status(name) for name in ("application_name", "TimeZone", "DateStyle", "is_superuser")]
    c.close()
    return outcome


@everywhere
def test_returning_of_a_serial(target):
    """Sequences and returning values in their own transactions."""
    c = psycopg2.connect(target.dsn)
    with c, c.cursor() as cur:
        cur.execute("drop table if exists pp2seq; create table pp2seq (id serial primary key, v text)")
    outcome = []
    for i in range(20):
        with c, c.cursor() as cur:
            outcome.append(rows(cur, "insert into pp2seq (v) values (%s) returning id, v", f"v{i}"))
    with c, c.cursor() as cur:
        cur.execute("drop table pp2seq")
    c.close()
    return outcome


@everywhere
def test_many_threads(target):
    """Twenty threads with a connection each; nobody sees another's value."""
    wrong = []

    def work(n):
        c = psycopg2.connect(target.dsn)
        try:
            for i in range(30):
                with c, c.cursor() as cur:
                    if rows(cur, "select %s::text", f"{n}.{i}") != [(f"{n}.{i}",)]:
                        wrong.append((n, i))
        finally:
            c.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong

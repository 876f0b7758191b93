"""COPY both ways, its failures, and Sync and Flush at odd places."""
from lib.targets import everywhere
from lib.wire import COPY_DONE, FLUSH, SYNC, copy_data, copy_fail, execute, parse, query, run


def table(c, name="copied"):
    c.query(f"drop table if exists {name}; create table {name} (a int, b text)")


@everywhere
def test_copy_in(target):
    with target.wire() as c:
        table(c)
        c.send(query("copy copied from stdin"))
        outcome = [c.until("G")]
        c.send(copy_data(b"1\tone\n2\ttw"), copy_data(b"o\n"), COPY_DONE)
        return outcome, c.until_ready(), c.query("select * from copied order by a")


@everywhere
def test_copy_in_without_waiting(target):
    """The data is sent with the query in one go, and more queries behind it."""
    with target.wire() as c:
        table(c)
        c.send(query("copy copied from stdin"), *[copy_data(b"%d\tx\n" % i) for i in range(1000)], COPY_DONE,
               query("select count(*), sum(a) from copied"), query("select 1"))
        return c.until_ready(3)


@everywhere
def test_copy_fail(target):
    with target.wire() as c:
        table(c)
        c.send(query("copy copied from stdin"), copy_data(b"1\tone\n"), copy_fail("changed my mind"))
        return c.until_ready(), c.query("select count(*) from copied"), c.query("select 2")


@everywhere
def test_copy_bad_data(target):
    """The server fails in the middle, while the client goes on sending."""
    with target.wire() as c:
        table(c)
        c.send(query("copy copied from stdin"), copy_data(b"x\tone\n"), *[copy_data(b"2\ttwo\n")] * 2000, COPY_DONE,
               query("select count(*) from copied"))
        return c.until_ready(2), c.query("select 2")


@everywhere
def test_copy_in_extended(target):
    with target.wire() as c:
        table(c)
        c.send(parse("", "copy copied from stdin"), run(""), FLUSH)
        outcome = [c.until("G")]
        c.send(copy_data(b"1\tone\n"), COPY_DONE, SYNC)
        return outcome, c.until_ready(), c.query("select * from copied")


@everywhere
def test_sync_and_flush_inside_copy_in(target):
    """PostgreSQL ignores Sync and Flush while it reads COPY data; the one Sync behind CopyDone counts."""
    with target.wire() as c:
        table(c)
        c.send(parse("", "copy copied from stdin"), run(""), SYNC)
        outcome = [c.until("G")]
        c.send(copy_data(b"1\tone\n"), SYNC, FLUSH, copy_data(b"2\ttwo\n"), COPY_DONE, SYNC)
        return outcome, c.until_ready(), c.query("select * from copied order by a")


@everywhere
def test_copy_fail_extended(target):
    with target.wire() as c:
        table(c)
        c.send(parse("", "copy copied from stdin"), run(""), FLUSH)
        outcome = [c.until("G")]
        c.send(copy_fail("no"), parse("", "select 1"), run(""), SYNC)
        return outcome, c.until_ready(), c.ask(parse("", "select 2"), run(""), SYNC)


@everywhere
def test_query_inside_copy_in(target):
    """Another message than COPY's own ends it with an error and the connection, and nothing was copied."""
    with target.wire() as c, target.wire() as other:
        table(c)
        c.send(query("copy copied from stdin"))
        c.until("G")
        c.send(copy_data(b"1\tone\n"), query("select 1"))
        replies = c.rest()
        return replies[0][:2], "Z" in [reply[0] for reply in replies], other.query("select count(*) from copied")


@everywhere
def test_stray_copy_messages(target):
    """CopyData, CopyDone and CopyFail outside of a COPY are ignored."""
    with target.wire() as c:
        c.send(copy_data(b"stray"), COPY_DONE, copy_fail("stray"))
        return c.query("select 1")


@everywhere
def test_copy_out(target):
    with target.wire() as c:
        return [c.query("copy (select i, 'v' || i from generate_series(1, 5) i) to stdout"),
                c.query("copy (select 1) to stdout (format binary)"),
                c.ask(parse("", "copy (select 7) to stdout"), run(""), SYNC)]


@everywhere
def test_copy_out_with_an_error_behind_rows(target):
    with target.wire() as c:
        replies = c.query("copy (select 1 / (100 - i) from generate_series(1, 200) i) to stdout")
        return replies[0], replies[-2:], c.query("select 1")


@everywhere
def test_copy_out_of_50_MB(target):
    with target.wire() as c:
        c.send(query("copy (select repeat('x', 999) from generate_series(1, 50000)) to stdout"))
        total, last = 0, None
        while last is None or last[0] != "Z":
            last = c.receive()
            if last[0] == "d":
                total += len(last[1])
        return total, c.query("select 1")


@everywhere
def test_copy_in_of_20_MB(target):
    with target.wire() as c:
        table(c)
        row = b"1\t" + b"y" * 997 + b"\n"
        c.send(query("copy copied from stdin"))
        for _ in range(200):
            c.send(copy_data(row * 100))
        c.send(COPY_DONE)
        outcome = c.until_ready(), c.query("select count(*), sum(length(b)) from copied")
        table(c)
        return outcome


@everywhere
def test_two_copies_in_one_query(target):
    with target.wire() as c:
        table(c)
        c.send(query("copy copied from stdin; copy copied from stdin; copy copied to stdout; select 1"),
               copy_data(b"1\ta\n"), COPY_DONE, copy_data(b"2\tb\n"), COPY_DONE)
        return c.until_ready()


@everywhere
def test_copy_in_transaction_rolled_back(target):
    with target.wire() as c:
        table(c)
        outcome = [c.query("begin")]
        c.send(query("copy copied from stdin"), copy_data(b"1\tone\n"), COPY_DONE)
        outcome += [c.until_ready(), c.query("rollback"), c.query("select count(*) from copied")]
        return outcome


@everywhere
def test_copy_after_pipelined_statements(target):
    with target.wire() as c:
        table(c)
        c.send(parse("", "insert into copied values (0, 'zero')"), run(""), parse("", "copy copied from stdin"), run(""),
               copy_data(b"1\tone\n"), COPY_DONE, SYNC, query("select count(*) from copied"))
        return c.until_ready(2)


@everywhere
def test_empty_execute_of_copy_portal(target):
    with target.wire() as c:
        return c.ask(parse("", "copy (select 1) to stdout"), run(""), execute(), SYNC), c.query("select 1")

"""After ALTER TABLE prepared statements go on, wherever that is possible without a lie to the client."""
import asyncio

import asyncpg
import psycopg
import pytest

from lib.targets import everywhere
from lib.wire import SYNC, bind, describe, execute, parse, run


def alter(target, sql):
    with target.wire() as c:
        replies = c.query(sql)
        assert replies[-1] == ("Z", "I") and all(reply[0] != "E" for reply in replies), replies
        c.query("select 1")  # its server is surveyed because of the DDL, and then as free as it was


@everywhere
def test_asyncpg(target):
    """asyncpg heals itself outside of a transaction: its new Parse must not meet the old plan."""
    async def main():
        alter(target, "drop table if exists ddl1; create table ddl1 (a int, b text); insert into ddl1 values (1, 'x')")
        clients = [await asyncpg.connect(**target.keywords) for _ in range(5)]
        outcome = []
        for c in clients:
            outcome.append([tuple(row) for row in await c.fetch("select * from ddl1")])
        alter(target, "alter table ddl1 add column c int default 7")
        for c in clients:
            for _ in range(3):
                outcome.append([tuple(row) for row in await c.fetch("select * from ddl1")])
        alter(target, "alter table ddl1 alter column a type text")
        for c in clients:
            outcome.append([tuple(row) for row in await c.fetch("select * from ddl1")])
            await c.close()
        return outcome

    return asyncio.run(main())


@everywhere
def test_asyncpg_in_a_transaction(target):
    """There it cannot; the error is PostgreSQL's, and the next transaction is fine."""
    async def main():
        alter(target, "drop table if exists ddl2; create table ddl2 (a int); insert into ddl2 values (1)")
        c = await asyncpg.connect(**target.keywords)
        outcome = [[tuple(row) for row in await c.fetch("select * from ddl2")]]
        alter(target, "alter table ddl2 add column b int default 5")
        for _ in range(3):
            try:
                async with c.transaction():
                    outcome.append([tuple(row) for row in await c.fetch("select * from ddl2")])
            except asyncpg.PostgresError as error:
                outcome.append(error.sqlstate)
        await c.close()
        return outcome

    return asyncio.run(main())


@pytest.mark.parametrize("mode", ["transaction"])
def test_psycopg_heals(weir, mode):
    """psycopg describes the portal at each execution: a new shape is no surprise, so pgweir re-prepares and retries."""
    w = weir(pool_size=2)
    host, port = w.at(mode)
    dsn = f"host={host} port={port} dbname=e2e user=postgres"
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as a, \
            psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as b:
        a.execute("drop table if exists ddl3", prepare=False)
        a.execute("create table ddl3 (a int)", prepare=False)
        a.execute("insert into ddl3 values (1)", prepare=False)
        for c in (a, b):
            assert c.execute("select * from ddl3").fetchall() == [(1,)]
        a.execute("alter table ddl3 add column b text default 'new'", prepare=False)
        for _ in range(3):
            for c in (a, b):
                assert c.execute("select * from ddl3").fetchall() == [(1, "new")]


def test_raw_heals_and_tells_the_new_shape(weir):
    w = weir(pool_size=1)
    with w.wire(database="e2e") as c, w.wire(database="e2e") as other:
        c.query("drop table if exists ddl4; create table ddl4 (a int); insert into ddl4 values (1)")
        c.ask(parse("s", "select * from ddl4"), SYNC)
        batch = bind("", "s") + describe("P", "") + execute() + SYNC
        assert c.ask(batch) == [("2",), ("T", ("a", 23)), ("D", b"1"), ("C", "SELECT 1"), ("Z", "I")]
        other.query("alter table ddl4 add column b int default 2")
        assert c.ask(batch) == [("2",), ("T", ("a", 23), ("b", 23)), ("D", b"1", b"2"), ("C", "SELECT 1"), ("Z", "I")]
        # Without Describe the client decodes by what it was told before: rows of another shape must not come.
        other.query("alter table ddl4 add column c int default 3")
        got = c.ask(run("s"), SYNC)
        assert got == [("E", "0A000", "cached plan must not change result type"), ("Z", "I")], got


@everywhere
def test_same_shape_needs_nothing(target):
    """DDL that leaves the result as it was is not noticed by anybody."""
    alter(target, "drop table if exists ddl5; create table ddl5 (a int, b int); insert into ddl5 values (1, 2)")
    with target.wire() as c:
        outcome = [c.ask(parse("s", "select a from ddl5"), run("s"), SYNC)]
        alter(target, "alter table ddl5 add column c int; create index on ddl5 (a); alter table ddl5 drop column b")
        outcome += [c.ask(run("s"), SYNC) for _ in range(3)]
        alter(target, "drop table ddl5")
        outcome += [c.ask(run("s"), SYNC)]
        alter(target, "create table ddl5 (a int)")
        outcome += [c.ask(run("s"), SYNC)]
        return outcome


@everywhere
def test_healing_in_the_middle_of_a_pipeline(target):
    """In a pipeline with work before it in the same transaction there is no retry; the error is the same as directly."""
    alter(target, "drop table if exists ddl6; create table ddl6 (a int); insert into ddl6 values (1)")
    with target.wire() as c:
        c.ask(parse("s", "select * from ddl6"), parse("i", "insert into ddl6 values (2)"), run("s"), SYNC)
        alter(target, "alter table ddl6 add column b int")
        outcome = c.ask(run("i"), bind("", "s"), execute(), SYNC)
        return outcome, c.query("select count(*) from ddl6")


def taught_after_the_change(weir, world, ask):
    """A client has described its statement on one server; the table changes where pgweir does not see it; then the
    client gets a server that never had the statement. What it answers to `ask`."""
    w = weir(pool_size=2)
    with w.wire(database="e2e") as c, w.wire(database="e2e") as other, world.direct.wire() as d:
        d.query("drop table if exists ddl7; create table ddl7 (a int); insert into ddl7 values (1)")
        c.query("select 1")  # a pool's first transaction keeps its server a little longer, until it is surveyed
        c.query("select 1")
        assert c.ask(parse("s", "select * from ddl7"), describe("S", "s"), SYNC)[2] == ("T", ("a", 23))
        d.query("alter table ddl7 alter column a type text")
        other.query("begin")  # takes the server that has the statement: it was used last
        outcome = c.ask(*ask), c.ask(parse("t", "select * from ddl7"), describe("S", "t"), run("t"), SYNC)
        other.query("commit")
        return outcome


STALE = ("E", "0A000", "cached plan must not change result type")
NEW = [("1",), ("t",), ("T", ("a", 25)), ("2",), ("D", b"1"), ("C", "SELECT 1"), ("Z", "I")]


def test_a_server_taught_after_the_change_gives_no_rows_of_another_shape(weir, world):
    assert taught_after_the_change(weir, world, [run("s"), SYNC]) == ([STALE, ("Z", "I")], NEW)


def test_a_server_taught_after_the_change_may_describe_anew(weir, world):
    again = [("t",), ("T", ("a", 25)), ("2",), ("D", b"1"), ("C", "SELECT 1"), ("Z", "I")]
    assert taught_after_the_change(weir, world, [describe("S", "s"), run("s"), SYNC]) == (again, NEW)


def test_describe_of_an_old_plan_is_healed(weir, world):
    """Whoever only asks what a statement gives can be told the new shape."""
    w = weir(pool_size=1)
    with w.wire(database="e2e") as c, world.direct.wire() as d:
        d.query("drop table if exists ddl8; create table ddl8 (a int); insert into ddl8 values (1)")
        c.ask(parse("s", "select * from ddl8"), describe("S", "s"), SYNC)
        d.query("alter table ddl8 alter column a type text")
        assert c.ask(parse("t", "select * from ddl8"), describe("S", "t"), SYNC) == [
            ("1",), ("t",), ("T", ("a", 25)), ("Z", "I")]
        # The first name was described with the old shape: its rows must not come in the new one.
        assert c.ask(run("s"), SYNC) == [STALE, ("Z", "I")]
        assert c.ask(run("t"), SYNC)[1] == ("D", b"1")

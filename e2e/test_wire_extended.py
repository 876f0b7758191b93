"""The extended protocol to the byte: pipelines, errors in the middle, Flush, names, Close, Describe, function calls."""
from lib.targets import everywhere
from lib.wire import (FLUSH, SYNC, bind, close, describe, execute, function_call, parse, query, run)

INT4 = 23
TEXT = 25


@everywhere
def test_parse_bind_execute(target):
    with target.wire() as c:
        return c.ask(parse("", "select $1::int + 1 as n, $2::text as t", INT4, TEXT), describe("S", ""),
                     bind("", "", 41, "x"), describe("P", ""), execute(), SYNC)


@everywhere
def test_many_syncs_in_flight(target):
    """Hundreds of complete requests are sent before the first reply is read; every reply is there and in order."""
    with target.wire() as c:
        outcome = c.ask(parse("s", "select $1::int", INT4), SYNC)
        c.send(*[run("s", i) + SYNC for i in range(500)])
        return outcome, c.until_ready(500)


@everywhere
def test_pipeline_of_transactions(target):
    with target.wire() as c:
        c.query("drop table if exists pipe; create table pipe (a int)")
        sent = []
        for i in range(50):
            sent += [parse("", "begin"), run(""), parse("", "insert into pipe values ($1)", INT4), run("", i),
                     parse("", "commit" if i % 2 else "rollback"), run(""), SYNC]
        c.send(*sent)
        outcome = c.until_ready(50)
        return outcome, c.query("select count(*), sum(a) from pipe")


@everywhere
def test_error_in_the_middle(target):
    """After an error everything up to the Sync is skipped, what follows works."""
    with target.wire() as c:
        c.send(parse("a", "select 1"), run("a"), parse("b", "select 1/0"), run("b"), parse("c", "select 3"), run("c"),
               SYNC, parse("d", "select 4"), run("d"), SYNC, run("c"), SYNC, run("a"), SYNC, run("b"), SYNC)
        return c.until_ready(5)


@everywhere
def test_error_at_parse_then_the_name_is_free(target):
    with target.wire() as c:
        first = c.ask(parse("p", "selekt 1"), run("p"), SYNC)
        second = c.ask(run("p"), SYNC)
        third = c.ask(parse("p", "select 5"), run("p"), SYNC)
        return first, second, third


@everywhere
def test_error_inside_a_transaction(target):
    with target.wire() as c:
        return [c.query("begin"), c.ask(parse("x", "select 1/0"), run("x"), SYNC),
                c.ask(parse("y", "select 1"), run("y"), SYNC), c.query("rollback"),
                c.ask(parse("y", "select 1"), run("y"), SYNC), c.ask(run("x"), SYNC)]


@everywhere
def test_flush_gives_replies_without_sync(target):
    with target.wire() as c:
        c.send(parse("f", "select $1::int", INT4), describe("S", "f"), FLUSH)
        first = c.until("T", "n")
        c.send(bind("", "f", 7), execute(), FLUSH)
        second = c.until("C")
        c.send(SYNC)
        return first, second, c.until_ready()


@everywhere
def test_flush_then_error_then_sync(target):
    with target.wire() as c:
        c.send(parse("", "select 1/0"), run(""), FLUSH)
        first = c.until("E")
        c.send(parse("", "select 2"), run(""), FLUSH, SYNC)
        return first, c.until_ready(), c.query("select 3")


@everywhere
def test_sync_alone(target):
    with target.wire() as c:
        return c.ask(SYNC), c.ask(SYNC, SYNC, SYNC, syncs=3)


@everywhere
def test_flush_alone_then_query(target):
    with target.wire() as c:
        c.send(FLUSH)
        return c.query("select 1")


@everywhere
def test_unnamed_parsed_once_bound_later(target):
    """The unnamed statement outlives its transaction, as it does on a connection of one's own."""
    with target.wire() as c, target.wire() as other:
        outcome = [c.ask(parse("", "select $1::int * 2", INT4), SYNC)]
        for i in range(10):
            other.ask(parse("", f"select 'other {i}'"), run(""), SYNC)
            outcome.append(c.ask(run("", i), SYNC))
        outcome.append(c.ask(describe("S", ""), SYNC))
        return outcome


@everywhere
def test_simple_query_forgets_the_unnamed_statement(target):
    with target.wire() as c:
        return c.ask(parse("", "select 1"), SYNC), c.query("select 2"), c.ask(run(""), SYNC), c.query("select 3")


@everywhere
def test_named_statement_over_transactions(target):
    with target.wire() as c:
        outcome = [c.ask(parse("n", "select $1::text || '!'", TEXT), describe("S", "n"), SYNC)]
        outcome += [c.ask(run("n", f"v{i}"), SYNC) for i in range(20)]
        outcome += [c.query("begin"), c.ask(run("n", "in"), SYNC), c.query("commit"), c.ask(run("n", "out"), SYNC)]
        return outcome


@everywhere
def test_describe_only(target):
    with target.wire() as c:
        c.ask(parse("d", "select $1::int as a, now() as b", INT4), SYNC)
        return [c.ask(describe("S", "d"), SYNC) for _ in range(5)] + [c.ask(describe("S", "nothing"), SYNC),
                                                                     c.ask(describe("P", "nothing"), SYNC)]


@everywhere
def test_describe_without_rows(target):
    with target.wire() as c:
        return c.ask(parse("", "create table if not exists described (a int)"), describe("S", ""), SYNC)


@everywhere
def test_same_name_twice_is_42P05(target):
    with target.wire() as c:
        return [c.ask(parse("dup", "select 1"), SYNC), c.ask(parse("dup", "select 1"), SYNC),
                c.ask(parse("dup", "select 2"), SYNC), c.ask(run("dup"), SYNC), c.ask(close("S", "dup"), SYNC),
                c.ask(parse("dup", "select 3"), run("dup"), SYNC)]


@everywhere
def test_close(target):
    with target.wire() as c:
        return [c.ask(parse("k", "select 1"), run("k"), SYNC), c.ask(close("S", "k"), SYNC), c.ask(run("k"), SYNC),
                c.ask(close("S", "k"), SYNC), c.ask(close("S", "never"), close("P", "never"), SYNC),
                c.ask(parse("k", "select 2"), run("k"), close("S", "k"), parse("k", "select 3"), run("k"), SYNC)]


@everywhere
def test_two_clients_same_name_different_sql(target):
    with target.wire() as a, target.wire() as b:
        outcome = [a.ask(parse("s1", "select 'of a'::text, $1::int", INT4), SYNC),
                   b.ask(parse("s1", "select 'of b'::text, $1::int * 100", INT4), SYNC)]
        for i in range(20):
            outcome += [a.ask(run("s1", i), SYNC), b.ask(run("s1", i), SYNC)]
        outcome += [a.ask(close("S", "s1"), SYNC), b.ask(run("s1", 1), SYNC), a.ask(run("s1", 1), SYNC)]
        return outcome


@everywhere
def test_same_sql_other_types(target):
    """Parameter types belong to a statement as much as its text."""
    with target.wire() as a, target.wire() as b:
        outcome = [a.ask(parse("t", "select $1", INT4), SYNC), b.ask(parse("t", "select $1", TEXT), SYNC)]
        for _ in range(3):
            outcome += [a.ask(describe("S", "t"), run("t", "7"), SYNC), b.ask(describe("S", "t"), run("t", "seven"), SYNC)]
        return outcome


@everywhere
def test_deallocate_all_of_one_client(target):
    with target.wire() as a, target.wire() as b:
        outcome = [c.ask(parse("d1", "select 1"), parse("d2", "select 2"), SYNC) for c in (a, b)]
        for statement in ("deallocate all", "discard all"):
            outcome += [a.query(statement), a.ask(run("d1"), SYNC), b.ask(run("d1"), SYNC), b.ask(run("d2"), SYNC),
                        a.ask(parse("d1", "select 11"), run("d1"), SYNC), b.ask(run("d1"), SYNC)]
        return outcome


@everywhere
def test_deallocate_of_a_protocol_statement(target):
    with target.wire() as a, target.wire() as b:
        outcome = [c.ask(parse("d1", "select 1"), SYNC) for c in (a, b)]
        outcome += [a.query("deallocate d1"), a.ask(run("d1"), SYNC), b.ask(run("d1"), SYNC),
                    a.query("DEALLOCATE PREPARE nothing"), b.ask(run("d1"), SYNC),
                    b.ask(parse("", "deallocate d1"), run(""), SYNC), b.ask(run("d1"), SYNC)]
        return outcome


@everywhere
def test_portals_in_a_transaction(target):
    """Execute with a row limit suspends the portal; two portals take turns."""
    with target.wire() as c:
        outcome = [c.query("begin"), c.ask(parse("g", "select generate_series(1, $1::int)", INT4), SYNC)]
        outcome += [c.ask(bind("p1", "g", 5), bind("p2", "g", 4), execute("p1", 2), execute("p2", 3), SYNC)]
        outcome += [c.ask(execute("p1", 2), execute("p2", 3), describe("P", "p1"), SYNC)]
        outcome += [c.ask(close("P", "p1"), execute("p1"), SYNC), c.query("rollback")]
        return outcome


@everywhere
def test_function_call(target):
    """The old fast path; 1397 is pg_catalog.abs(int4)."""
    with target.wire() as c:
        return [c.ask(function_call(1397, -5)), c.ask(function_call(1397, 7)), c.ask(function_call(999999999, 1)),
                c.query("select 1")]


@everywhere
def test_function_call_in_a_transaction(target):
    with target.wire() as c:
        return [c.query("begin"), c.ask(function_call(1397, -5)), c.ask(function_call(1397, "x")),
                c.ask(function_call(1397, -6)), c.query("rollback")]


@everywhere
def test_empty_query(target):
    with target.wire() as c:
        return c.query(""), c.query(" ; "), c.ask(parse("", ""), run(""), SYNC)


@everywhere
def test_multi_statement_simple(target):
    with target.wire() as c:
        return [c.query("select 1; select 2; select 1/0; select 3"), c.query("begin; select 1; commit; select 2"),
                c.query("begin; select 1"), c.query("select 2; rollback; begin; select 3"), c.query("commit")]


@everywhere
def test_simple_queries_in_flight(target):
    with target.wire() as c:
        c.send(*[query(f"select {i}") for i in range(200)])
        return c.until_ready(200)


@everywhere
def test_simple_and_extended_mixed_in_flight(target):
    with target.wire() as c:
        sent, syncs = [parse("m", "select $1::int", INT4), SYNC], 1
        for i in range(50):
            sent += [query(f"select 'q{i}'"), run("m", i), SYNC, query("begin"), run("m", i), SYNC, query("select 1/0"),
                     query("rollback"), function_call(1397, -i)]
            syncs += 7
        c.send(*sent)
        return c.until_ready(syncs)


@everywhere
def test_bytes_one_by_one(target):
    """A message may arrive in any number of pieces."""
    with target.wire() as c:
        data = b"".join([parse("o", "select $1::int", INT4), run("o", 5), SYNC, query("select 6"), run("o", 7), SYNC])
        for i in range(len(data)):
            c.send(data[i:i + 1])
        return c.until_ready(3)


@everywhere
def test_notices(target):
    with target.wire() as c:
        return [c.query("do $$ begin raise notice 'one'; raise warning 'two'; end $$"),
                c.query("drop table if exists no_such_table_at_all"),
                c.ask(parse("", "do $$ begin raise notice 'three'; end $$"), run(""), SYNC)]


@everywhere
def test_many_statements_of_one_client(target):
    """More than a server may keep is still all there for the client."""
    with target.wire() as c:
        c.send(*[parse(f"many{i}", f"select {i}") + SYNC for i in range(1200)])
        outcome = c.until_ready(1200)
        c.send(*[run(f"many{i}") + SYNC for i in range(0, 1200, 7)])
        return outcome, c.until_ready(len(range(0, 1200, 7)))


@everywhere
def test_binary_values(target):
    with target.wire() as c:
        return c.ask(parse("", "select $1::bytea, $2::int", 17, INT4),
                     bind("", "", b"\0\xff\0S\0\0\0\4", b"\0\0\1\0", formats=(1, 1), result_formats=(1,)), execute(), SYNC)

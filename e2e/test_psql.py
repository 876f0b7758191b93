"""psql, as people type it."""
from lib.targets import everywhere
from lib.tools import BIN, psql, run


@everywhere
def test_basic(target):
    return psql(target, "select 1 as one, 'x' as two; select * from generate_series(1, 3);\n\\echo done\n")


@everywhere
def test_errors_and_notices(target):
    return psql(target, """
        select 1/0;
        select * from no_such_table;
        do $$ begin raise notice 'hello %', 1; end $$;
        select 'it goes on';
        """, "-v", "VERBOSITY=verbose")


@everywhere
def test_stop_on_error(target):
    return psql(target, "select 1;\nselect 1/0;\nselect 2;\n", "-v", "ON_ERROR_STOP=1")


@everywhere
def test_multi_statement(target):
    return run([BIN / "psql", "-X", "-c", "select 1; select 2; select 3", "-c", "begin; select 4; commit"], target)


@everywhere
def test_single_transaction(target):
    return psql(target, "drop table if exists psql1; create table psql1 (a int); insert into psql1 values (1);"
                        "select * from psql1; drop table psql1;", "-1", "-q")


@everywhere
def test_transactions(target):
    return psql(target, """
        drop table if exists psql2; create table psql2 (a int);
        begin; insert into psql2 values (1); savepoint s; insert into psql2 values (2); rollback to s;
        insert into psql2 values (3); commit;
        begin; insert into psql2 values (4); select 1/0; insert into psql2 values (5); commit;
        begin; insert into psql2 values (6); rollback;
        select * from psql2 order by a; drop table psql2;
        """)


@everywhere
def test_on_error_rollback(target):
    return psql(target, "begin;\nselect 1/0;\nselect 'still here';\ncommit;\n", "-v", "ON_ERROR_ROLLBACK=on")


@everywhere
def test_copy_in_and_out(target):
    return psql(target, """
        drop table if exists psql3; create table psql3 (a int, b text);
        \\copy psql3 from pstdin
        \\copy psql3 to pstdout
        select count(*) from psql3; drop table psql3;
        """.replace("from pstdin\n", "from program 'seq -f \"%g\tline\" 1000'\n").replace(
            "to pstdout", "to program 'sort -n | tail -n 2 | md5sum >&2'"))


@everywhere
def test_copy_from_stdin(target):
    return psql(target, "drop table if exists psql4; create table psql4 (a int);\ncopy psql4 from stdin;\n1\n2\n\\.\n"
                        "copy psql4 from stdin;\n1\nx\n\\.\ncopy psql4 to stdout;\ndrop table psql4;\n")


@everywhere
def test_gexec_and_describe(target):
    return psql(target, """
        drop table if exists psql5; create table psql5 (a int primary key, b text not null);
        \\d psql5
        select 'insert into psql5 values (' || i || ', ''x'')' from generate_series(1, 5) i \\gexec
        select count(*) as n from psql5 \\gset
        \\echo :n
        \\dt psql5
        drop table psql5;
        """)


@everywhere
def test_fetch_count(target):
    """psql reads through a cursor of its own."""
    return psql(target, "\\set FETCH_COUNT 100\nselect i, repeat('x', 10) from generate_series(1, 1050) i;\n", "-At")


@everywhere
def test_many_rows(target):
    code, out, err = psql(target, "select i, md5(i::text) from generate_series(1, 200000) i;\n", "-At")
    return code, len(out), hash(out), err


@everywhere
def test_connection_string_and_parameters(target):
    return run([BIN / "psql", "-XAt", "-d", f"{target.url}?application_name=a%20b&connect_timeout=5",
                "-c", "show application_name", "-c", "show statement_timeout", "-c", "show search_path"],
               target, env={"PGOPTIONS": "-c statement_timeout=7s -c search_path=public", "PGTZ": "Asia/Tokyo"})


@everywhere
def test_reconnect(target):
    return psql(target, "select 1;\n\\c\nselect 2;\n\\c -\nselect 3;\n", "-qAt")


@everywhere
def test_dump(target):
    """pg_dump sets a dozen settings in one transaction."""
    psql(target, "drop table if exists psql6; create table psql6 (a int primary key, b text);"
                 "insert into psql6 select i, 'v' || i from generate_series(1, 500) i;")
    code, out, err = run([BIN / "pg_dump", "-t", "psql6"], target)
    psql(target, "drop table psql6")
    return code, [line for line in out.splitlines() if "restrict " not in line], err  # has a new key every time

"""What a statement's text does not show: functions, triggers, views and the like that set, lock, listen, prepare or
create. The canary comes next on the same server, and finds a session as new; who has done it keeps what it has done."""
import itertools
import select
import time

import pytest

from lib.canary import canary
from lib.wire import SYNC, bind, execute, function_call, parse, query, run

CANARY = canary("myapp.tenant")
NOTHING = [("C", "SELECT 0"), ("Z", "I")]

# What is done, and a question whose answer is then 't' for who has done it.
DEEDS = {
    "setting": ("perform set_config('work_mem', '7MB', false);", "select current_setting('work_mem') = '7MB'"),
    "set": ("set work_mem = '7MB';", "select current_setting('work_mem') = '7MB'"),
    "custom": ("perform set_config('myapp.tenant', '5', false);", "select current_setting('myapp.tenant') = '5'"),
    "set custom": ("set myapp.tenant = '5';", "select current_setting('myapp.tenant') = '5'"),
    "computed custom": ("perform set_config('myapp.' || 'tenant', '5', false);",
                        "select current_setting('myapp.tenant') = '5'"),
    "role": ("set role pg_monitor;", "select current_user = 'pg_monitor'"),
    "lock": ("perform pg_advisory_lock(99);",
             "select count(*) = 1 from pg_locks where locktype = 'advisory' and objid = 99"),
    "temporary": ("create temp table mine (a int);", "select count(*) = 0 from mine"),
    "listen": ("listen here;", "select count(*) = 1 from pg_listening_channels() c where c = 'here'"),
    "prepare": ("execute 'prepare mine as select 1';",
                "select count(*) = 1 from pg_prepared_statements where name = 'mine'"),
    "computed": ("execute concat(chr(115), 'et work_mem = ''7MB''');", "select current_setting('work_mem') = '7MB'"),
}
SETS = "set_config('work_mem', '7MB', false)"
SET_BY = DEEDS["setting"][1]
LIST = "select statement from pg_prepared_statements"
numbers = itertools.count()


@pytest.fixture
def base(postgres):
    """A database of the test's own: what other tests have made would be found, too."""
    name = f"suspect{next(numbers)}"
    postgres.psql(f"create database {name}")
    yield name
    postgres.psql(f"drop database {name} with (force)")


@pytest.fixture
def place(weir, postgres, base):
    """Makes a pgweir before that database; with one server unless told otherwise."""
    def make(databases=None, **top):
        at = {"url": f"postgresql://postgres@127.0.0.1:{postgres.port}/{base}", "pool_size": 1, "max_overflow": 0,
              "pool_timeout": "20s"}
        return weir(databases={"e2e": {**at, **(databases or {})}}, top={"survey_interval": "24h", **top})
    return make


def plain(name, body):
    return f"create function {name}() returns int language plpgsql as $body$ begin {body} return 1; end $body$"


def direct(postgres, base, *texts):
    for text in texts:
        postgres.psql(text, database=base)


def settle(w):
    """Has the database surveyed, by a client that does nothing."""
    with w.wire(database="e2e") as c:
        c.query("select 1")
        c.query("select 1")


def assert_clean(w):
    with w.wire(database="e2e") as canary:
        assert canary.query(CANARY)[1:] == NOTHING


def assert_found(w, text, question, clean=True):
    """The client keeps what the text does, and the next one finds nothing of it."""
    others = w.wire(database="e2e")
    with w.wire(database="e2e") as c:
        got = c.query(text) if isinstance(text, str) else c.ask(*text)
        assert got[-1] == ("Z", "I") and not [r for r in got if r[0] == "E"], got
        if w.pinned:
            assert c.value(question) == "t"
        else:
            assert others.query(CANARY)[1:] == NOTHING
            assert c.value(question) == "t"
            assert others.query(CANARY)[1:] == NOTHING
    others.close()
    assert_clean(w)


def goes_along(deed):
    return deed in ("setting", "set", "custom", "set custom", "role", "computed")


@pytest.mark.parametrize("deed", DEEDS)
def test_what_is_done_by_a_function(place, postgres, base, deed):
    body, question = DEEDS[deed]
    direct(postgres, base, plain("does", body), plain("calls", "perform does();"),
           "create procedure runs() language plpgsql as $$ begin perform calls(); end $$",
           "create schema other", plain("other.far", body), plain('"My Func"', body), plain('"q""uote"', body),
           "create view sees as select calls()",
           "create table filled (a int default 1)",
           "create function fires() returns trigger language plpgsql as $$ begin perform calls(); return new; end $$",
           "create trigger fires before insert on filled for each row execute function fires()")
    w = place()
    w.pinned = not goes_along(deed)
    oid = postgres.psql("select 'does'::regproc::oid", database=base).strip()
    texts = ["select does()", "select calls()", "call runs()", "select other.far()", 'select "My Func"()',
             'select "q""uote"()', "select U&\"d\\006fes\"()", "SELECT DOES ( )", "select * from sees",
             "insert into filled values (1)", "copy (select does()) to stdout", "select/**/does()",
             "begin; select does(); commit", "do 'begin perform does(); end'", "explain analyze select does()",
             (function_call(int(oid)),),
             (parse("", "select does()"), bind("", ""), execute(), SYNC),
             (parse("s", "insert into filled values (2)"), SYNC, run("s"), SYNC)]
    for text in texts:
        if isinstance(text, tuple) and text.count(SYNC) > 1:
            with w.wire(database="e2e") as c:
                c.ask(*text, syncs=2)
                assert c.value(question) == "t", text
            assert_clean(w)
        else:
            assert_found(w, text, question)


LEADING = {
    "sql": ("create function leads() returns text language sql as $$ select SETS $$", "select leads()"),
    "sql, standard body": ("create function leads() returns text language sql return SETS", "select leads()"),
    "sql, standard body that calls": ("create function leads() returns text language sql return does()", "select leads()"),
    "default of an argument": ("create function leads(a text default SETS) returns text language plpgsql as "
                               "$$ begin return a; end $$", "select leads()"),
    "aggregate": ("create function step(a int, b int) returns int language plpgsql as $$ begin perform SETS; return 1; end $$;"
                  "create aggregate leads(int) (sfunc = step, stype = int)", "select leads(1)"),
    "procedure that commits": ("create procedure leads() language plpgsql as $$ begin perform SETS; commit; end $$",
                               "call leads()"),
    "view": ("create view leads as select SETS as a", "select * from leads"),
    "view of a view": ("create view inner_view as select does() as a; create view leads as select * from inner_view",
                       "select * from leads"),
    "rule": ("create table leads (a int); create rule r as on insert to leads do also select does()",
             "insert into leads values (1)"),
    "default": ("create table leads (a int, b text default SETS)", "insert into leads values (1)"),
    "default by a function": ("create table leads (a int, b text default does())", "insert into leads values (1)"),
    "check": ("create table leads (a int check (does() is not null))", "insert into leads values (1)"),
    "generated": ("create table leads (a int, b text generated always as (quiet(a)) stored)", "insert into leads values (1)"),
    "index": ("create table leads (a int); create index on leads (quiet(a))", "insert into leads values (1)"),
    "domain": ("create domain d as int check (does() is not null); create table leads (a d)", "insert into leads values (1)"),
    "cast to a domain": ("create domain leads as int check (does() is not null)", "select 1::leads"),
    "type in a body": ("create domain d as int check (does() is not null); create function leads() returns int language plpgsql "
                       "as $$ declare x d; begin x := 1; return x; end $$", "select leads()"),
    "trigger": ("create table leads (a int); create trigger t after insert on leads execute function fires()",
                "insert into leads values (1)"),
    "trigger's condition": ("create table leads (a int); create trigger t before insert on leads for each row "
                            "when (does() is null) execute function suppress_redundant_updates_trigger()",
                            "insert into leads values (1)"),
    "deferred trigger": ("create table leads (a int); create constraint trigger t after insert on leads deferrable "
                         "initially deferred for each row execute function fires()",
                         "begin; insert into leads values (1); commit"),
    "trigger of a partition": ("create table leads (a int) partition by list (a); create table part partition of leads "
                               "default; create trigger t before insert on part for each row execute function fires()",
                               "insert into leads values (1)"),
    "trigger of the parent": ("create table top (a int) partition by list (a); create trigger t after insert on top for each "
                              "row execute function fires(); create table leads partition of top default",
                              "insert into leads values (1)"),
    "trigger of a child": ("create table leads (a int); create table child () inherits (leads); insert into child values (1); "
                           "create trigger t before update on child for each row execute function fires()",
                           "update leads set a = 2"),
    "cascade": ("create table leads (a int primary key); insert into leads values (1); create table child (a int references "
                "leads on delete cascade); insert into child values (1); create trigger t before delete on child for each "
                "row execute function fires()", "delete from leads"),
    "trigger, by a view": ("create table t (a int); create trigger t before insert on t for each row execute function "
                           "fires(); create view leads as select * from t", "insert into leads values (1)"),
    "trigger, by a function": ("create table t (a int); create trigger t before insert on t for each row execute function "
                               "fires(); create function leads() returns int language plpgsql as "
                               "$$ begin insert into t values (1); return 1; end $$", "select leads()"),
    "trigger, by a computed name": ("create table t (a int); create trigger t before insert on t for each row execute "
                                    "function fires(); create function leads(x text) returns int language plpgsql as "
                                    "$$ begin execute format('insert into %I values (1)', x); return 1; end $$",
                                    "select leads(concat('', 't'))"),
    "operator": ("create function op(int, int) returns bool language plpgsql as $$ begin perform SETS; return true; end $$; "
                 "create operator ### (leftarg = int, rightarg = int, function = op)", "select 1 ### 2"),
    "cast": ("create type leads as (a int); create function make(int) returns leads language plpgsql as "
             "$$ begin perform SETS; return row(1)::leads; end $$; create cast (int as leads) with function make(int)",
             "select (1::leads).a"),
    "event trigger": ("create function on_ddl() returns event_trigger language plpgsql as $$ begin perform SETS; end $$; "
                      "create event trigger e on ddl_command_end execute function on_ddl()",
                      "comment on schema public is 'x'"),
    "policy": ("create table leads (a int); alter table leads enable row level security; alter table leads force row level "
               "security; create policy p on leads using (does() is not null); insert into leads values (1); "
               "grant select on leads to worker; grant usage on schema public to worker",
               "begin; set local role worker; select * from leads; commit"),
    "policy with a call": ("create table leads (a int); alter table leads enable row level security; create policy p on leads "
                           "using (SETS is not null); insert into leads values (1); grant select on leads to worker",
                           "begin; set local role worker; select * from leads; commit"),
}
COMMON = ("create function does() returns text language plpgsql as $$ begin return SETS; end $$",
          "create function quiet(int) returns text immutable language plpgsql as $$ begin perform SETS; return 'x'; end $$",
          "create function fires() returns trigger language plpgsql as $$ begin perform SETS; "
          "if tg_op = 'DELETE' then return old; end if; return new; end $$",
          "do $$ begin create role worker; exception when others then null; end $$")


@pytest.mark.parametrize("way", LEADING)
def test_what_leads_to_one(place, postgres, base, way):
    made, text = LEADING[way]
    direct(postgres, base, *[one.replace("SETS", SETS) for one in (*COMMON, made)])
    # Some of these have called the function when they were made: that is nobody's session any more.
    w = place()
    w.pinned = False
    settle(w)
    assert_found(w, text, SET_BY)


def test_an_ordinary_text_is_not_suspect(place, postgres, base):
    """... in a database with such functions: what an inspection would ask shows in pg_stat_statements' stead in the age of
    a server's last query."""
    direct(postgres, base, *[one.replace("SETS", SETS) for one in COMMON])
    w = place()
    settle(w)
    with w.wire(database="e2e") as c:
        for text, last in (("select 1", "select 1"), ("select does()", "/* pgweir: what is in this session")):
            c.query(text)
            until(lambda: postgres.psql(f"select left(query, {len(last)}) from pg_stat_activity where datname = '{base}' and "
                                        "application_name = '' and state = 'idle'").strip() == last)


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("deed", ["setting", "custom", "computed custom", "lock"])
def test_made_and_used_at_once(place, deed):
    body, question = DEEDS[deed]
    w = place()
    w.pinned = not goes_along(deed)
    settle(w)
    with w.wire(database="e2e") as c:
        c.query(plain("does", body))
    assert_found(w, "select does()", question)
    with w.wire(database="e2e") as c:
        c.query("create or replace" + plain("does", "")[6:])
        c.query("select does()")
    assert_clean(w)
    with w.wire(database="e2e") as c:
        c.query("begin")
        c.query("create or replace" + plain("does", body)[6:])
        c.query("select does()")
        c.query("commit")
        assert c.value(question) == "t"
    assert_clean(w)


def test_made_by_one_user_and_used_by_another(place, postgres, base):
    """Their pools may be on different workers."""
    postgres.psql("do $$ begin create role other login superuser; exception when others then null; end $$")
    w = place()
    for user in ("postgres", "other"):
        with w.wire(database="e2e", user=user) as c:
            c.query("select 1")
            c.query("select 1")
    with w.wire(database="e2e", user="postgres") as c, w.wire(database="e2e", user="other") as d, \
            w.wire(database="e2e", user="other") as canary:
        c.query(plain("does", DEEDS["custom"][0]))
        d.query("select does()")
        assert canary.query(CANARY)[1:] == NOTHING
        assert d.value(DEEDS["custom"][1]) == "t"


def test_used_while_it_is_replaced(place, postgres, base):
    """The statement was sent when the function did nothing, and runs when it does something."""
    direct(postgres, base, plain("does", ""))
    w = place({"pool_size": 3})
    settle(w)
    with w.wire(database="e2e") as a, w.wire(database="e2e") as b:
        a.query("begin")
        a.query("select pg_advisory_xact_lock(1)")
        b.send(query("select pg_advisory_xact_lock(1); select does()"))
        until(lambda: postgres.psql("select count(*) from pg_locks where not granted and locktype = 'advisory'").strip() == "1")
        with w.wire(database="e2e") as c:
            c.query("create or replace" + plain("does", DEEDS["custom"][0])[6:])
        a.query("commit")
        b.until_ready()
        assert b.value(DEEDS["custom"][1]) == "t"
        # Each of the servers.
        others = [w.wire(database="e2e") for _ in range(3)]
        for other in others:
            other.query("begin")
        for other in others:
            assert other.query(CANARY)[1:] == [("C", "SELECT 0"), ("Z", "T")]
        for other in others:
            other.close()


def test_made_beside_pgweir(place, postgres, base):
    w = place(survey_interval="200ms")
    settle(w)
    direct(postgres, base, plain("does", DEEDS["custom"][0]))

    def found():
        with w.wire(database="e2e") as c:
            c.query("select does()")
            with w.wire(database="e2e") as canary:
                left = canary.query(CANARY)[1:]
            if left == NOTHING:
                return c.value(DEEDS["custom"][1]) == "t"
            c.query("set myapp.tenant = ''")
            return False
    until(found)


@pytest.mark.parametrize("deed", ["setting", "lock", "temporary"])
@pytest.mark.parametrize("suspect", ["text", "functions", "always"])
def test_the_choices(place, postgres, base, suspect, deed):
    body, question = DEEDS[deed]
    direct(postgres, base, plain("does", body))
    w = place(suspect=suspect)
    settle(w)
    with w.wire(database="e2e") as c:
        c.query("select does()")
        pinned = suspect != "text" and not goes_along(deed)
        if pinned:
            assert c.value(question) == "t"
        else:
            with w.wire(database="e2e") as canary:
                assert (canary.query(CANARY)[1:] == NOTHING) == (suspect != "text")


SHOWING = {
    "view": ("create view shows as select statement from pg_prepared_statements", "select * from shows"),
    "view of the function": ("create view shows as select statement from pg_prepared_statement()", "select * from shows"),
    "view of a view": ("create view inner_view as select * from pg_prepared_statements; "
                       "create view shows as select statement from inner_view", "select * from shows"),
    "sql": (f"create function shows() returns setof text language sql as $$ {LIST} $$", "select shows()"),
    "sql, standard body": ("create function shows() returns bigint language sql return "
                           "(select count(*) from pg_prepared_statements where statement ~ 'secret')", "select shows()"),
    "plpgsql": (f"create function shows() returns setof text language plpgsql as $$ begin return query {LIST}; end $$",
                "select shows()"),
    "by another": (f"create function deep() returns setof text language sql as $$ {LIST} $$; create function shows() returns "
                   "setof text language plpgsql as $$ begin return query select deep(); end $$", "select shows()"),
    "put together": ("create function shows() returns setof text language plpgsql as $$ begin return query execute "
                     "'select statement from pg_prepared' || '_statements'; end $$", "select shows()"),
    "given": ("create function shows(x text) returns setof text language plpgsql as $$ begin return query execute x; end $$",
              "select shows(concat('select statement from pg_prepared', '_statements'))"),
    "procedure": ("create procedure shows() language plpgsql as $$ declare x text; begin for x in "
                  f"{LIST} loop raise notice '%', x; end loop; end $$", "call shows()"),
    "rule": ("create table log (a text); create table shows (a int); create rule r as on insert to shows do also insert into "
             f"log {LIST}; create function logs() returns setof text language sql as 'select a from log'",
             "insert into shows values (1); select logs()"),
    "do": ("create table log (a text)", f"do $$ begin insert into log {LIST}; end $$; select * from log"),
    "do, put together": ("create table log (a text)", "do $$ begin execute 'insert into log select statement from pg_prep' || "
                         "'ared_statements'; end $$; select * from log"),
    "made in the same text": ("select 1", "create function shows() returns setof text language plpgsql as $$ begin return query "
                              "execute 'select statement from pg_prepared' || '_statements'; end $$; select shows(); "
                              "drop function shows()"),
}


@pytest.mark.parametrize("known", ["known", "not known"])
@pytest.mark.parametrize("way", SHOWING)
def test_what_others_have_prepared(place, postgres, base, way, known):
    """Whatever shows the statements of a session: a client finds its own there, and no other client's."""
    made, text = SHOWING[way]
    w = place(workers=1)
    if known == "known":
        direct(postgres, base, made)
        settle(w)
    with w.wire(database="e2e") as other, w.wire(database="e2e") as c:
        if known == "not known":
            c.query(made)
        for i in range(3):
            other.ask(parse(f"s{i}", f"select 'secret {i}'"), run(f"s{i}"), SYNC)
        c.ask(parse("mine", "select 'my own'"), parse("asks", text.split(";")[0]), parse("does", "execute asks"), SYNC)

        def others_are_there():
            for i in range(3):
                assert other.ask(run(f"s{i}"), SYNC)[1] == ("D", f"secret {i}".encode())
        asks = [lambda: c.query(text), lambda: c.query(text), lambda: c.query("begin; " + text + "; commit")]
        if not text.startswith(("do", "create")):
            asks += [lambda: c.ask(run("asks"), SYNC), lambda: c.ask(parse("", text.split(";")[0]), run(""), SYNC),
                     lambda: c.query("execute asks"), lambda: c.ask(run("does"), SYNC)]
        for ask in asks:
            others_are_there()
            got = ask()
            assert "secret" not in str(got), got
            assert not [r for r in got if r[0] == "E"], got
            if known == "known" and way in ("view", "plpgsql", "given"):
                assert "my own" in str(got)


def test_a_function_call_message_that_shows_statements(place, postgres, base):
    direct(postgres, base, f"create function shows() returns text language sql as $$ select string_agg(statement, '') from "
           "pg_prepared_statements $$")
    oid = int(postgres.psql("select 'shows'::regproc::oid", database=base))
    w = place(workers=1)
    settle(w)
    with w.wire(database="e2e") as other, w.wire(database="e2e") as c:
        other.ask(parse("s", "select 'secret'"), run("s"), SYNC)
        assert "secret" not in str(c.ask(function_call(oid)))


def test_sequences_read_by_a_function(place, postgres, base):
    direct(postgres, base, "create sequence s",
           "create function last() returns bigint language plpgsql as $$ begin return lastval(); end $$")
    w = place()
    settle(w)
    with w.wire(database="e2e") as a, w.wire(database="e2e") as b:
        a.query("select nextval('s')")
        assert b.query("select last()")[1][:2] == ("E", "55000")


def test_what_a_function_frees(place, postgres, base):
    direct(postgres, base, plain("locks", "perform pg_advisory_lock(5);"),
           plain("frees", "perform pg_advisory_unlock(5);"))
    w = place()
    with w.wire(database="e2e") as a, w.wire(database="e2e") as b:
        a.query("select locks()")
        a.query("select frees()")
        assert b.query(CANARY)[1:] == NOTHING


def test_a_survey_that_is_refused(place, postgres, base):
    """Then every transaction is suspect, and the log says so once."""
    direct(postgres, base, plain("does", DEEDS["setting"][0]),
           "revoke select on pg_policy from public")
    postgres.psql("do $$ begin create role lowly login; exception when others then null; end $$")
    w = place({"url": f"postgresql://127.0.0.1:{postgres.port}/{base}"})
    for _ in range(3):
        with w.wire(database="e2e", user="lowly") as c, w.wire(database="e2e", user="lowly") as canary:
            c.query("select does()")
            assert canary.query(CANARY)[1:] == NOTHING
            assert c.value(SET_BY) == "t"
    assert w.log().count("every transaction is suspect") == 1


def test_a_canary_sees_no_survey(place, postgres, base):
    """Its own settings stay as they are, and its statement_timeout is for its own statements."""
    w = place(survey_interval="100ms")
    with w.wire(database="e2e") as c:
        c.query("set statement_timeout = '1ms'; set search_path = pg_temp, public; set lock_timeout = '3s'")
        for _ in range(30):
            assert c.query("show statement_timeout")[1] == ("D", b"1ms")
            assert c.query("show lock_timeout")[1] == ("D", b"3s")
            time.sleep(0.01)
    assert "suspect" not in w.log()


@pytest.mark.parametrize("limit", ["statement_timeout", "lock_timeout"])
def test_a_short_limit_does_not_keep_the_server(place, limit):
    """It is the client's for its own statements; pgweir's question what the session holds goes without."""
    w = place(workers=1)
    settle(w)
    with w.wire(database="e2e") as other:
        for i in range(10):
            with w.wire(database="e2e") as c:
                for value in ("1ms", "2ms"):
                    c.query(f"set {limit} = '{value}'; set work_mem = '{i + 1}MB'")
                    assert other.query(f"show {limit}")[1] == ("D", b"0")
                    assert c.query(f"show {limit}")[1] == ("D", value.encode())
                    assert other.query(CANARY)[1:] == NOTHING
                    assert c.query("show work_mem")[1] == ("D", f"{i + 1}MB".encode())
                c.query(f"reset {limit}")
                assert other.query(CANARY)[1:] == NOTHING
                assert c.query(f"show {limit}")[1] == ("D", b"0")
            with w.wire(database="e2e", **{limit: "3ms"}) as c:
                c.query(f"set {limit} = 0")
                other.query("select 1")
                assert c.query(f"show {limit}")[1] == ("D", b"0")
                c.query(f"reset {limit}")
                other.query("select 1")
                assert c.query(f"show {limit}")[1] == ("D", b"3ms")
    assert "unknown" not in w.log()


def test_behind_a_replay_of_settings(place, postgres, base):
    """What is sent before the client's first group has no Sync: the group is looked at all the same."""
    direct(postgres, base, plain("does", DEEDS["setting"][0]))
    w = place(suspect="always")
    with w.wire(database="e2e") as a, w.wire(database="e2e") as b, w.wire(database="e2e") as canary:
        for _ in range(3):
            a.query("set timezone = 'Asia/Tokyo'")
            b.query("select does()")
            assert canary.query(CANARY)[1:] == NOTHING


def test_a_cancel_of_what_waits_for_a_survey(place, postgres, base):
    """The first transaction's server is surveyed while the client sends its second: that is cancelled, not the survey."""
    for _ in range(5):
        w = place()
        with w.wire(database="e2e") as c:
            c.query("select 1")
            c.send(query("select pg_sleep(30)"))
            c.cancel()
            while not select.select([c.sock], [], [], 0.05)[0]:
                c.cancel()  # the one before came too early
            assert c.until_ready()[-2][:2] == ("E", "57014")
            assert c.value("select 2") == "2"
        assert "suspect" not in w.log()
        w.stop()

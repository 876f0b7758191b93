#include "sql/analysis.h"

#include <gtest/gtest.h>

using pgw::Pins;
using pgw::sql::analyze;

TEST(Analysis, WhatLeavesSomething) {
  for (const char* text :
       {"select set_config('a', 'b', false)", "select pg_catalog.set_config('a', 'b', $1)",
        "select \"set_config\"('a','b','false')",
        "select set_config('a', 'b', true), set_config('c', 'd', false)",
        "select set_config('a', set_config('b', 'c', false), true)",
        "select set_config('a', 'b', true or false)", "create temp table t ()",
        "create or replace temporary view v as select 1", "create local temp table t ()",
        "select 1 into temp t", "select 1 into temporary table t", "create table pg_temp.t ()",
        "drop table \"pg_temp\".t", "select set_config('search_path', 'pg_temp', true)",
        "set local search_path = 'pg_temp'", "declare c cursor with hold for select 1", "listen x",
        "begin; listen x", "load 'x'", "prepare p as select 1", "do $$ begin end $$", "call p()",
        "execute p(1)", "explain analyze execute p", "explain (analyze) execute p",
        "create table t as execute p", "select pg_advisory_lock(1)",
        "select pg_try_advisory_lock_shared (1)", "select 1 from pg_advisory_lock/**/(1)",
        "select setseed(0.1)", "select dblink_connect('a')",
        "select pg_create_logical_replication_slot('a','b',true)",
        "update pg_settings set setting = 'a'",
        "with x as (update pg_catalog.pg_settings set setting = '' returning 1) select 1",
        "select query_to_xml('select set_config(''a'',''b'',false)', true, true, '')",
        "select * from ts_stat('select 1')",
        // what cannot be read
        "select 'a\\'", "select U&\"\\0073\"", "select 'a"})
    EXPECT_TRUE(analyze(text).leaves) << text;
}

TEST(Analysis, SetsBeyondTheTransaction) {
  for (const char* text :
       {"set a = 1", "SET SESSION a TO 1", "set a.b = 'x'", "set local.tenant = 5",
        "set time zone 'UTC'", "set names 'x'", "set role a", "set session authorization a",
        "set session characteristics as transaction read only", "begin; set a = 1; commit",
        "/* set local */ set a = 1", "-- x\nset a = 1", "reset a", "reset all"})
    EXPECT_TRUE(analyze(text).sets) << text;
  for (const char* text :
       {"set local a = 1", "set transaction read only", "update t set a = 1", "select 1"})
    EXPECT_FALSE(analyze(text).sets) << text;
}

TEST(Analysis, WhatLeavesNothing) {
  for (const char* text : {"",
                           "select 1",
                           "select temp, hold, load, listen, prepare from t",
                           "select 'set_config(''a'',1,false)'",
                           "/* create temp table */ select 1",
                           "insert into t values ('prepare', 'temp', 'listen x')",
                           "select t.temp from t",
                           "set local a = 1",
                           "SET LOCAL a.b TO 'x'",
                           "set transaction read only",
                           "set constraints all deferred",
                           "begin; set local a = 1; update t set b = 2; commit",
                           "select set_config('a', 'b', true)",
                           "select set_config('a.b', $1, TRUE), set_config('role', $2, 't')",
                           "select set_config($1, $2, true)",
                           "update t set a = 1",
                           "select pg_advisory_xact_lock(1)",
                           "select pg_try_advisory_xact_lock(1)",
                           "select pg_advisory_lock from t",
                           "prepare transaction 'x'",
                           "select * from pg_settings",
                           "declare c cursor without hold for select 1",
                           "grant execute on function f() to a",
                           "create trigger t before insert on a for each row execute function f()",
                           "insert into t values (1) on conflict do nothing",
                           "select * from t for update",
                           "unlisten x",
                           "notify x"})
    EXPECT_FALSE(analyze(text).leaves) << text;
}

TEST(Analysis, NamesOfCustomSettings) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(analyze("set App.Tenant = '1'; select set_config('my.\"x', '', false)").custom,
            (Names{"app.tenant", "my.\"x"}));
  EXPECT_EQ(analyze("reset a.b").custom, Names{"a.b"});
  EXPECT_EQ(analyze("set \"a\".\"B\" = 1").custom, Names{"a.b"});
  EXPECT_EQ(analyze("set local a.b = 1; select set_config('c.d', '', true)").custom, Names{});
  EXPECT_EQ(analyze("set search_path = a").custom, Names{});
  EXPECT_EQ(
      analyze("do $$ begin set a.b = 1; perform set_config('c.d', 'x', false); end $$").custom,
      (Names{"a.b", "c.d"}));
  EXPECT_TRUE(analyze("do 'begin perform set_config(x, y, false); end'").opaque);
}

TEST(Analysis, NamesThatAreNotThere) {
  for (const char* text :
       {"select set_config($1, 'a', false)", "select set_config('a' || '.b', 'a', false)",
        "select set_config(e'a\\x2eb', 'a', false)",
        "update pg_settings set setting = 'a' where name = $1"})
    EXPECT_TRUE(analyze(text).opaque) << text;
  for (const char* text :
       {"select set_config('a', $1, false)", "set a = 1", "select set_config($1, $2, true)"})
    EXPECT_FALSE(analyze(text).opaque) << text;
}

TEST(Analysis, Resets) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(analyze("reset Work_Mem; reset all; discard all").resets,
            (Names{"work_mem", "*", "*"}));
  EXPECT_EQ(analyze("set a to default; set b = default; set time zone local").resets,
            (Names{"a", "b", "timezone"}));
  EXPECT_EQ(analyze("set A = 1; set local b to default; discard temp").resets, Names{"!a"});
  EXPECT_EQ(analyze("reset c; select set_config('c', 'x', false)").resets, (Names{"c", "!c"}));
  EXPECT_EQ(analyze("begin; savepoint a; reset b; rollback to a").resets, Names{});
  EXPECT_EQ(analyze("reset a; savepoint x; reset b; rollback work to savepoint X; reset c").resets,
            (Names{"a", "c"}));
  EXPECT_EQ(analyze("savepoint x; reset a; savepoint x; reset b; rollback to x").resets,
            Names{"a"});
  EXPECT_EQ(analyze("savepoint x; reset a; rollback to y; reset b").resets, Names{"b"});
  EXPECT_EQ(analyze("reset a; commit; reset b; rollback; reset c").resets, (Names{"a", "c"}));
  EXPECT_EQ(analyze("reset a; abort transaction").resets, Names{});
  EXPECT_TRUE(analyze("rollback transaction to a").undoes);
  EXPECT_FALSE(analyze("commit").undoes);
}

TEST(Analysis, TheRest) {
  EXPECT_TRUE(analyze("select setseed(1)").indelible);
  EXPECT_TRUE(analyze("deallocate \"pgweir_1_a\"").indelible);
  EXPECT_TRUE(analyze("prepare pgweir_1_a as select 1").indelible);
  EXPECT_TRUE(analyze("select dblink_connect_u('a', 'b')").indelible);
  EXPECT_TRUE(analyze("load 'x'").indelible);
  EXPECT_FALSE(analyze("set a = 1").indelible);
  EXPECT_TRUE(analyze("select currval('a')").reads_sequences);
  EXPECT_TRUE(analyze("select lastval()").reads_sequences);
  EXPECT_FALSE(analyze("select nextval('a'), lastval from t").reads_sequences);
  EXPECT_TRUE(analyze("do $$ begin perform setseed(1); end $$").indelible);
  for (const char* text : {"drop table t", "close all", "unlisten *",
                           "select pg_advisory_unlock(1)", "discard temp", "begin; deallocate all"})
    EXPECT_TRUE(analyze(text).frees) << text;
  EXPECT_FALSE(analyze("select 1").frees);
}

TEST(Analysis, ReasonsThatTheTextShows) {
  const auto shows = [](std::string_view text) { return pgw::names_of(analyze(text).shows); };
  for (const char* text :
       {"select pg_advisory_lock(1)", "select pg_try_advisory_lock_shared (1)",
        "do $$ begin perform pg_advisory_lock(1); end $$", "begin; select pg_advisory_lock(1)"})
    EXPECT_EQ(shows(text), "lock") << text;
  for (const char* text :
       {"create temp table t ()", "create or replace temporary view v as select 1",
        "select 1 into temp t", "create table pg_temp.t ()", "select 1 into pg_temp.t",
        "create function \"pg_temp\".f() returns int language sql as 'select 1'",
        "set search_path = pg_temp", "set search_path to public, \"pg_temp\"",
        "set search_path = 'pg_temp'", "select set_config('search_path', 'pg_temp', false)",
        "create temp table t () on commit delete rows",
        "create temp table a () on commit drop; create temp table b ()",
        "create temp table b (); create temp table a () on commit drop",
        "do 'begin create temp table t (); end'"})
    EXPECT_EQ(shows(text), "temporary") << text;
  for (const char* text : {"declare c cursor with hold for select 1",
                           "begin; declare c cursor with hold for select 1"})
    EXPECT_EQ(shows(text), "cursor") << text;
  EXPECT_EQ(shows("prepare p as select 1"), "prepared");
  EXPECT_EQ(shows("begin; listen x"), "listen");
  for (const char* text :
       {"select set_config($1, 'x', false)", "update pg_settings set setting = ''",
        "select set_config('a', set_config('b', 'c', false), false)"})
    EXPECT_EQ(shows(text), "setting") << text;
  for (const char* text :
       {"select setseed(0.5)", "load 'x'", "select dblink_connect('a')",
        "select pg_create_physical_replication_slot('a', false, true)", "deallocate pgweir_1_a"})
    EXPECT_EQ(shows(text), "indelible") << text;
  for (const char* text :
       {"select nextval('s')", "select pg_catalog.setval('s', 1)", "select currval('s')",
        "select lastval()", "discard sequences; select nextval('s')",
        "create table t as select nextval('s')", "create view v as select 1; select nextval('s')",

        "do $$ declare a int := nextval('s'); begin end $$"})
    EXPECT_EQ(shows(text), "sequence") << text;
  EXPECT_EQ(shows("prepare p as select pg_advisory_lock(nextval('s'))"),
            "lock, prepared, sequence");
}

TEST(Analysis, WhatEndsWithTheTransactionIsNotShown) {
  for (const char* text :
       {"create temp table t (a int) on commit drop",
        "create table pg_temp.t on commit drop as select 1",
        "drop table pg_temp.t",
        "select * from pg_temp.t",
        "insert into pg_temp.t values (1)",
        "set local search_path = pg_temp",
        "select set_config('search_path', 'pg_temp', true)",
        "select pg_advisory_xact_lock(1)",
        "select pg_advisory_unlock(1)",
        "set a = 1",
        "declare c cursor without hold for select 1",
        "prepare transaction 'x'",
        "execute p",
        "call p()",
        "unlisten x",
        "notify x",
        "select * from pg_settings",
        "with x as (select * from pg_settings) select * from x",
        "select pg_drop_replication_slot('a')",
        "select * from pg_get_replication_slots()",
        "select set_config('a', 'b', false)",
        "select nextval('s'); discard sequences",
        "create view v as select pg_advisory_lock(1)",
        "alter table t alter a set default nextval('s')",
        "create table t (a int default nextval('s'))",
        "select currval('s'); discard all",
        "select 'nextval(''s'')'",
        "select nextval from t",
        "create function f() returns int language sql as 'select pg_advisory_lock(1); select 1'"})
    EXPECT_EQ(analyze(text).shows, Pins{0}) << text;
}

TEST(Analysis, LooksIntoTheBodyOfDo) {
  EXPECT_TRUE(analyze("do $$ begin perform lastval(); end $$").reads_sequences);
}

TEST(Analysis, LocalMayBeTheNameOfASetting) {
  for (const char* text :
       {"set local = a", "set local to a", "set session = a", "set constraints to 1"})
    EXPECT_TRUE(analyze(text).sets) << text;
  for (const char* text : {"set local a = 1", "set local a to 1", "set constraints all deferred",
                           "set transaction read only", "set local time zone 'x'"})
    EXPECT_FALSE(analyze(text).sets) << text;
}

TEST(Analysis, BodiesThatLeaveTheSchemaAsItIs) {
  for (const char* text :
       {"do ''", "do $$ begin perform f(1); end $$", "do language plpgsql $$ begin null; end $$",
        "do $$ declare x int; begin select 1 into x; drop table t; end $$",
        "do $$ begin create temp table t (); end $$",
        "do $$ begin do $x$ begin null; end $x$; end $$",
        "do $$ begin insert into t values (1) on conflict do nothing; end $$"})
    EXPECT_TRUE(analyze(text).temporary) << text;
  for (const char* text :
       {"do $$ begin create table t (); end $$", "do $$ begin alter table t add a int; end $$",
        "do $$ begin execute 'select 1'; end $$", "do $$ begin execute x; end $$",
        "do 'begin execute ''create table t ()''; end'", "do E'begin \\143reate table t (); end'",
        "do language plperl $$ f() $$", "do $$ f() $$ language plpython3u",
        "do $$ begin import foreign schema a from server b into c; end $$",
        "do $$ begin do $x$ begin create view v as select 1; end $x$; end $$",
        "do $$ begin null; end $$; create table t ()", "do $$ begin U&\"x\"(); end $$"})
    EXPECT_FALSE(analyze(text).temporary) << text;
}

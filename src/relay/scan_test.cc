#include "relay/scan.h"

#include <gtest/gtest.h>

namespace pgw::relay {
namespace {

TEST(Scan, TakesSequences) {
  for (const char* text :
       {"select nextval('a')", "SELECT pg_catalog.NextVal('a')", "select setval('a', 1)",
        "insert into t values (\"nextval\"('a'))", "select U&\"\\006eextval\"('a')"})
    EXPECT_TRUE(scan(text).takes_sequences) << text;
  for (const char* text : {"select 1", "select next, value from t", "select currval('a')"})
    EXPECT_FALSE(scan(text).takes_sequences) << text;
  EXPECT_FALSE(scan("select nextval('a')").closer);
}

TEST(Scan, Closer) {
  for (const char* text :
       {"select set_config('a', 'b', false)", "SELECT pg_catalog.SET_CONFIG('a','b',false)",
        "create temp table t()", "CREATE TEMPORARY TABLE t()", "select 1 into temp t",
        "create table pg_temp.t()", "listen x", "LISTEN x", "load 'x'", "prepare p as select 1",
        "call p()", "declare c cursor with hold for select 1",
        "update pg_settings set setting = 'a' where name = 'b'",
        "select U&\"\\0073et_config\"('a','b',false)", "set a = b", "/* x */ reset a", "do 'x'",
        "select setseed(0.5)", "select currval('a')", "select lastval()", "execute p",
        "select pg_advisory_lock(1)", "select pg_try_advisory_lock(1)",
        "select pg_advisory_lock_shared(1)", "select dblink_connect('a')",
        "select public.dblink_connect_u('a')", "select(set_config('a','b',false))",
        "begin;listen x;commit", "listen",
        // a word inside a string or a comment counts too
        "select 'temp'", "/*temp*/ select 1", "select 1 -- temp"})
    EXPECT_TRUE(scan(text).closer) << text;
  for (const char* text : {"",
                           ";",
                           "select 1",
                           "select temperature from t",
                           "select templates",
                           "select my_temp",
                           "unlisten x",
                           "notify x",
                           "update t set a = 1",
                           "select loaded, called",
                           "select pg_advisory_xact_lock(1)",
                           "select pg_try_advisory_xact_lock(1)",
                           "select pg_advisory_unlock(1)",
                           "select pg_advisory_unlock_all()",
                           "select set_configs",
                           "select t\xc3\xa9mp",
                           "select temp\xc3\xa9",
                           "declare c cursor for select 1",
                           "select prepared",
                           "select household, threshold"})
    EXPECT_FALSE(scan(text).closer) << text;
}

TEST(Scan, Unsettles) {
  for (const char* text : {"deallocate a", "DEALLOCATE ALL", "discard all", "Discard Plans",
                           "select 1;discard all;", "deallocate\"a\"", "select 'deallocate'"})
    EXPECT_TRUE(scan(text).unsettles) << text;
  for (const char* text : {"", "select 1", "drop table t", "select discarded",
                           "select deallocate_it", "select xdiscard"})
    EXPECT_FALSE(scan(text).unsettles) << text;
}

TEST(Scan, SpeaksOfStatements) {
  for (const char* text : {"execute a", "select 1; DEALLOCATE b", "prepare c as select 1"})
    EXPECT_TRUE(scan(text).names) << text;
  for (const char* text : {"select 1", "select prepared", "executes", "discard all"})
    EXPECT_FALSE(scan(text).names) << text;
  EXPECT_TRUE(scan("table Pg_Prepared_Statements").lists);
  EXPECT_TRUE(scan("select pg_prepared_statement()").lists);
  EXPECT_TRUE(scan("select U&\"\\0070g\"").lists);
  EXPECT_FALSE(scan("table pg_prepared_xacts").lists);
  EXPECT_TRUE(scan("do 'begin execute x; end'").shows_statements());
  EXPECT_TRUE(scan("create function f() as $$ begin execute x; end $$").shows_statements());
  EXPECT_TRUE(scan("do language plperl 'spi_exec_query(x)'").shows_statements());
  EXPECT_FALSE(scan("do 'begin perform x(); end'").shows_statements());
  EXPECT_FALSE(scan("execute x").shows_statements());
}

TEST(Scan, ResetAll) {
  for (const char* text : {"reset all", "RESET ALL", "reset all;", " reset \n all ; ",
                           "close all; unlisten *; reset all", "discard sequences;RESET ALL;"})
    EXPECT_TRUE(scan(text).reset_all) << text;
  for (const char* text :
       {"", "reset", "all", "reset a", "reset all; select 1", "reset all_of_it", "preset all",
        "all reset", "discard all", "reset a -- reset all", "reset a; /* reset all",
        "reset a; select '; reset all", "select $$ ; reset all"})
    EXPECT_FALSE(scan(text).reset_all) << text;
}

TEST(Scan, Alters) {
  for (const char* text :
       {"set transform_null_equals = on", "SET LOCAL DateStyle = 'ISO'",
        "begin; set xmloption to content", "/* x */ set array_nulls = off",
        "-- begin\nset array_nulls = off", "reset all", "select 1; reset timezone",
        "select set_config($1, $2, true)", "set local \"array_nulls\" = off",
        "set session timezone = 'UTC'", "set"})
    EXPECT_TRUE(scan(text).alters) << text;
  for (const char* text :
       {"update t set a = 1", "update t as \"x\" set a = 1",
        "insert into t values (1) on conflict (a) do update set b = 1",
        "set local statement_timeout = 1", "SET search_path TO a", "set session role x",
        "set local app.tenant = '1'", "set local.tenant = 5", "set transaction read only",
        "set constraints all deferred", "set enable_seqscan = off",
        "select preset, reset_at, \"reset\" from t"})
    EXPECT_FALSE(scan(text).alters) << text;
}

TEST(Scan, Fleeting) {
  for (const char* text :
       {"select 'now'::timestamptz", "select now()", "select date 'today'",
        "select date 'Tomorrow'", "select date 'yesterday'", "select 'pg_class'::regclass",
        "select $1::REGTYPE", "select 'f'::regprocedure", "select 'x'::regrole"})
    EXPECT_TRUE(scan(text).fleeting) << text;
  for (const char* text : {"", "select 1", "select known", "select nowhere", "select todays",
                           "select regex", "select current_date", "select tomorrow_"})
    EXPECT_FALSE(scan(text).fleeting) << text;
}

// Each verdict stands alone.
TEST(Scan, FindsSeveralThings) {
  const auto got = scan("select now(); listen a; deallocate b; reset all");
  EXPECT_TRUE(got.closer);
  EXPECT_TRUE(got.unsettles);
  EXPECT_TRUE(got.fleeting);
  EXPECT_TRUE(got.reset_all);
}

TEST(DeallocatedName, IsFoldedUnlessQuoted) {
  const std::pair<const char*, const char*> table[] = {
      {"deallocate a", "a"},
      {"/* app:x */ deallocate a", "a"},
      {"-- deallocate b\n deallocate a", "a"},
      {"DEALLOCATE Abc", "abc"},
      {"deallocate prepare Abc", "abc"},
      {"Deallocate\tPREPARE\n\"Abc\"", "Abc"},
      {"deallocate \"Abc\"", "Abc"},
      {"deallocate\"a\"", "a"},
      {"deallocate prepare\"a\"", "a"},
      {"deallocate \"a\"\"b\"", "a\"b"},
      {"deallocate \"\"\"\"", "\""},
      {"deallocate \"a b;c\"", "a b;c"},
      {"deallocate \"all\"", "all"},
      {"deallocate \"ALL\"", "ALL"},
      {"deallocate \"prepare\"", "prepare"},
      {"deallocate allx", "allx"},
      {"deallocate prepare", "prepare"},
      {"deallocate prepare;", "prepare"},
      {"deallocate prepare prepare", "prepare"},
      {"deallocate preparex", "preparex"},
      {"deallocate a$1", "a$1"},
      {"deallocate _a_1", "_a_1"},
      {"deallocate S\xc3\x89", "s\xc3\x89"},  // only ASCII is folded
      {"  deallocate a  ", "a"},
      {"deallocate a;", "a"},
      {"deallocate a ; ;\n; ", "a"},
      {"deallocate \"a\" ;", "a"},
  };
  for (const auto& [text, name] : table) EXPECT_EQ(deallocated_name(text), name) << text;
}

TEST(DeallocatedName, IsNothingElse) {
  for (const char* text : {"",
                           " ",
                           ";",
                           "deallocate",
                           "deallocate ",
                           "deallocate;",
                           "deallocate all",
                           "DEALLOCATE ALL;",
                           "deallocate prepare all",
                           "deallocate PREPARE All ;",
                           "deallocatea",
                           "deallocate_ a",
                           "xdeallocate a",
                           "deallocate a b",
                           "deallocate a; select 1",
                           "select 1; deallocate a",
                           "deallocate a, b",
                           "deallocate a.b",
                           "deallocate \"a",
                           "deallocate \"a\"\"",
                           "deallocate \"",
                           "deallocate \"\"",
                           "deallocate \"a\"b",
                           "deallocate \"a\" b",
                           "deallocate a -- c",
                           "/* /* c */ deallocate a",
                           "/* c */ select 1; deallocate a",
                           "deallocate $1",
                           "deallocate 'a'",
                           "deallocate prepare \"a",
                           "deallocate prepare a b",
                           "deallocate u&\"a\""})
    EXPECT_EQ(deallocated_name(text), std::nullopt) << text;
}

TEST(EffectOf, Tags) {
  const std::pair<const char*, Effect> table[] = {
      {"", Effect::none},
      {"SET", Effect::set},
      {"SETS", Effect::none},
      {"SET CONSTRAINTS", Effect::none},
      {"SELECT 1", Effect::none},
      {"SAVEPOINT", Effect::none},
      {"SHOW", Effect::none},
      {"START TRANSACTION", Effect::none},
      {"SECURITY LABEL", Effect::schema},
      {"RESET", Effect::reset},
      {"REVOKE", Effect::schema},
      {"REVOKE ROLE", Effect::schema},
      {"REFRESH MATERIALIZED VIEW", Effect::schema},
      {"REINDEX", Effect::none},
      {"RELEASE", Effect::none},
      {"ROLLBACK", Effect::none},
      {"DISCARD ALL", Effect::discard_all},
      {"DISCARD PLANS", Effect::none},
      {"DISCARD TEMP", Effect::none},
      {"DISCARD SEQUENCES", Effect::discard_sequences},
      {"DEALLOCATE", Effect::deallocate},
      {"DEALLOCATE ALL", Effect::deallocate_all},
      {"DECLARE CURSOR", Effect::none},
      {"DELETE 3", Effect::none},
      {"DO", Effect::dirty},
      {"DROP TABLE", Effect::schema},
      {"DROP OWNED", Effect::schema},
      {"ALTER TABLE", Effect::schema},
      {"ALTER ROLE", Effect::schema},
      {"ANALYZE", Effect::none},
      {"GRANT", Effect::schema},
      {"GRANT ROLE", Effect::schema},
      {"CREATE TABLE", Effect::schema},
      {"CREATE FUNCTION", Effect::schema},
      {"CALL", Effect::dirty},
      {"CLOSE CURSOR", Effect::none},
      {"COMMIT", Effect::none},
      {"COPY 5", Effect::none},
      {"IMPORT FOREIGN SCHEMA", Effect::schema},
      {"INSERT 0 1", Effect::none},
      {"LISTEN", Effect::dirty},
      {"LOAD", Effect::load},
      {"LOCK TABLE", Effect::none},
      {"PREPARE", Effect::dirty},
      {"PREPARE TRANSACTION", Effect::none},
      {"UPDATE 1", Effect::none},
      {"UNLISTEN", Effect::none},
      {"NOTIFY", Effect::none},
      {"FETCH 2", Effect::none},
      {"BEGIN", Effect::none},
      {"VACUUM", Effect::none},
  };
  for (const auto& [tag, effect] : table) EXPECT_EQ(effect_of(tag), effect) << tag;
}

}  // namespace
}  // namespace pgw::relay

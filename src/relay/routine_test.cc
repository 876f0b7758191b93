#include "relay/routine.h"

#include <gtest/gtest.h>

namespace pgw::relay {
namespace {

Routine plpgsql(std::string_view statements) {
  return read_routine("plpgsql", "DECLARE x text; BEGIN " + std::string(statements) + " END");
}

TEST(Routine, Leaves) {
  for (const char* body : {"PERFORM set_config('a', 'b', false);",
                           "SET work_mem = '1MB';",
                           "set session a.b = 5;",
                           "IF x THEN SET work_mem = 1; END IF;",
                           "LOOP reset work_mem; END LOOP;",
                           "x := pg_catalog.set_config('a', 'b', x);",
                           "PERFORM pg_advisory_lock(1);",
                           "PERFORM pg_try_advisory_lock_shared(1);",
                           "CREATE TEMP TABLE t (a int);",
                           "CREATE TABLE pg_temp.t (a int);",
                           "SELECT 1 INTO TEMPORARY t;",
                           "LISTEN x;",
                           "EXECUTE 'listen x';",
                           "EXECUTE x;",
                           "EXECUTE format('%s', x);",
                           "EXECUTE 'se' || 't work_mem = 1';",
                           "EXECUTE 'create temp table ' || x;",
                           "FOR x IN EXECUTE y LOOP END LOOP;",
                           "RETURN QUERY EXECUTE x USING 1;",
                           "EXECUTE 'select set_config($1, $2, false)' USING a, b;",
                           "SET ROLE postgres;",
                           "PERFORM query_to_xml('select 1', true, true, '');",
                           "PERFORM setseed(0.5);",
                           "DO 'begin end';"})
    EXPECT_TRUE(has(plpgsql(body).marks, Mark::leaves)) << body;
}

TEST(Routine, LeavesNothing) {
  for (const char* body :
       {"", "RETURN 1;", "UPDATE t SET a = 1;", "PERFORM set_config('a', 'b', true);",
        "SET LOCAL work_mem = 1;", "PERFORM pg_advisory_xact_lock(1);", "CREATE TABLE t (a int);",
        "EXECUTE 'update t set a = 1';", "EXECUTE format('insert into %I values (1)', x);",
        "EXECUTE 'select ' || x INTO y;", "CALL other();", "-- set work_mem\n",
        "RAISE NOTICE 'set work_mem = 1';", "NOTIFY x;", "DROP TABLE t;"})
    EXPECT_EQ(plpgsql(body).marks & ~(Mark::frees | Mark::alters | Mark::lists), 0) << body;
}

TEST(Routine, OfSql) {
  EXPECT_TRUE(has(read_routine("sql", "select set_config('a', 'b', false)").marks, Mark::leaves));
  EXPECT_TRUE(has(read_routine("sql", "set a = b; select 1").marks, Mark::leaves));
  EXPECT_EQ(read_routine("sql", "select x from t where a = $1").marks, 0);
}

TEST(Routine, OfOtherLanguages) {
  EXPECT_TRUE(
      has(read_routine("plpython3u", "plpy.execute('SET work_mem = 1')").marks, Mark::leaves));
  EXPECT_TRUE(has(read_routine("plperl", "spi_exec_query($_[0]);").marks, Mark::leaves));
  EXPECT_EQ(read_routine("plpython3u", "return x + 1").marks, 0);
  EXPECT_TRUE(has(read_routine("pltcl", "spi_exec {select setseed(0.1)}").marks, Mark::indelible));
}

TEST(Routine, OtherMarks) {
  EXPECT_TRUE(has(plpgsql("PERFORM setseed(0.5);").marks, Mark::indelible));
  EXPECT_TRUE(has(plpgsql("LOAD 'x';").marks, Mark::indelible));
  EXPECT_TRUE(has(plpgsql("EXECUTE 'deallocate all';").marks, Mark::indelible));
  EXPECT_TRUE(has(plpgsql("RETURN currval('s');").marks, Mark::sequences));
  EXPECT_TRUE(has(plpgsql("PERFORM pg_advisory_unlock(1);").marks, Mark::frees));
  EXPECT_TRUE(has(plpgsql("DROP TABLE IF EXISTS t;").marks, Mark::frees));
  EXPECT_FALSE(has(plpgsql("CLOSE c;").marks, Mark::frees));
  EXPECT_TRUE(has(plpgsql("SET LOCAL datestyle = german;").marks, Mark::alters));
  EXPECT_TRUE(has(plpgsql("PERFORM set_config('datestyle', x, true);").marks, Mark::alters));
  EXPECT_FALSE(has(plpgsql("PERFORM set_config('my.tenant', x, true);").marks, Mark::alters));
  EXPECT_FALSE(has(plpgsql("SET LOCAL search_path = a;").marks, Mark::alters));
}

TEST(Routine, ShowsStatements) {
  for (const char* body :
       {"SELECT name INTO x FROM pg_prepared_statements;", "PERFORM pg_prepared_statement();",
        "EXECUTE 'select * from pg_prepared_statements';",
        "EXECUTE 'select * from pg_prepared' || '_statements';", "EXECUTE 'select ' || x INTO y;",
        "EXECUTE 'insert into t select * from ' || x;", "EXECUTE x;",
        "PERFORM query_to_xml(x, true, true, '');", "EXECUTE 'execute pgweir_0_1';"})
    EXPECT_TRUE(has(plpgsql(body).marks, Mark::lists)) << body;
  for (const char* body : {"SELECT name INTO x FROM t;", "EXECUTE 'select 1';",
                           "EXECUTE format('insert into %I values ($1)', x) USING y;",
                           "EXECUTE format('insert into %I select ($1).*', x) USING new;",
                           "EXECUTE 'drop table ' || x;", "EXECUTE format('delete from %I', x);"})
    EXPECT_FALSE(has(plpgsql(body).marks, Mark::lists)) << body;
  EXPECT_TRUE(has(read_routine("sql", "table pg_prepared_statements").marks, Mark::lists));
  EXPECT_TRUE(has(read_routine("plperl", "spi_exec_query($_[0]);").marks, Mark::lists));
}

TEST(Routine, Channels) {
  for (const char* body : {"UNLISTEN a;", "LISTEN a;", "EXECUTE 'unlisten a';", "EXECUTE x;",
                           "PERFORM pg_listening_channels();"})
    EXPECT_TRUE(has(plpgsql(body).marks, Mark::channels)) << body;
  for (const char* body : {"NOTIFY a;", "PERFORM 1;", "EXECUTE 'select ' || x;"})
    EXPECT_FALSE(has(plpgsql(body).marks, Mark::channels)) << body;
  EXPECT_TRUE(has(read_routine("plperl", "spi_exec_query($_[0]);").marks, Mark::channels));
}

TEST(Routine, CustomSettings) {
  EXPECT_EQ(plpgsql("PERFORM set_config('My.Tenant', x, false);").custom,
            std::vector<std::string>{"my.tenant"});
  EXPECT_EQ(plpgsql("EXECUTE 'set my.tenant = ' || x;").custom,
            std::vector<std::string>{"my.tenant"});
  EXPECT_FALSE(has(plpgsql("EXECUTE 'set my.tenant = ' || x;").marks, Mark::opaque));
  EXPECT_TRUE(has(plpgsql("PERFORM set_config('my.' || x, y, false);").marks, Mark::opaque));
  EXPECT_TRUE(has(plpgsql("EXECUTE 'set my.' || x || ' = 5';").marks, Mark::opaque));
  EXPECT_TRUE(has(plpgsql("EXECUTE format('set %I = %L', x, y);").marks, Mark::opaque));
  EXPECT_FALSE(has(plpgsql("EXECUTE 'set work_mem = ' || x;").marks, Mark::opaque));
}

TEST(Routine, WhatItNames) {
  const auto it = plpgsql("PERFORM other.Deeper(1); EXECUTE 'select \"Far\"()';");
  EXPECT_TRUE(it.names("deeper"));
  EXPECT_TRUE(it.names("far"));
  EXPECT_FALSE(it.names("nearer"));
  EXPECT_FALSE(it.computes);
  EXPECT_TRUE(plpgsql("EXECUTE 'select ' || x;").computes);
  EXPECT_TRUE(plpgsql("PERFORM U&\"\\0066\"();").computes);
}

}  // namespace
}  // namespace pgw::relay

#include "sql/normalise.h"

#include <gtest/gtest.h>

using namespace pgw::sql;

namespace {

TEST(Normalise, LiteralsGo) {
  const std::pair<const char*, const char*> kCases[] = {
      {"SELECT  *\n FROM T -- all\n WHERE id=42 /* /* x */ */ ;", "select * from t where id = ?;"},
      {"select 'it''s secret', E'it\\'s', $$dollar$$, $q$a $$ b$q$ from t", "select ? from t"},
      {"select b'0101', X'1F', N'text', U&'\\0441' UESCAPE '!' as u", "select ?, ? uescape ? as u"},
      {"select 1.5e-10, .5, 0x1FFFFFF, 1_000_000, 1e10 + a", "select ?, ? + a"},
      {"select a-1, b - -2, -3 from t where c=-4 and d between -5 and +6",
       "select a - ?, b - ?, ? from t where c = ? and d between ? and ?"},
      {"select $1, $23::int, '5'::numeric(10,2)", "select ?, ?::int, ?::numeric(?)"},
      {"select \"Name\", \"a\"\"b\", T.\"C\".x[3]", "select \"Name\", \"a\"\"b\", t.\"C\".x[?]"},
      {"select data->>'key', data @> '{}', data ? 'x', a||'b'",
       "select data ->> ?, data @> ?, data ?, a || ?"},
      {"select 'one'\n'two'", "select ?"},
      {"", ""},
      {"  -- nothing", ""},
      {"create user bob password 'secret'", "create user bob password ?"},
      {"select * from \"Weird Table\" where x = true",
       "select * from \"Weird Table\" where x = true"},
      {"SELECT pg_sleep ( 5 )", "select pg_sleep(?)"},
  };
  for (const auto& [text, wanted] : kCases) {
    EXPECT_EQ(normalise(text), wanted) << text;
    EXPECT_EQ(normalise(normalise(text)), normalise(text)) << text;
  }
}

TEST(Normalise, ListsAndRowsCollapse) {
  const std::pair<const char*, const char*> kCases[] = {
      {"select 1 from t where a in (1, 2, 3) and b IN ('x')",
       "select ? from t where a in (?) and b in (?)"},
      {"select 1 from t where a in ($1,$2) or b = any(array[1,-2,3])",
       "select ? from t where a in (?) or b = any (array[?])"},
      {"where d in ('2020-01-01'::date, '2020-01-02'::date)", "where d in (?::date)"},
      {"insert into t (a, b) values (1, 'x'), (2, null), (3, f(4, (5)))",
       "insert into t(a, b) values (?)"},
      {"insert into t values (1, now()), (2, default) on conflict do nothing",
       "insert into t values (?, now()) on conflict do nothing"},
      {"insert into t values (1), (2) returning a, b", "insert into t values (?) returning a, b"},
      {"values (1), (2), 3", "values (?), ?"},
      {"select a, a from t group by 1, 2", "select a, a from t group by ?"},
      {"update t set a = 1, b = 2, c = c", "update t set a = ?, b = ?, c = c"},
  };
  for (const auto& [text, wanted] : kCases) {
    EXPECT_EQ(normalise(text), wanted) << text;
    EXPECT_EQ(normalise(normalise(text)), normalise(text)) << text;
  }
}

// What has no end, or one that depends on a setting, is left out with all that follows.
TEST(Normalise, WhatIsNotCertainIsLeftOut) {
  EXPECT_EQ(normalise("select 'secret"), "select ?");
  EXPECT_EQ(normalise("select $x$secret"), "select ?");
  EXPECT_EQ(normalise("select E'secret\\'"), "select ?");
  EXPECT_EQ(normalise("select \"secret"), "select...");
  EXPECT_EQ(normalise("select /* secret"), "select");
  EXPECT_EQ(normalise("select 'it\\'s a secret' from t"), "select ?...");
  EXPECT_EQ(normalise("select 'C:\\', ' or secret'"), "select ?...");
  EXPECT_EQ(normalise("select '\\d+' from t"), "select ? from t");
  EXPECT_EQ(normalise("insert into t values (1), ('x\\', ' secret ') returning x"),
            "insert into t values (?)...");
  EXPECT_EQ(normalise("select 1$$secret$$, 2$q$more$q$"), "select ?");
  EXPECT_EQ(normalise("select 1abc$x$ 'sec$x$ret'"), "select ?...");
  EXPECT_EQ(normalise("select 1, 'sec", true), "select ?, ?...");
}

TEST(Normalise, LengthIsBounded) {
  std::string text = "select";
  for (int i = 0; i < 1000; ++i) text += " col_" + std::to_string(i) + ",";
  const std::string once = normalise(text);
  EXPECT_LE(once.size(), kNormalisedMost);
  EXPECT_GT(once.size(), kNormalisedMost - 20);
  EXPECT_TRUE(once.ends_with("..."));
  EXPECT_EQ(normalise(once), once);
  EXPECT_EQ(normalise("select " + std::string(5000, 'a')), "select...");
  EXPECT_EQ(normalise("select '" + std::string(100'000, 'a')), "select ?...");
}

TEST(Normalise, FingerprintsDifferByShapeOnly) {
  const auto of = [](const char* text) { return fingerprint(normalise(text)); };
  EXPECT_EQ(of("select 1 from t where a in (1,2)"), of("SELECT 'x' FROM t where a IN ($1, 2, 3)"));
  EXPECT_NE(of("select 1 from t"), of("select 1 from u"));
  EXPECT_EQ(fingerprint(""), 0xcbf29ce484222325u);
}

}  // namespace

#include "server/survey.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <optional>

#include "base/bytes.h"

namespace pgw::server {
namespace {

using relay::Mark;

void put32(std::string& out, std::uint32_t value) {
  char bytes[4];
  put_u32(bytes, value);
  out.append(bytes, 4);
}

std::string row(std::initializer_list<std::optional<std::string>> fields) {
  std::string out("\0", 1);
  out += static_cast<char>(fields.size());
  for (const auto& field : fields) {
    put32(out, field ? static_cast<std::uint32_t>(field->size()) : ~0u);
    out += field.value_or("");
  }
  return out;
}

std::string routine(int oid, const std::string& name, const std::string& body) {
  return row({"routine", std::to_string(oid), "plpgsql", name, body});
}

// Up to the question what depends on them.
Survey read(std::initializer_list<std::string> rows) {
  Survey survey("", 15, 7);
  EXPECT_TRUE(survey.take_row(row({"mark", "", "", "", "m1"})));
  EXPECT_TRUE(survey.next());
  for (const auto& one : rows) EXPECT_TRUE(survey.take_row(one));
  return survey;
}

TEST(Survey, NothingHasChanged) {
  Survey survey("m1", 15, 7);
  EXPECT_TRUE(survey.take_row(row({"mark", "", "", "", "m1"})));
  EXPECT_FALSE(survey.next());
  EXPECT_TRUE(survey.unchanged());
}

TEST(Survey, NoFunctionLeavesAnything) {
  Survey survey = read({routine(20000, "f", "begin return 1; end")});
  EXPECT_FALSE(survey.next());
  EXPECT_FALSE(survey.unchanged());
  EXPECT_EQ(survey.mark(), "m1");
  EXPECT_TRUE(survey.take()->empty());
}

TEST(Survey, WhoCallsOneIsSuspectToo) {
  Survey survey = read({routine(20000, "does", "begin set my.a = 1; end"),
                        routine(20001, "calls", "begin perform does(); end"),
                        routine(20002, "far", "begin perform calls(); end"),
                        routine(20003, "none", "begin perform other(); end"),
                        routine(20004, "writes", "begin insert into audited values (1); end"),
                        routine(20005, "any", "begin execute 'insert into ' || x; end")});
  EXPECT_TRUE(survey.next());
  const auto asked = survey.query();
  for (const char* seed : {"(1255, 20000, ", "(1255, 20001, ", "(1255, 20002, ", "(1255, 20005, "})
    EXPECT_NE(asked.find(seed), std::string::npos) << seed;
  EXPECT_EQ(asked.find("20003"), std::string::npos);
  EXPECT_TRUE(survey.take_row(row({"name", "0", "1", "audited", ""})));
  EXPECT_TRUE(survey.next());  // one more function names that table
  EXPECT_NE(survey.query().find("20004"), std::string::npos);
  EXPECT_FALSE(survey.next());
  const auto names = survey.take();
  for (const char* name : {"does", "calls", "far", "writes", "any", "audited"})
    EXPECT_TRUE(has(names->marks_in(name), Mark::leaves)) << name;
  EXPECT_EQ(names->marks_in("none other"), 0);
  EXPECT_EQ(names->custom, std::vector<std::string>{"my.a"});
  EXPECT_EQ(names->version(), 7u);
}

TEST(Survey, Expressions) {
  Survey survey =
      read({row({"tree", "30000", "2604", "", "set_config('my.b'::text, '1'::text, false)"}),
            row({"tree", "30001", "2604", "", "set_config('my.c'::text, '1'::text, true)"})});
  EXPECT_TRUE(survey.next());
  EXPECT_NE(survey.query().find("(2604, 30000, "), std::string::npos);
  EXPECT_EQ(survey.query().find("30001"), std::string::npos);
  EXPECT_FALSE(survey.next());
  EXPECT_EQ(survey.take()->custom, std::vector<std::string>{"my.b"});
}

TEST(Survey, NamesAndBodiesAreDecoded) {
  Survey survey = read({routine(20000, "\\303\\244b", "begin set a = 1; end"),
                        routine(20001, "b\\\\c", "begin set a = 1; end")});
  EXPECT_TRUE(survey.next());
  const auto names = survey.take();
  EXPECT_NE(names->marks_in("\xe4"), 0);
  EXPECT_NE(names->marks_in("\"b\\c\""), 0);
}

TEST(Survey, ABodyThatIsTooLong) {
  Survey survey = read({row({"routine", "20000", "plpgsql", "long", std::nullopt})});
  EXPECT_TRUE(survey.next());
  EXPECT_TRUE(has(survey.take()->marks_in("long()"), Mark::leaves));
}

TEST(Survey, EventTriggersFollowDdl) {
  Survey survey = read({routine(20000, "does", "begin set a = 1; end")});
  EXPECT_TRUE(survey.next());
  EXPECT_TRUE(survey.take_row(row({"event", "0", "1", "", ""})));
  EXPECT_FALSE(survey.next());
  EXPECT_NE(survey.take()->marks_in("create table t ()"), 0);
}

TEST(Survey, WhatHasNoNameMakesAllSuspect) {
  Survey survey = read({routine(20000, "does", "begin set a = 1; end")});
  EXPECT_TRUE(survey.next());
  EXPECT_TRUE(survey.take_row(row({"all", "0", "1", "pg_operator", ""})));
  EXPECT_FALSE(survey.next());
  EXPECT_NE(survey.too_much(), "");
}

TEST(Survey, Bounds) {
  Survey survey = read({});
  for (int i = 0; i <= 20'000; ++i)
    EXPECT_TRUE(survey.take_row(routine(20000 + i, "f", "begin end")));
  EXPECT_FALSE(survey.next());
  EXPECT_NE(survey.too_much(), "");
}

TEST(Survey, WhatIsNoRowOfIt) {
  Survey survey("", 15, 7);
  EXPECT_FALSE(survey.take_row(row({"mark"})));
  EXPECT_FALSE(survey.take_row(""));
  EXPECT_FALSE(survey.take_row(row({"what", "", "", "", ""})));
}

}  // namespace
}  // namespace pgw::server

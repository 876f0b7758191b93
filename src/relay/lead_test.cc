#include "relay/lead.h"

#include <gtest/gtest.h>

namespace pgw::relay {
namespace {

TEST(Lead, SharesTheTextAmongAllValues) {
  Statements statements("s_");
  const auto one = lead(statements, {}, {{"a", "1"}, {"b", "2"}});
  const auto other = lead(statements, {}, {{"a", "3"}, {"b", ""}});
  ASSERT_TRUE(one && other);
  EXPECT_EQ(one->statements, other->statements);
  EXPECT_EQ(one->statements[1]->text(),
            "SELECT pg_catalog.set_config('a',$1,false),pg_catalog.set_config('b',$2,false)");
  const std::string bind(
      "B\0\0\0\x19\0s_2\0\0\0\0\2\0\0\0\1"
      "1\0\0\0\1"
      "2\0\0",
      26);
  EXPECT_NE(one->messages.find(bind), std::string::npos);
  EXPECT_EQ(other->messages.find(bind), std::string::npos);
}

TEST(Lead, ResetsWhatTheOtherHadBesides) {
  Statements statements("s_");
  const auto made = lead(statements, {{"a", "1"}, {"b", "2"}}, {{"b", "2"}});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->statements[1]->text(),
            "SELECT pg_catalog.set_config('a',NULL,false),pg_catalog.set_config('b',$1,false)");
}

TEST(Lead, IsOnlyForWhatIsShortAndPlain) {
  Statements statements("s_");
  EXPECT_FALSE(lead(statements, {}, {{"role", "x"}}));
  EXPECT_FALSE(lead(statements, {{"session_authorization", "x"}}, {{"a", "1"}}));
  EXPECT_FALSE(lead(statements, {}, {{"a", "\xc3\xa4"}}));
  Settings many;
  for (char name = 'a'; name < 'j'; ++name) many.emplace_back(std::string(1, name), "1");
  EXPECT_FALSE(lead(statements, {}, many));
}

TEST(Lead, CoversNamesAndNotValues) {
  EXPECT_TRUE(covers({{"a", "1"}, {"b", "2"}}, {{"b", "3"}}));
  EXPECT_TRUE(covers({{"a", "1"}}, {}));
  EXPECT_FALSE(covers({{"a", "1"}}, {{"b", "1"}}));
}

}  // namespace
}  // namespace pgw::relay

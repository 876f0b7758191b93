#include "server/prepared.h"

#include <gtest/gtest.h>

#include <string_view>

namespace pgw::server {
namespace {

using Has = Prepared::Has;

class PreparedTest : public testing::Test {
 protected:
  relay::StatementRef statement(std::string_view text) {
    return table_.intern(1, text, Bytes("\0\0", 2));
  }
  void add(const relay::StatementRef& one) {
    prepared_.parse_sent(one, 0);
    prepared_.settle(true);
  }
  relay::Statements table_{"p_"};
  Prepared prepared_;
};

TEST_F(PreparedTest, FindsWhatNoClientHas) {
  auto mine = statement("mine");
  add(mine);
  add(statement("nobody's"));
  Prepared second;
  second.parse_sent(statement("nobody's"), 0);
  second.settle(true);
  ASSERT_EQ(prepared_.unused().size(), 1u);
  EXPECT_EQ(prepared_.unused()[0]->text(), "nobody's");
  EXPECT_EQ(second.unused().size(), 1u);
  mine = {};
  EXPECT_EQ(prepared_.unused().size(), 2u);
  {
    const auto again = statement("nobody's");
    EXPECT_EQ(prepared_.unused().size(), 1u);
  }
  second.forget_all();
  EXPECT_EQ(prepared_.unused().size(), 2u);
}

TEST_F(PreparedTest, BeginsWithNothing) {
  EXPECT_EQ(prepared_.has(statement("a"), 0), Has::no);
  EXPECT_EQ(prepared_.count(), 0u);
  EXPECT_EQ(prepared_.oldest(), nullptr);
  EXPECT_TRUE(prepared_.settled());
}

// What was sent in this group is carried out or skipped together with what is sent now.
TEST_F(PreparedTest, AParseIsRelyableInItsOwnGroupOnly) {
  const auto a = statement("a");
  prepared_.parse_sent(a, 7);
  EXPECT_EQ(prepared_.has(a, 7), Has::yes);
  EXPECT_EQ(prepared_.has(a, 8), Has::unsure);
  EXPECT_EQ(prepared_.has(statement("b"), 8), Has::no);
  EXPECT_FALSE(prepared_.settled());
  EXPECT_EQ(prepared_.count(), 0u);
  EXPECT_FALSE(a->proven());
  prepared_.settle(true);
  EXPECT_EQ(prepared_.has(a, 8), Has::yes);
  EXPECT_EQ(prepared_.count(), 1u);
  EXPECT_TRUE(prepared_.settled());
  EXPECT_TRUE(a->proven());
}

TEST_F(PreparedTest, AParseThatWasNotCarriedOutLeavesNothing) {
  const auto a = statement("a");
  prepared_.parse_sent(a, 1);
  prepared_.settle(false);
  EXPECT_EQ(prepared_.has(a, 1), Has::no);
  EXPECT_EQ(prepared_.count(), 0u);
  EXPECT_EQ(prepared_.oldest(), nullptr);
  EXPECT_FALSE(a->proven());
}

TEST_F(PreparedTest, AClose) {
  for (const bool happened : {false, true}) {
    const auto a = statement(happened ? "a" : "b");
    add(a);
    prepared_.close_sent(*a, 3);
    EXPECT_EQ(prepared_.has(a, 3), Has::no);
    EXPECT_EQ(prepared_.has(a, 4), Has::unsure);
    EXPECT_EQ(prepared_.count(), happened ? 2u : 1u);
    prepared_.settle(happened);
    EXPECT_EQ(prepared_.has(a, 4), happened ? Has::no : Has::yes);
    EXPECT_EQ(prepared_.count(), 1u);
  }
}

// Close and Parse of the same statement, as a client that prepares a text again makes them.
TEST_F(PreparedTest, EveryOutcomeOfACloseAndAParse) {
  for (const bool closed : {false, true}) {
    for (const bool parsed : {false, true}) {
      Prepared prepared;
      const auto a = statement("a");
      prepared.parse_sent(a, 0);
      prepared.settle(true);
      prepared.close_sent(*a, 1);
      prepared.parse_sent(a, 1);
      EXPECT_EQ(prepared.has(a, 1), Has::yes);
      prepared.settle(closed);
      EXPECT_EQ(prepared.has(a, 2), Has::unsure);
      prepared.settle(parsed);
      EXPECT_EQ(prepared.has(a, 2), !closed || parsed ? Has::yes : Has::no);
      EXPECT_EQ(prepared.count(), !closed || parsed ? 1u : 0u);
    }
  }
}

TEST_F(PreparedTest, TheLastGroupDecidesWhatMayBeReliedOn) {
  const auto a = statement("a");
  prepared_.parse_sent(a, 1);
  prepared_.close_sent(*a, 2);
  EXPECT_EQ(prepared_.has(a, 1), Has::unsure);
  EXPECT_EQ(prepared_.has(a, 2), Has::no);
  prepared_.settle(true);
  EXPECT_EQ(prepared_.has(a, 2), Has::no);
  EXPECT_EQ(prepared_.has(a, 3), Has::unsure);
}

TEST_F(PreparedTest, ForgetAllKeepsWhatIsBeingSent) {
  const auto a = statement("a");
  const auto b = statement("b");
  const auto c = statement("c");
  add(a);
  add(c);
  prepared_.parse_sent(b, 1);
  prepared_.close_sent(*c, 1);
  prepared_.forget_all();
  EXPECT_EQ(prepared_.count(), 0u);
  EXPECT_EQ(prepared_.has(a, 1), Has::no);
  EXPECT_EQ(prepared_.has(b, 1), Has::yes);
  prepared_.settle(true);
  prepared_.settle(true);  // c is gone already: it must not be counted twice
  EXPECT_EQ(prepared_.count(), 1u);
  EXPECT_EQ(prepared_.has(b, 2), Has::yes);
  EXPECT_EQ(prepared_.has(c, 2), Has::no);
  prepared_.forget_all();
  EXPECT_EQ(prepared_.has(b, 2), Has::no);
  EXPECT_EQ(prepared_.oldest(), nullptr);
}

TEST_F(PreparedTest, OldestIsTheLeastRecentlyUsed) {
  const auto a = statement("a");
  const auto b = statement("b");
  const auto c = statement("c");
  add(a);
  add(b);
  add(c);
  EXPECT_EQ(prepared_.oldest(), a.get());
  EXPECT_EQ(prepared_.has(a, 0), Has::yes);
  EXPECT_EQ(prepared_.oldest(), b.get());
  prepared_.close_sent(*b, 0);
  prepared_.settle(true);
  EXPECT_EQ(prepared_.oldest(), c.get());
}

TEST_F(PreparedTest, HoldsItsStatementsAndLetsThemGo) {
  add(statement("a"));
  EXPECT_EQ(table_.count(), 1u);
  prepared_.forget_all();
  EXPECT_EQ(table_.count(), 0u);
  prepared_.parse_sent(statement("b"), 1);
  EXPECT_EQ(table_.count(), 1u);
  prepared_.settle(false);
  EXPECT_EQ(table_.count(), 0u);
}

using PreparedDeathTest = PreparedTest;

TEST_F(PreparedDeathTest, RefusesToGuess) {
  EXPECT_DEATH(prepared_.settle(true), "");
  const auto a = statement("a");
  EXPECT_DEATH(prepared_.close_sent(*a, 0), "");
}

}  // namespace
}  // namespace pgw::server

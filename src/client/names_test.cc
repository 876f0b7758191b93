#include "client/names.h"

#include <gtest/gtest.h>

namespace pgw::client {
namespace {

using relay::Fate;

class NamesTest : public testing::Test {
 protected:
  Names::Value value(std::string_view text) {
    return {.statement = table_.intern(1, text, Bytes("\0\0", 2)), .token = 0, .deallocates = {}};
  }
  void add(std::string_view name, std::string_view text) {
    names_.define(name, value(text), 0);
    names_.settle(Fate::happened);
  }
  // The text that the name stands for: "" for no such name, "?" when that is not known.
  std::string text(std::string_view name, std::uint32_t group = 0) const {
    const auto look = names_.look(name, group);
    if (look.unsure) {
      EXPECT_FALSE(look.value);
      return "?";
    }
    return look.value ? std::string(look.value->statement->text()) : "";
  }
  relay::Statements table_{"p_"};
  NameTable shared_;
  Names names_{shared_};
};

TEST_F(NamesTest, BeginsEmpty) {
  EXPECT_TRUE(names_.empty());
  EXPECT_EQ(text("a"), "");
  EXPECT_EQ(text(""), "");
}

TEST_F(NamesTest, WhatWasSentCountsInItsOwnGroupOnly) {
  names_.define("a", value("one"), 5);
  EXPECT_FALSE(names_.empty());
  EXPECT_EQ(text("a", 5), "one");
  EXPECT_EQ(text("a", 6), "?");
  EXPECT_EQ(text("b", 6), "");
  names_.settle(Fate::happened);
  EXPECT_EQ(text("a", 6), "one");
  EXPECT_EQ(names_.count(), 1u);
  names_.undefine("a", 7);
  EXPECT_EQ(text("a", 7), "");
  EXPECT_EQ(text("a", 8), "?");
  names_.settle(Fate::happened);
  EXPECT_EQ(text("a", 8), "");
  EXPECT_TRUE(names_.empty());
}

TEST_F(NamesTest, CountsWhatWasSentAndNotAnsweredYet) {
  add("a", "one");
  add("", "unnamed");
  EXPECT_EQ(names_.count(), 1u);
  names_.define("b", value("two"), 1);
  names_.define("", value("three"), 1);
  EXPECT_EQ(names_.count(), 2u);
  names_.undefine("a", 1);
  names_.undefine("a", 1);  // once gone, it is no less
  names_.undefine("never", 1);
  EXPECT_EQ(names_.count(), 1u);
  names_.define("a", value("four"), 1);
  EXPECT_EQ(names_.count(), 2u);
  for (int i = 0; i < 5; ++i) names_.settle(Fate::happened);
  EXPECT_EQ(names_.count(), 2u);
  names_.settle(Fate::skipped);
  EXPECT_EQ(names_.count(), 1u);
}

TEST_F(NamesTest, FailedOrSkippedLeavesANameAsItWas) {
  for (const Fate fate : {Fate::failed, Fate::skipped}) {
    Names fresh(shared_);
    std::swap(names_, fresh);
    names_.define("new", value("one"), 1);
    names_.settle(fate);
    EXPECT_EQ(text("new", 2), "");
    add("old", "one");
    names_.undefine("old", 1);
    names_.settle(fate);
    EXPECT_EQ(text("old", 2), "one");
    names_.define("old", value("two"), 1);
    names_.settle(fate);
    EXPECT_EQ(text("old", 2), "one");
  }
}

// PostgreSQL drops the unnamed statement before it looks at the new text; what it skips it does
// not look at.
TEST_F(NamesTest, AFailedUnnamedParseDropsTheOldOne) {
  add("", "one");
  names_.define("", value("two"), 1);
  EXPECT_EQ(text("", 1), "two");
  names_.settle(Fate::skipped);
  EXPECT_EQ(text("", 2), "one");
  names_.define("", value("two"), 1);
  names_.settle(Fate::failed);
  EXPECT_EQ(text("", 2), "");
}

TEST_F(NamesTest, ChangesSettleInOrder) {
  names_.define("a", value("one"), 1);
  names_.undefine("a", 1);
  names_.define("a", value("two"), 1);
  names_.define("b", value("three"), 2);
  EXPECT_EQ(text("a", 1), "two");
  EXPECT_EQ(text("a", 2), "?");
  EXPECT_EQ(text("b", 2), "three");
  EXPECT_EQ(names_.count(), 2u);
  names_.settle(Fate::happened);
  EXPECT_EQ(text("a", 1), "two");
  names_.settle(Fate::happened);
  EXPECT_EQ(names_.count(), 2u);
  names_.settle(Fate::skipped);
  EXPECT_EQ(text("a", 2), "");
  names_.settle(Fate::happened);
  EXPECT_EQ(text("b", 9), "three");
  EXPECT_EQ(names_.count(), 1u);
}

TEST_F(NamesTest, KeepsAllOfAValue) {
  auto one = value("one");
  one.token = 42;
  one.deallocates = "other";
  names_.define("", one, 1);
  for (int turn = 0; turn < 2; ++turn) {
    const auto look = names_.look("", 1);
    ASSERT_TRUE(look.value);
    EXPECT_EQ(look.value->token, 42u);
    EXPECT_EQ(look.value->deallocates, "other");
    if (turn == 0) names_.settle(Fate::happened);
  }
}

TEST_F(NamesTest, ForgetAllSparesTheUnnamedAndWhatIsBeingSent) {
  add("a", "one");
  add("", "two");
  names_.define("b", value("three"), 1);
  names_.forget_all();
  EXPECT_EQ(text("a", 1), "");
  EXPECT_EQ(text("", 1), "two");
  EXPECT_EQ(text("b", 1), "three");
  names_.settle(Fate::happened);
  EXPECT_EQ(text("b", 2), "three");
  names_.drop_unnamed();
  EXPECT_EQ(text("", 2), "");
  EXPECT_EQ(text("b", 2), "three");
}

TEST_F(NamesTest, NameOfAStatement) {
  const auto one = value("one");
  const auto& server_name = one.statement->server_name();
  EXPECT_EQ(names_.name_of(server_name), nullptr);
  names_.undefine("x", 1);
  names_.define("a", one, 1);
  ASSERT_NE(names_.name_of(server_name), nullptr);
  EXPECT_EQ(*names_.name_of(server_name), "a");
  names_.settle(Fate::happened);
  EXPECT_EQ(*names_.name_of(server_name), "a");
  names_.settle(Fate::happened);
  EXPECT_EQ(*names_.name_of(server_name), "a");
  EXPECT_EQ(names_.name_of("other"), nullptr);
  names_.forget_all();
  EXPECT_EQ(names_.name_of(server_name), nullptr);
}

TEST_F(NamesTest, LetsStatementsGo) {
  add("a", "one");
  names_.define("b", value("two"), 1);
  EXPECT_EQ(table_.count(), 2u);
  names_.settle(Fate::failed);
  EXPECT_EQ(table_.count(), 1u);
  names_.undefine("a", 1);
  names_.define("c", value("three"), 1);
  names_.settle(Fate::happened);  // c is still pending, a must not be held by what is done
  EXPECT_EQ(table_.count(), 1u);
  names_.settle(Fate::skipped);
  EXPECT_EQ(table_.count(), 0u);
}

TEST_F(NamesTest, ManyNamesOfManyClientsAreSharedAndLetGo) {
  {
    Names other(shared_);
    for (int i = 0; i < 200; ++i) {
      add("s" + std::to_string(i), "one");
      other.define("s" + std::to_string(i), value("two"), 0);
      other.settle(Fate::happened);
    }
    EXPECT_EQ(shared_.count(), 200u);
    for (int i = 0; i < 200; i += 2) {
      names_.undefine("s" + std::to_string(i), 0);
      names_.settle(Fate::happened);
    }
    EXPECT_EQ(names_.count(), 100u);
    for (int i = 0; i < 200; ++i) {
      EXPECT_EQ(text("s" + std::to_string(i)), i % 2 ? "one" : "");
      EXPECT_EQ(other.look("s" + std::to_string(i), 0).value->statement->text(), "two");
    }
  }
  EXPECT_EQ(shared_.count(), 100u);
  names_.forget_all();
  EXPECT_EQ(shared_.count(), 0u);
}

TEST_F(NamesTest, RemembersTheShapeThatWasTold) {
  const auto one = value("one");
  names_.define("a", one, 0);
  names_.settle(Fate::happened);
  names_.told("a", one.statement, 7);
  EXPECT_EQ(names_.look("a", 0).value->shape, 7u);
  names_.told("a", value("other").statement, 8);
  EXPECT_EQ(names_.look("a", 0).value->shape, 7u);
  add("a", "two");
  EXPECT_EQ(names_.look("a", 0).value->shape, 0u);
}

TEST_F(NamesTest, ADeallocatorIsOneUntilItIsReplaced) {
  auto one = value("one");
  one.deallocates = "x";
  names_.define("a", one, 0);
  names_.settle(Fate::happened);
  EXPECT_EQ(names_.look("a", 0).value->deallocates, "x");
  add("a", "two");
  EXPECT_EQ(names_.look("a", 0).value->deallocates, "");
}

using NamesDeathTest = NamesTest;

TEST_F(NamesDeathTest, SettlesOnlyWhatWasSent) { EXPECT_DEATH(names_.settle(Fate::happened), ""); }

TEST_F(NamesTest, NamedIsWhatWillBe) {
  add("a", "one");
  add("", "unnamed");
  add("gone", "two");
  names_.define("b", value("three"), 3);
  names_.undefine("gone", 3);
  std::string all;
  for (const auto& [name, statement] : names_.named())
    all += name + "=" + std::string(statement->text()) + " ";
  EXPECT_EQ(all, "a=one b=three ");
  names_.settle(Fate::skipped);
  names_.settle(Fate::skipped);
  EXPECT_EQ(names_.named().size(), 2u);
  names_.lose("gone");
  EXPECT_EQ(text("gone"), "");
}

}  // namespace
}  // namespace pgw::client

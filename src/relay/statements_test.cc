#include "relay/statements.h"

#include <gtest/gtest.h>

namespace pgw::relay {
namespace {

using namespace std::string_view_literals;

constexpr Bytes kNoTypes = "\0\0"sv;
constexpr Bytes kInt = "\0\1\0\0\0\x17"sv;

TEST(Statements, TheSameTextAndTypesInAScopeAreOne) {
  Statements table("p_");
  const auto a = table.intern(1, "select $1", kInt);
  const auto b = table.intern(1, "select $1", kInt);
  EXPECT_EQ(a, b);
  EXPECT_EQ(table.count(), 1u);
  EXPECT_EQ(a->text(), "select $1");
  EXPECT_EQ(a->types(), kInt);
}

TEST(Statements, AnyDifferenceMakesAnother) {
  Statements table("p_");
  const auto a = table.intern(1, "select $1", kInt);
  EXPECT_NE(a, table.intern(2, "select $1", kInt));
  EXPECT_NE(a, table.intern(1, "select  $1", kInt));
  EXPECT_NE(a, table.intern(1, "select $1", kNoTypes));
  // Text and types lie side by side: where the one ends must count.
  const auto left = table.intern(1, "ab", "c");
  const auto right = table.intern(1, "a", "bc");
  EXPECT_NE(left, right);
  EXPECT_EQ(left->text(), "ab");
  EXPECT_EQ(right->types(), "bc");
}

TEST(Statements, NamesAreOfOneTableAndNeverUsedTwice) {
  Statements table("one_");
  Statements other("two_");
  auto a = table.intern(0, "a", kNoTypes);
  const auto name = a->server_name();
  EXPECT_TRUE(name.starts_with("one_"));
  EXPECT_NE(table.intern(0, "b", kNoTypes)->server_name(), name);
  EXPECT_TRUE(other.intern(0, "a", kNoTypes)->server_name().starts_with("two_"));
  a = {};
  EXPECT_NE(table.intern(0, "a", kNoTypes)->server_name(), name);
}

TEST(Statements, FindsOnlyWhatSomebodyHas) {
  Statements table("p_");
  EXPECT_FALSE(table.find(1, "a", kNoTypes));
  {
    const auto a = table.intern(1, "a", kNoTypes);
    EXPECT_EQ(table.find(1, "a", kNoTypes), a);
    EXPECT_FALSE(table.find(2, "a", kNoTypes));
    EXPECT_FALSE(table.find(1, "b", kNoTypes));
    EXPECT_FALSE(table.find(1, "a", kInt));
    EXPECT_EQ(table.count(), 1u);
  }
  EXPECT_FALSE(table.find(1, "a", kNoTypes));
}

TEST(Statements, TheLastReferenceFrees) {
  Statements table("p_");
  StatementRef a = table.intern(1, "a", kNoTypes);
  StatementRef copy = a;
  StatementRef moved = std::move(a);
  EXPECT_FALSE(a);  // NOLINT: what a move leaves behind is promised
  copy = {};
  EXPECT_EQ(table.count(), 1u);
  StatementRef& itself = moved;
  moved = itself;
  EXPECT_EQ(table.count(), 1u);
  moved = table.intern(1, "b", kNoTypes);
  EXPECT_EQ(table.count(), 1u);
  EXPECT_FALSE(table.find(1, "a", kNoTypes));
  moved = {};
  EXPECT_EQ(table.count(), 0u);
}

TEST(Statements, CountsItsBytes) {
  Statements table("p_");
  EXPECT_EQ(table.bytes(), 0u);
  const auto a = table.intern(1, std::string(1000, 'a'), kInt);
  EXPECT_EQ(table.bytes(), a->bytes());
  EXPECT_GE(a->bytes(), 1000 + kInt.size());
  {
    const auto b = table.intern(1, "b", kNoTypes);
    EXPECT_EQ(table.bytes(), a->bytes() + b->bytes());
    const auto again = table.intern(1, "b", kNoTypes);
    EXPECT_EQ(table.bytes(), a->bytes() + b->bytes());
  }
  EXPECT_EQ(table.bytes(), a->bytes());
}

TEST(Statements, FreshScopesDiffer) {
  Statements table("p_");
  const auto first = table.fresh_scope();
  EXPECT_NE(first, 0u);
  EXPECT_NE(table.fresh_scope(), first);
}

TEST(Statements, AreScannedAndProvenOnce) {
  Statements table("p_");
  const auto a = table.intern(1, "deallocate x", kNoTypes);
  EXPECT_TRUE(a->scan().unsettles);
  EXPECT_FALSE(table.intern(1, "select 1", kNoTypes)->scan().unsettles);
  EXPECT_FALSE(a->proven());
  a->prove();
  EXPECT_TRUE(table.intern(1, "deallocate x", kNoTypes)->proven());
  EXPECT_FALSE(table.intern(2, "deallocate x", kNoTypes)->proven());
}

TEST(StatementsDeathTest, OutlivesItsReferences) {
  EXPECT_DEATH(
      {
        auto table = std::make_unique<Statements>("p_");
        const auto a = table->intern(1, "a", kNoTypes);
        table.reset();
      },
      "");
}

}  // namespace
}  // namespace pgw::relay

#include "server/inspection.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace pgw::server {
namespace {

std::string row(std::initializer_list<std::string_view> fields) {
  std::string out("\0\3", 2);
  for (const auto field : fields) {
    char length[4];
    put_u32(length, static_cast<std::uint32_t>(field.size()));
    out.append(length, 4).append(field);
  }
  return out;
}

Inspection found(std::initializer_list<std::initializer_list<std::string_view>> rows) {
  Inspection out;
  for (const auto& one : rows) EXPECT_TRUE(take_row(row(one), out));
  return out;
}

TEST(Inspection, LimitsThatWerePutAside) {
  auto it = found({{"limit", "statement_timeout", "5"},
                   {"limit", "lock_timeout", "0"},
                   {"set", "statement_timeout", "0"},
                   {"set", "lock_timeout", "0"},
                   {"set", "work_mem", "64"},
                   {"first limit", "statement_timeout", "0"},
                   {"first limit", "lock_timeout", "0"}});
  keep_limits(it, {});
  EXPECT_EQ(it.settings, (relay::Settings{{"statement_timeout", "5"}, {"work_mem", "64"}}));
  EXPECT_TRUE(it.maybe_reset.empty());
}

TEST(Inspection, ALimitThatMayHaveBeenReset) {
  auto it = found({{"limit", "statement_timeout", "0"}, {"first limit", "statement_timeout", "0"}});
  keep_limits(it, {{"statement_timeout", "5"}});
  EXPECT_EQ(it.settings, (relay::Settings{{"statement_timeout", "0"}}));
  EXPECT_EQ(it.maybe_reset, std::vector<std::string>{"statement_timeout"});
}

TEST(Inspection, WithoutLimitsToPutAside) {
  auto it = found({{"set", "statement_timeout", "5"}});
  keep_limits(it, {{"statement_timeout", "7"}});
  EXPECT_EQ(it.settings, (relay::Settings{{"statement_timeout", "5"}}));
}

TEST(Inspection, TheLimitOfATransactionIsOfNewerVersions) {
  const auto has = [](int major) {
    return patient_inspection_query({}, false, major).find("SET LOCAL transaction_timeout") !=
           std::string::npos;
  };
  EXPECT_FALSE(has(16));
  EXPECT_TRUE(has(17));
}

}  // namespace
}  // namespace pgw::server

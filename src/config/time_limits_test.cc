#include "config/time_limits.h"

#include <gtest/gtest.h>

#include "config/file.h"

using namespace pgw;
using namespace pgw::config;

namespace {

constexpr std::string_view kFile = R"(
query_timeout = "10s"
transaction_timeout = "60s"
[databases.shop]
url = "postgresql://h"
query_timeout = "8s"
transaction_timeout = "50s"
idle_in_transaction_timeout = "5s"
[users.bob]
query_timeout = "6s"
transaction_timeout = "40s"
[users."*"]
slow_statement = "1s"
[apps.web]
query_timeout = "2s"
leak_threshold = 0
client_idle_timeout = "9s"
)";

TEST(TimeLimits, TheMostSpecificHolds) {
  const auto snapshot = parse(kFile, "f");
  ASSERT_TRUE(snapshot) << snapshot.error().what();
  const auto limits = [&](std::string_view user, std::string_view app) {
    return time_limits_of((*snapshot)->settings_for(*(*snapshot)->find("shop"), user, app));
  };
  EXPECT_EQ(limits("bob", "web"), (TimeLimits{.query = 2s,
                                              .transaction = 40s,
                                              .idle_in_transaction = 5s,
                                              .client_idle = 9s,
                                              .leak = 0s,
                                              .slow = 5s,
                                              .soonest = 2s}));
  EXPECT_EQ(limits("eve", ""), (TimeLimits{.query = 8s,
                                           .transaction = 50s,
                                           .idle_in_transaction = 5s,
                                           .client_idle = 0s,
                                           .leak = 1min,
                                           .slow = 1s,
                                           .soonest = 5s}));
}

TEST(TimeLimits, WhereAValueComesFrom) {
  const auto snapshot = parse(kFile, "f");
  ASSERT_TRUE(snapshot);
  const auto source = [&](std::string_view setting, std::string_view user, std::string_view app) {
    return (*snapshot)->source_of(setting, *(*snapshot)->find("shop"), user, app);
  };
  EXPECT_EQ(source("query_timeout", "bob", "web"), "[apps.web]");
  EXPECT_EQ(source("query_timeout", "bob", "other"), "[users.bob]");
  EXPECT_EQ(source("query_timeout", "eve", "other"), "[databases.shop]");
  EXPECT_EQ(source("slow_statement", "eve", "other"), "[users.\"*\"]");
  EXPECT_EQ(source("leak_threshold", "eve", "other"), "the top of the file");
}

TEST(TimeLimits, AreSharedWhileInUse) {
  TimeLimitsShelf shelf;
  auto one = shelf.share({.query = 1s});
  EXPECT_EQ(shelf.share({.query = 1s}), one);
  EXPECT_NE(shelf.share({.query = 2s}), one);
  const std::weak_ptr<const TimeLimits> gone = one;
  one.reset();
  EXPECT_TRUE(gone.expired());
}

TEST(TimeLimits, NothingIsWaitedForWhenThereIsNone) {
  EXPECT_EQ(time_limits_of({}).soonest, 1min);
  Settings none;
  none.leak_threshold = 0s;
  EXPECT_EQ(time_limits_of(none).soonest, 0s);
}

}  // namespace

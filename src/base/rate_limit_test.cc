#include "base/rate_limit.h"

#include <gtest/gtest.h>

using namespace pgw;

TEST(RateLimit, TheFirstAtOnceThenOneInAWhile) {
  RateLimit limit(60s);
  const Time start{5s};  // whatever the clock began with
  EXPECT_EQ(limit.pass(start), 0u);
  EXPECT_EQ(limit.pass(start), std::nullopt);
  EXPECT_EQ(limit.pass(start + 59999999us), std::nullopt);
  EXPECT_EQ(limit.pass(start + 60s), 2u);
  EXPECT_EQ(limit.pass(start + 60s), std::nullopt);
  EXPECT_EQ(limit.pass(start + 1h), 1u);
  EXPECT_EQ(limit.pass(start + 2h), 0u);
}

TEST(RateLimit, TellsOfTheFirstAlsoWhenTheClockBeginsAtZero) {
  RateLimit limit(1min);
  EXPECT_EQ(limit.pass(Time{}), 0u);
  EXPECT_EQ(limit.pass(Time{}), std::nullopt);
}

TEST(RateLimit, SaysHowManyWereLeftOut) {
  EXPECT_EQ(more_text(0), "");
  EXPECT_EQ(more_text(12), " (12 more since the last such line)");
}

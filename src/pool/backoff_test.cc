#include "pool/backoff.h"

#include <gtest/gtest.h>

namespace pgw::pool {
namespace {

constexpr double kNearlyOne = 0.999999999;

TEST(Backoff, DoublesWithEachFailureUpToTheMost) {
  Backoff backoff;
  for (const Duration step : {1000us, 2000us, 4000us, 8000us, 9000us, 9000us})
    EXPECT_EQ(backoff.failed(1000us, 9000us, 0), step / 2);
}

// Poolers that failed together must not come back together: half of the pause is chance.
TEST(Backoff, IsBetweenHalfOfTheStepAndAllOfIt) {
  for (const double share : {0.0, 0.25, 0.5, kNearlyOne}) {
    Backoff backoff;
    for (const double step : {1e6, 2e6, 4e6, 5e6, 5e6}) {
      const auto got = static_cast<double>(backoff.failed(1s, 5s, share).count());
      EXPECT_NEAR(got, step * (0.5 + share / 2), 1);
      EXPECT_LT(got, step);
      EXPECT_GE(got, step / 2);
    }
  }
}

TEST(Backoff, SuccessBeginsAnew) {
  Backoff backoff;
  backoff.failed(1s, 60s, 0);
  EXPECT_EQ(backoff.failed(1s, 60s, 0), 1s);
  backoff.succeeded();
  EXPECT_EQ(backoff.failed(1s, 60s, 0), 500ms);
}

// A reload may change both while failures go on.
TEST(Backoff, KeepsToTheMostOfTheMoment) {
  Backoff backoff;
  EXPECT_EQ(backoff.failed(10s, 4s, 0), 2s);
  EXPECT_EQ(backoff.failed(10s, 4s, 0), 2s);
  EXPECT_EQ(backoff.failed(10s, 1s, 0), 500ms);
  EXPECT_EQ(backoff.failed(10s, 8s, 0), 1s);
}

TEST(Jittered, TakesUpToATenthAway) {
  EXPECT_EQ(jittered(1000us, 0), 1000us);
  EXPECT_EQ(jittered(1000us, 0.5), 950us);
  EXPECT_GE(jittered(1000us, kNearlyOne), 900us);
  EXPECT_LT(jittered(1000us, kNearlyOne), 902us);
  EXPECT_EQ(jittered(0us, 0.5), 0us);
}

}  // namespace
}  // namespace pgw::pool

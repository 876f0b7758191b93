#include "stats/pinning.h"

#include <gtest/gtest.h>

using namespace pgw;
using namespace pgw::stats;

namespace {

constexpr std::size_t kLock = index_of(Pin::lock);
constexpr std::size_t kListen = index_of(Pin::listen);

TEST(Pinning, CountsByAppAndReasonAndSumsUpWorkers) {
  Pinning first, second;
  first.of("api").reasons[kLock].begun.add(1);
  first.of("api").reasons[kLock].pinned.add(1);
  first.of("api").reasons[kLock].pinned_us.add(5'000'000'000);  // more than 32 bits hold
  first.of("api").reasons[kListen].refused.add(3);
  first.of("").replays.add(2);
  second.of("api").reasons[kLock].begun.add(2);
  second.of("api").reasons[kLock].pinned.add(1);
  second.of("api").reasons[kLock].pinned.add(-1);
  PinNumbers sum;
  first.add_to(sum);
  second.add_to(sum);
  ASSERT_EQ(sum.size(), 2u);
  EXPECT_EQ(sum.at("api").reasons[kLock], (AppNumbers::Reason{3, 5'000'000'000, 0, 1}));
  EXPECT_EQ(sum.at("api").reasons[kListen], (AppNumbers::Reason{0, 0, 3, 0}));
  EXPECT_EQ(sum.at("").replays, 2u);
}

TEST(Pinning, KeepsSoManyAppsAndCountsTheOthersTogether) {
  Pinning pinning;
  for (std::size_t i = 0; i < Pinning::kAppsMost; ++i) pinning.of(std::to_string(i)).replays.add(1);
  pinning.of("one more").replays.add(10);
  pinning.of("and another").replays.add(100);
  pinning.of("0").replays.add(1);
  PinNumbers sum;
  pinning.add_to(sum);
  EXPECT_EQ(sum.size(), Pinning::kAppsMost + 1);
  EXPECT_EQ(sum.at("other").replays, 110u);
  EXPECT_EQ(sum.at("0").replays, 2u);
  EXPECT_EQ(&pinning.of("x"), &pinning.of("other"));
}

TEST(Pinning, AppsAreKeptByWhatPostgresKeepsOfTheirNames) {
  Pinning pinning;
  const std::string name(63, 'a');
  EXPECT_EQ(&pinning.of(name + "b"), &pinning.of(name + "c"));
  EXPECT_NE(&pinning.of(name), &pinning.of(name.substr(1)));
}

}  // namespace

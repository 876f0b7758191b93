#include "net/timers.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace pgw::net {
namespace {

Time at(std::int64_t us) { return Time(Duration(us)); }

struct Bell {
  Timer timer{&ring, this};
  int rings = 0;
  std::function<void()> also;
  static void ring(void* self) {
    auto* bell = static_cast<Bell*>(self);
    ++bell->rings;
    if (bell->also) bell->also();
  }
};

// Never early and at most one tick late, wherever the clock stands and however far the timer is.
TEST(Timers, FireInTheirTick) {
  for (const std::int64_t start : {0, 1, 999, 63'999, 64'000, 4'095'999, 123'456'789}) {
    for (const std::int64_t after :
         {0, 1, 1000, 1001, 63'000, 64'000, 65'500, 4'096'000, 262'144'000, 900'000'123}) {
      Timers timers;
      timers.run(at(start));
      Bell bell;
      timers.arm(bell.timer, at(start + after));
      timers.run(at(start + after - 1));
      EXPECT_EQ(bell.rings, 0) << start << " " << after;
      timers.run(at(start + after + 2000));
      EXPECT_EQ(bell.rings, 1) << start << " " << after;
      EXPECT_FALSE(timers.next().has_value());
    }
  }
}

// next() may be early but never late: whoever sleeps until it again and again meets every timer in
// time.
TEST(Timers, SleepingUntilNextMissesNothing) {
  std::mt19937_64 random(7);
  Timers timers;
  Time now = at(5'000'500);
  timers.run(now);
  std::vector<std::unique_ptr<Bell>> bells;
  for (int i = 0; i < 2000; ++i) {
    bells.push_back(std::make_unique<Bell>());
    Bell& bell = *bells.back();
    const std::int64_t spread = std::int64_t{1} << (random() % 34);
    const Time due = now + Duration(static_cast<std::int64_t>(random()) & (spread - 1));
    bell.also = [&now, due] {
      EXPECT_GE(now, due);
      EXPECT_LE(now - due, 2ms);
    };
    timers.arm(bell.timer, due);
  }
  int steps = 0;
  while (const auto next = timers.next()) {
    ASSERT_GT(*next, now);
    now = *next;
    timers.run(now);
    ASSERT_LT(++steps, 100'000);
  }
  for (const auto& bell : bells) EXPECT_EQ(bell->rings, 1);
}

TEST(Timers, ArmingAgainMovesAndDestroyingDisarms) {
  Timers timers;
  Bell moved;
  timers.arm(moved.timer, at(1000));
  timers.arm(moved.timer, at(9000));
  {
    Bell dead;
    timers.arm(dead.timer, at(2000));
  }
  timers.run(at(8000));
  EXPECT_EQ(moved.rings, 0);
  timers.run(at(9000));
  EXPECT_EQ(moved.rings, 1);
  EXPECT_FALSE(moved.timer.armed());
}

// Callbacks of one tick may disarm each other, and one that arms itself for at once lets time pass.
TEST(Timers, CallbacksMayChangeEverything) {
  Timers timers;
  Bell first;
  auto second = std::make_unique<Bell>();
  first.also = [&] {
    second.reset();
    timers.arm(first.timer, at(5000));
  };
  timers.arm(first.timer, at(5000));
  timers.arm(second->timer, at(5000));
  timers.run(at(5000));
  EXPECT_EQ(first.rings, 1);
  first.also = nullptr;
  timers.run(at(6000));
  EXPECT_EQ(first.rings, 2);
}

TEST(Timers, FarAwayTimersAreHarmless) {
  Timers timers;
  Bell bell;
  timers.arm(bell.timer, Time::max());
  timers.run(at(1'000'000'000'000));
  EXPECT_EQ(bell.rings, 0);
  EXPECT_TRUE(timers.next().has_value());
}

}  // namespace
}  // namespace pgw::net

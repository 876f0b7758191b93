// stats/pinning.h between two threads: there threads are not allowed.
#include "stats/pinning.h"

#include <gtest/gtest.h>

#include <thread>

using namespace pgw::stats;

TEST(Pinning, MayBeReadWhileItIsWritten) {
  Pinning pinning;
  std::thread writer([&] {
    for (int i = 0; i < 10'000; ++i) pinning.of(std::to_string(i % 300)).replays.add(1);
  });
  std::uint64_t last = 0;
  while (last < 10'000) {
    PinNumbers sum;
    pinning.add_to(sum);
    std::uint64_t now = 0;
    for (const auto& [app, numbers] : sum) now += numbers.replays;
    EXPECT_GE(now, last);
    last = now;
  }
  writer.join();
}

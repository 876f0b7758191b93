#include "net/mailbox.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <memory>

namespace pgw::net {
namespace {

// Every letter is run, in its poster's order, and a sleeping runner is always woken.
TEST(Mailbox, ManyPostersOneRunner) {
  constexpr int kPosters = 4;
  constexpr int kLetters = 20'000;
  Mailbox box;
  box.belong_to_this_thread();
  std::vector<int> next(kPosters, 0);
  int total = 0;
  std::vector<std::jthread> posters;
  for (std::size_t poster = 0; poster < kPosters; ++poster) {
    posters.emplace_back([&, poster] {
      for (int i = 0; i < kLetters; ++i)
        box.post([&, poster, i] {
          EXPECT_EQ(next[poster], i);
          ++next[poster];
          ++total;
        });
    });
  }
  std::uint64_t counter;
  while (total < kPosters * kLetters) {
    if (box.prepare_to_sleep()) {
      pollfd event{box.descriptor(), POLLIN, 0};
      ASSERT_EQ(poll(&event, 1, 60'000), 1) << "nobody woke the runner";
      ASSERT_EQ(read(box.descriptor(), &counter, sizeof counter), 8);
    }
    box.awake();
    box.run();
  }
}

TEST(Mailbox, OwnPostsNeedNoWakeAndRunLater) {
  Mailbox box;
  box.belong_to_this_thread();
  int runs = 0;
  box.post([&] {
    ++runs;
    box.post([&] { ++runs; });
  });
  EXPECT_EQ(runs, 0);
  EXPECT_FALSE(box.prepare_to_sleep());
  box.run();
  EXPECT_EQ(runs, 1);
  box.run();
  EXPECT_EQ(runs, 2);
  pollfd event{box.descriptor(), POLLIN, 0};
  EXPECT_EQ(poll(&event, 1, 0), 0);
}

TEST(Mailbox, ClosedDestroysWithoutRunning) {
  Mailbox box;
  const auto held = std::make_shared<int>(0);
  box.post([held] { ++*held; });
  box.close();
  box.post([held] { ++*held; });
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*held, 0);
}

}  // namespace
}  // namespace pgw::net

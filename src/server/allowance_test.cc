#include "server/allowance.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace pgw::server {
namespace {

// A loop that only runs what is posted, when it is told to.
class Desk final : public net::Loop {
 public:
  void run() override {
    for (;;) {
      std::deque<std::move_only_function<void()>> now;
      {
        const std::scoped_lock lock(mutex_);
        now.swap(posted_);
      }
      if (now.empty()) return;
      for (auto& work : now) work();
    }
  }
  void stop() override {}
  Time now() const override { return {}; }
  void post(std::move_only_function<void()> work) override {
    const std::scoped_lock lock(mutex_);
    posted_.push_back(std::move(work));
  }
  void arm(net::Timer&, Duration) override {}
  Result<std::unique_ptr<net::Listener>> listen(const net::Address&, net::ListenSink&) override {
    return fail(Code::internal, "no listeners here");
  }
  std::unique_ptr<net::Stream> connect(const net::Address&, net::StreamSink&) override {
    return nullptr;
  }
  std::unique_ptr<net::Stream> adopt(net::Detached, net::StreamSink&) override { return nullptr; }
  void close_detached(net::Detached) override {}
  unsigned lingering() const override { return 0; }
  const char* name() const override { return "desk"; }

 private:
  std::mutex mutex_;
  std::deque<std::move_only_function<void()>> posted_;
};

struct Asker final : Allowance::Taker {
  Asker(Desk& desk, Allowance& its_budget) : Taker(desk), budget(its_budget) {}
  ~Asker() { budget.forget(*this); }
  void offered(Allowance&) override { ++places; }
  Allowance& budget;
  int places = 0;
};

TEST(Allowance, HasSoManyPlaces) {
  const auto budget = std::make_shared<Allowance>();
  EXPECT_FALSE(budget->limited());
  budget->set_most(2);
  EXPECT_TRUE(budget->begin());
  EXPECT_TRUE(budget->begin());
  EXPECT_FALSE(budget->begin());
  budget->end(nullptr);
  EXPECT_EQ(budget->free(), 1u);
  EXPECT_TRUE(budget->begin());
}

TEST(Allowance, WhatIsGivenBackGoesToWhoHasWaitedLongest) {
  Desk here, there;
  const auto budget = std::make_shared<Allowance>();
  budget->set_most(1);
  ASSERT_TRUE(budget->begin());
  Asker late(here, *budget), early(there, *budget);
  EXPECT_FALSE(budget->begin_or_wait(late, Time(2s)));
  EXPECT_FALSE(budget->begin_or_wait(early, Time(1s)));
  budget->end(&here);
  EXPECT_FALSE(budget->begin()) << "it is on its way";
  EXPECT_EQ(early.places, 0);
  there.run();
  EXPECT_EQ(early.places, 1);
  budget->end(&there);
  here.run();
  EXPECT_EQ(late.places, 1);
  budget->end(&here);
  EXPECT_EQ(budget->taken(), 0u);
}

TEST(Allowance, OnTheSameThreadThePlaceIsThereAtOnce) {
  Desk here;
  const auto budget = std::make_shared<Allowance>();
  budget->set_most(1);
  ASSERT_TRUE(budget->begin());
  Asker one(here, *budget);
  EXPECT_FALSE(budget->begin_or_wait(one, {}));
  budget->end(&here);
  EXPECT_EQ(one.places, 1);
}

TEST(Allowance, APlaceOnItsWayToNobodyIsGivenOn) {
  Desk here, there;
  const auto budget = std::make_shared<Allowance>();
  budget->set_most(1);
  ASSERT_TRUE(budget->begin());
  auto gone = std::make_unique<Asker>(there, *budget);
  Asker next(here, *budget);
  EXPECT_FALSE(budget->begin_or_wait(*gone, Time(1s)));
  EXPECT_FALSE(budget->begin_or_wait(next, Time(2s)));
  budget->end(&here);
  gone.reset();
  there.run();
  here.run();
  EXPECT_EQ(next.places, 1);
}

TEST(Allowance, WhatIsBeyondALowerLimitGoesWhenItIsGivenBack) {
  Desk here;
  const auto budget = std::make_shared<Allowance>();
  budget->set_most(3);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(budget->begin());
  Asker one(here, *budget);
  EXPECT_FALSE(budget->begin_or_wait(one, {}));
  budget->set_most(1);
  budget->end(&here);
  budget->end(&here);
  EXPECT_EQ(one.places, 0);
  budget->end(&here);
  EXPECT_EQ(one.places, 1);
  EXPECT_EQ(budget->taken(), 1u);
}

// Threads that take, wait and give back: never more than the limit, and nobody waits for ever.
TEST(Allowance, IsExactOverThreads) {
  constexpr int kThreads = 4, kTurns = 20'000;
  constexpr std::uint32_t kMost = 2;
  const auto budget = std::make_shared<Allowance>();
  budget->set_most(kMost);
  std::atomic<std::uint32_t> held{0}, highest{0};
  std::vector<std::jthread> threads;
  std::array<Desk, kThreads> desks;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      Desk& desk = desks[static_cast<std::size_t>(i)];
      Asker asker(desk, *budget);
      for (int turn = 0; turn < kTurns; ++turn) {
        if (!budget->begin_or_wait(asker, Time(Duration(turn)))) {
          while (asker.places == 0) {
            desk.run();
            std::this_thread::yield();
          }
          --asker.places;
        }
        const auto now = held.fetch_add(1) + 1;
        for (auto high = highest.load(); now > high && !highest.compare_exchange_weak(high, now);) {
        }
        held.fetch_sub(1);
        budget->end(&desk);
      }
    });
  }
  threads.clear();
  for (Desk& desk : desks) desk.run();
  EXPECT_LE(highest.load(), kMost);
  EXPECT_EQ(budget->taken(), 0u);
}

}  // namespace
}  // namespace pgw::server

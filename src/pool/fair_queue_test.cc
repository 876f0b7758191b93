#include "pool/fair_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

namespace pgw::pool {
namespace {

constexpr Duration kPatience = 10s;

Time at(Duration after) { return Time(after); }

// The same chance for each seed.
struct Dice {
  explicit Dice(unsigned seed) : state(seed * 0x9E3779B97F4A7C15ULL + 1) {}
  int between(int least, int most) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return least + static_cast<int>((state >> 11) % static_cast<std::uint64_t>(most - least + 1));
  }
  std::uint64_t state;
};

// A pool of some apps whose waiters are told apart by a number.
struct Scene {
  struct One : Waiter {
    int app = 0;
    int number = 0;
  };
  explicit Scene(std::size_t places) {
    queue.set_places(places);
    queue.set_patience(kPatience);
  }
  Share& app(Terms terms) {
    shares.push_back(std::make_unique<Share>());
    queue.set_terms(*shares.back(), terms, now);
    queue.enter(*shares.back());
    return *shares.back();
  }
  void wait(int app, int number, bool session = false) {
    waiters.emplace_back();
    One& one = waiters.back();
    one.app = app;
    one.number = number;
    one.waits_since = now;
    queue.push(shares[static_cast<std::size_t>(app)]->lines[session ? 1 : 0], one, now);
  }
  // The app that gets the next server; -1: none may.
  int next() {
    Line* const line = queue.best(now);
    if (!line) return -1;
    last = &static_cast<One&>(queue.begin(*line, now));
    return last->app;
  }
  void end(int app) { queue.end(*shares[static_cast<std::size_t>(app)], now); }

  Time now{};
  FairQueue queue;
  std::vector<std::unique_ptr<Share>> shares;
  std::deque<One> waiters;
  One* last = nullptr;
};

TEST(FairQueue, OneAppIsServedInTheOrderOfComing) {
  Scene s(3);
  s.app({});
  for (int i = 0; i < 5; ++i) s.wait(0, i, i % 2 == 1);
  for (int i = 0; i < 3; ++i) {
    s.now += 1ms;
    EXPECT_EQ(s.next(), 0);
  }
  EXPECT_EQ(s.next(), -1);
  EXPECT_EQ(s.queue.waiting(), 2u);
  s.end(0);
  EXPECT_EQ(s.next(), 0);
}

TEST(FairQueue, BothModesOfAnAppAreOneQueue) {
  Scene s(9);
  s.app({});
  for (int i = 0; i < 6; ++i) {
    s.now += 1ms;
    s.wait(0, i, i == 1 || i == 2);
  }
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(s.next(), 0);
    EXPECT_EQ(s.last->number, i);
  }
}

// A lease changes what both lines of its app are ordered by.
TEST(FairQueue, TwoLinesOfOneAppDoNotUpsetTheOrder) {
  Dice dice(7);
  Scene s(1000);
  s.queue.set_patience(1h);
  for (int i = 0; i < 10; ++i) s.app({});
  for (int step = 0; step < 20'000; ++step) {
    const int app = dice.between(0, 9);
    Share& share = *s.shares[static_cast<std::size_t>(app)];
    s.now += 1ms;
    if (dice.between(0, 1) == 0) {
      s.wait(app, step, dice.between(0, 1) == 0);
    } else if (dice.between(0, 1) == 0 && share.leased > 0) {
      s.end(app);
    } else if (Line* const next = s.queue.best(s.now)) {
      for (const auto& one : s.shares)
        for (const Line& line : one->lines)
          if (line.count > 0) ASSERT_LE(next->share.leased, one->leased) << step;
      s.queue.begin(*next, s.now);
    }
  }
}

TEST(FairQueue, WhoHasLessIsNext) {
  Scene s(4);
  s.app({});
  s.app({});
  for (int i = 0; i < 4; ++i) s.wait(0, i);
  for (int i = 0; i < 4; ++i) s.wait(1, i);
  std::vector<int> order;
  for (int i = 0; i < 4; ++i) order.push_back(s.next());
  EXPECT_EQ(std::ranges::count(order, 0), 2);
  s.end(0);
  EXPECT_EQ(s.next(), 0) << "it has one, the other has two";
}

TEST(FairQueue, SharesFollowTheWeights) {
  Scene s(12);
  s.app({.min = 0, .weight = 3, .background = false});
  s.app({.min = 0, .weight = 1, .background = false});
  for (int i = 0; i < 40; ++i) {
    s.wait(0, i);
    s.wait(1, i);
  }
  while (s.next() >= 0) {
  }
  EXPECT_EQ(s.shares[0]->leased, 9u);
  EXPECT_EQ(s.shares[1]->leased, 3u);
}

TEST(FairQueue, WhatIsNotWantedGoesToTheOthers) {
  Scene s(10);
  s.app({.min = 0, .weight = 1000, .background = false});
  s.app({});
  s.wait(0, 0);
  for (int i = 0; i < 20; ++i) s.wait(1, i);
  while (s.next() >= 0) {
  }
  EXPECT_EQ(s.shares[0]->leased, 1u);
  EXPECT_EQ(s.shares[1]->leased, 9u);
}

TEST(FairQueue, TheLastPlacesAreKeptForAMinimum) {
  Scene s(5);
  s.app({.min = 2, .weight = 1, .background = false});
  s.app({});
  for (int i = 0; i < 9; ++i) s.wait(1, i);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(s.next(), 1);
  EXPECT_EQ(s.next(), -1);
  s.wait(0, 0);
  EXPECT_EQ(s.next(), 0);
  EXPECT_EQ(s.next(), -1) << "one more is kept";
  s.queue.leave(*s.shares[0]);
  EXPECT_EQ(s.next(), 1) << "nobody is there any more who could want it";
}

TEST(FairQueue, OnePlaceIsNeverKept) {
  Scene s(2);
  s.app({.min = 5, .weight = 1, .background = false});
  s.app({});
  s.wait(1, 0);
  s.wait(1, 1);
  EXPECT_EQ(s.next(), 1);
  EXPECT_EQ(s.next(), -1);
}

TEST(FairQueue, WhoIsBelowItsMinimumGoesFirst) {
  Scene s(3);
  s.app({});
  s.app({.min = 2, .weight = 1, .background = false});
  s.wait(1, 0);
  EXPECT_EQ(s.next(), 1);
  s.wait(0, 0);
  s.wait(1, 1);
  EXPECT_EQ(s.next(), 1) << "it has one already, and the other has none and came earlier";
}

TEST(FairQueue, TheBackgroundGetsWhatIsLeftUntilItHasWaitedLongEnough) {
  Scene s(100);
  s.app({});
  s.app({.min = 0, .weight = 1, .background = true});
  for (int i = 0; i < 9; ++i) s.wait(1, i);
  EXPECT_EQ(s.next(), 1) << "nobody else wants it";
  for (int i = 0; i < 9; ++i) s.wait(0, i);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(s.next(), 0);
  EXPECT_EQ(s.queue.next_lift(), at(kPatience));
  s.now += kPatience;
  EXPECT_EQ(s.next(), 1) << "it has one lease, the other has five";
}

TEST(FairQueue, WhoHasNothingIsNotKeptOutForEver) {
  Scene s(2);
  s.app({.min = 2, .weight = 1, .background = false});
  s.app({});
  for (int i = 0; i < 200; ++i) s.wait(0, i);
  s.wait(1, 0);
  EXPECT_EQ(s.next(), 0);
  EXPECT_EQ(s.next(), 0);
  for (int turn = 0; turn < 200; ++turn) {
    s.end(0);
    const int next = s.next();
    if (next == 1) {
      EXPECT_GE(s.now, at(kPatience));
      return;
    }
    s.now += 1s;
  }
  FAIL() << "it never got anything";
}

TEST(FairQueue, ABlockedLineHoldsUpNobody) {
  Scene s(4);
  Share& first = s.app({});
  s.app({});
  s.wait(0, 0);
  s.wait(1, 0);
  s.queue.block(first.lines[0]);
  EXPECT_EQ(s.next(), 1);
  EXPECT_EQ(s.next(), -1);
  s.wait(0, 1);
  EXPECT_EQ(s.next(), -1);
  s.queue.unblock(first.lines[0], s.now);
  EXPECT_EQ(s.next(), 0);
  EXPECT_EQ(s.last->number, 0);
}

TEST(FairQueue, WhoLeavesIsForgotten) {
  Scene s(4);
  s.app({});
  for (int i = 0; i < 3; ++i) s.wait(0, i);
  s.queue.remove(s.waiters[0], s.now);
  s.queue.remove(s.waiters[2], s.now);
  EXPECT_EQ(s.next(), 0);
  EXPECT_EQ(s.last->number, 1);
  EXPECT_TRUE(s.queue.empty());
  EXPECT_EQ(s.next(), -1);
}

// The same rules, by looking at everybody each time.
struct Slow {
  struct App {
    Terms terms;
    unsigned leased = 0, clients = 0;
    bool blocked = false;
    std::deque<std::pair<Time, int>> waiters;
    unsigned unmet() const { return clients > 0 && terms.min > leased ? terms.min - leased : 0; }
  };
  std::vector<App> apps;
  std::size_t places = 0;

  int rank(const App& app, Time now) const {
    const Duration waited = now - app.waiters.front().first;
    if (app.leased < app.terms.min) return 0;
    if (app.leased == 0 && waited >= kPatience * (app.terms.background ? 2 : 1)) return 0;
    return app.terms.background && waited < kPatience ? 2 : 1;
  }
  // The keys of all that could be next: ties beyond these are nobody's business.
  std::optional<std::tuple<int, double, Time>> best(Time now) const {
    std::size_t leased = 0, unmet = 0;
    for (const App& app : apps) {
      leased += app.leased;
      unmet += app.unmet();
    }
    const bool room = leased + std::min(unmet, places - 1) < places;
    std::optional<std::tuple<int, double, Time>> out;
    for (const App& app : apps) {
      if (app.waiters.empty() || app.blocked) continue;
      const int r = rank(app, now);
      const auto key = key_of(app, r);
      if (!out || key < *out) out = key;
    }
    if (out && std::get<0>(*out) > 0 && !room) return {};
    return out;
  }
  static std::tuple<int, double, Time> key_of(const App& app, int rank) {
    return {rank, double(app.leased) / app.terms.weight, app.waiters.front().first};
  }
};

class AgainstTheSlowModel {
 public:
  explicit AgainstTheSlowModel(unsigned seed) : random_(seed), scene_(1) {
    const auto apps = between(1, 7);
    slow_.places = static_cast<std::size_t>(between(1, 9));
    scene_.queue.set_places(slow_.places);
    for (int i = 0; i < apps; ++i) {
      scene_.app({});
      scene_.queue.leave(*scene_.shares.back());
      slow_.apps.emplace_back();
      change_terms(i);
    }
  }
  void run() {
    for (int i = 0; i < 3000 && !testing::Test::HasFailure(); ++i) step();
  }

 private:
  int between(int least, int most) { return random_.between(least, most); }
  std::size_t some() {
    return static_cast<std::size_t>(between(0, static_cast<int>(slow_.apps.size()) - 1));
  }
  void change_terms(int app) {
    const Terms terms{static_cast<unsigned>(std::max(0, between(-3, 3))),
                      static_cast<unsigned>(between(1, 4)), between(0, 2) == 0};
    slow_.apps[static_cast<std::size_t>(app)].terms = terms;
    scene_.queue.set_terms(*scene_.shares[static_cast<std::size_t>(app)], terms, scene_.now);
  }
  void step() {
    scene_.now += Duration(between(0, 1'000'000));
    const std::size_t i = some();
    auto& app = slow_.apps[i];
    Share& share = *scene_.shares[i];
    switch (between(0, 11)) {
      case 0:
        return change_terms(static_cast<int>(i));
      case 1:
        ++app.clients;
        return scene_.queue.enter(share);
      case 2:
        if (app.clients == 0) return;
        --app.clients;
        return scene_.queue.leave(share);
      case 3:
        app.blocked = !app.blocked;
        if (app.blocked) return scene_.queue.block(share.lines[0]);
        return scene_.queue.unblock(share.lines[0], scene_.now);
      case 4:
        slow_.places = static_cast<std::size_t>(between(1, 9));
        return scene_.queue.set_places(slow_.places);
      case 5:
        if (app.waiters.empty()) return;
        return leave(
            i, static_cast<std::size_t>(between(0, static_cast<int>(app.waiters.size()) - 1)));
      case 6:
      case 7:
        if (app.leased == 0) return;
        --app.leased;
        return scene_.end(static_cast<int>(i));
      case 8:
      case 9:
        return serve();
      default:
        app.waiters.emplace_back(scene_.now, ++number_);
        return scene_.wait(static_cast<int>(i), number_);
    }
  }
  void leave(std::size_t app, std::size_t index) {
    auto& waiters = slow_.apps[app].waiters;
    const int number = waiters[index].second;
    waiters.erase(waiters.begin() + static_cast<std::ptrdiff_t>(index));
    const auto found = std::ranges::find(scene_.waiters, number, &Scene::One::number);
    scene_.queue.remove(*found, scene_.now);
  }
  void serve() {
    const auto wanted = slow_.best(scene_.now);
    const int got = scene_.next();
    ASSERT_EQ(got >= 0, wanted.has_value());
    if (got < 0) return;
    auto& app = slow_.apps[static_cast<std::size_t>(got)];
    ASSERT_FALSE(app.blocked);
    ASSERT_EQ(scene_.last->number, app.waiters.front().second);
    ASSERT_EQ(Slow::key_of(app, slow_.rank(app, scene_.now)), *wanted);
    app.waiters.pop_front();
    ++app.leased;
  }

  Dice random_;
  Scene scene_;
  Slow slow_;
  int number_ = 0;
};

TEST(FairQueue, DoesWhatTheSlowModelDoes) {
  for (unsigned seed = 0; seed < 300 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    AgainstTheSlowModel(seed).run();
  }
}

// Apps that always want more: each gets its part, and nobody waits for longer than it takes to
// serve as many others as there are places, apps and weights.
TEST(FairQueue, WaitingIsBounded) {
  for (unsigned seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    Dice random(seed);
    const auto between = [&](int least, int most) { return random.between(least, most); };
    const int places = between(1, 8);
    Scene s(static_cast<std::size_t>(places));
    const int apps = between(2, 6);
    for (int i = 0; i < apps; ++i)
      s.app({.min = static_cast<unsigned>(std::max(0, between(-2, 2))),
             .weight = static_cast<unsigned>(between(1, 5)),
             .background = between(0, 3) == 0});
    std::deque<int> held;
    for (int i = 0; i < 5000; ++i) {
      s.now += 50ms;
      for (int a = 0; a < apps; ++a) {
        const Share& share = *s.shares[static_cast<std::size_t>(a)];
        if (share.lines[0].count < 3) s.wait(a, i);
        ASSERT_LT(s.now - share.lines[0].waiters.front()->waits_since, 4 * kPatience);
      }
      for (int got; (got = s.next()) >= 0;) held.push_back(got);
      const auto index = static_cast<std::size_t>(between(0, static_cast<int>(held.size()) - 1));
      s.end(held[index]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(index));
    }
  }
}

}  // namespace
}  // namespace pgw::pool

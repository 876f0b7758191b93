// Apps share the pools of the real pooler: how much each gets, and who is never kept waiting.
#include <gtest/gtest.h>

#include <algorithm>

#include "stage.h"

namespace pgw::sim {
namespace {

class Apps : public Stage {
 protected:
  struct Crowd {
    std::size_t app = 0;
    std::vector<Hand*> hands;
    unsigned served = 0;
    Duration longest{};  // wait for an answer
    std::vector<Time> asked;
  };
  Crowd crowd(std::size_t app, unsigned clients) {
    Crowd out{app, {}, 0, {}, {}};
    for (unsigned i = 0; i < clients; ++i)
      out.hands.push_back(&hand(static_cast<std::uint16_t>(8000 + app)));
    for (Hand* one : out.hands) EXPECT_EQ(one->take(), "R K ZI");
    return out;
  }
  // Everybody asks again as soon as there is an answer; each takes PostgreSQL 5 ms.
  void run(std::vector<Crowd*> crowds, Duration span) {
    for (Crowd* one : crowds) {
      one->asked.assign(one->hands.size(), sim.now());
      for (Hand* h : one->hands) h->send(query("SELECT pg_sleep(5, 'c1.1')"));
    }
    const Time until = sim.now() + span;
    while (sim.now() < until && !sim.failure() && sim.step()) {
      for (Crowd* one : crowds) {
        for (std::size_t i = 0; i < one->hands.size(); ++i) {
          if (!one->hands[i]->take().ends_with("ZI")) continue;
          ++one->served;
          one->longest = std::max(one->longest, sim.now() - one->asked[i]);
          one->asked[i] = sim.now();
          one->hands[i]->send(query("SELECT pg_sleep(5, 'c1.1')"));
        }
      }
    }
    EXPECT_FALSE(sim.failure()) << *sim.failure();
  }
  void open_pool(unsigned size) {
    plan.pool_size = size;
    open_with_postgres();
  }
  World::Plan::App& app(const char* name) {
    plan.apps.emplace_back().name = name;
    return plan.apps.back();
  }
};

TEST_F(Apps, AFloodLeavesOthersTheirPart) {
  for (const char* name : {"flood", "a", "b", "c"}) app(name);
  open_pool(8);
  std::vector<Crowd> crowds;
  for (std::size_t i = 0; i < 4; ++i) crowds.push_back(crowd(i, i == 0 ? 60 : 6));
  run({&crowds[0], &crowds[1], &crowds[2], &crowds[3]}, 5s);
  double sum = 0, squares = 0;
  for (const Crowd& one : crowds) {
    sum += one.served;
    squares += double(one.served) * one.served;
  }
  EXPECT_GT(sum * sum / (4 * squares), 0.99) << "Jain's index";
  EXPECT_GT(sum, 4000);
}

TEST_F(Apps, WeightsAreParts) {
  app("three").weight = 3;
  app("one");
  open_pool(8);
  Crowd three = crowd(0, 30), one = crowd(1, 30);
  run({&three, &one}, 5s);
  EXPECT_NEAR(double(three.served) / one.served, 3.0, 0.15);
}

TEST_F(Apps, AnAppWithAGuaranteedMinimumIsServedAtOnce) {
  app("flood");
  app("api").min = 1;
  open_pool(3);
  Crowd flood = crowd(0, 40), api = crowd(1, 1);
  run({&flood, &api}, 5s);
  EXPECT_LT(api.longest, 15ms) << "once a server must be opened for it";
  EXPECT_GT(flood.longest, 50ms);
}

TEST_F(Apps, TheBackgroundGetsWhatIsLeft) {
  app("api");
  app("cron").background = true;
  open_pool(4);
  Crowd api = crowd(0, 2), cron = crowd(1, 20);
  run({&api, &cron}, 3s);
  EXPECT_LT(api.longest, 15ms) << "at most until the next server is free";
  EXPECT_GT(cron.served, api.served / 2);
}

TEST_F(Apps, TheBackgroundDoesNotStarve) {
  app("api");
  app("cron").background = true;
  plan.patience = 100ms;
  open_pool(2);
  Crowd api = crowd(0, 30), cron = crowd(1, 3);
  run({&api, &cron}, 5s);
  EXPECT_LT(cron.longest, 400ms);
  EXPECT_GT(cron.served, 30u);
}

TEST_F(Apps, ACapHoldsUpNobody) {
  app("capped").most = 1;
  app("free");
  open_pool(4);
  Crowd capped = crowd(0, 10), free = crowd(1, 10);
  run({&capped, &free}, 3s);
  EXPECT_NEAR(double(free.served) / capped.served, 3.0, 0.2);
}

}  // namespace
}  // namespace pgw::sim

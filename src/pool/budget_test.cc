#include "pool/budget.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace pgw::pool {
namespace {

using Kind = Level::Kind;

std::shared_ptr<Level> level(Kind kind, unsigned limit) {
  auto made = std::make_shared<Level>(kind, "it");
  made->limit = limit;
  return made;
}

Place place(Party& party, std::shared_ptr<Level> user, std::shared_ptr<Level> database,
            std::shared_ptr<Level> host, Duration since = {}) {
  Place out;
  out.party = &party;
  out.levels = {std::move(user), std::move(database), std::move(host)};
  out.claim.waits_since = Time(since);
  return out;
}

TEST(Claim, GuaranteesFirstThenTheLongestWait) {
  const Claim early{.waits_since = Time(1s)};
  const Claim late{.waits_since = Time(2s)};
  const Claim poor{.waits_since = Time(3s), .below_min = true};
  const Claim background{.waits_since = Time(0s), .background = true};
  EXPECT_TRUE(better(early, late));
  EXPECT_TRUE(better(poor, early));
  EXPECT_TRUE(better(late, background));
  EXPECT_TRUE(outranks(early, late, 1s));
  EXPECT_FALSE(outranks(early, late, 1s + 1us));
  EXPECT_TRUE(outranks(poor, early, 1h));
  EXPECT_FALSE(outranks(background, late, 0s));
}

// Whatever the weights, the margin is in servers.
TEST(Claim, AShareIsWeighedInServers) {
  const auto claim = [](unsigned leased, unsigned weight) {
    return Claim{.leased = leased, .weight = weight};
  };
  EXPECT_TRUE(better(claim(1, 10), claim(1, 1)));
  EXPECT_TRUE(better(claim(9, 10), claim(1, 1)));
  EXPECT_FALSE(better(claim(10, 10), claim(1, 1)));
  for (const unsigned weight : {1u, 1000u}) {
    EXPECT_TRUE(outranks(claim(1, weight), claim(2, weight), 1s)) << "1 and 3, as the lease ended";
    EXPECT_FALSE(outranks(claim(2, weight), claim(2, weight), 1s)) << "2 and 3";
  }
  EXPECT_TRUE(outranks(claim(3, 2), claim(2, 1), 1s));
  EXPECT_FALSE(outranks(claim(3, 1), claim(4, 2), 1s));
  EXPECT_FALSE(outranks(claim(5, 1000), claim(0, 100), 1s));
}

// A longer wait helps nobody who would not get the place that becomes free.
TEST(Claim, NothingIsClosedForAClaimThatWouldLose) {
  const Claim old{.waits_since = Time(0s), .leased = 2, .weight = 100};
  const Claim own{.waits_since = Time(1h), .leased = 4, .weight = 1000};
  EXPECT_FALSE(outranks(old, own, 1s));
  for (unsigned a = 0; a < 8; ++a)
    for (unsigned b = 0; b < 8; ++b)
      for (const unsigned weight : {1u, 2u, 3u, 10u}) {
        const Claim left{.leased = a, .weight = weight},
            right{.waits_since = Time(1s), .leased = b};
        for (const auto& [one, two] : {std::pair(left, right), std::pair(right, left)}) {
          if (!outranks(one, two, 500ms)) continue;
          EXPECT_TRUE(better(one, two));
          // As they are when the server has moved, and then is free once more: it stays.
          Claim gave = two, got = one;
          gave.waits_since = got.waits_since = {};
          EXPECT_FALSE(outranks(gave, got, 1us)) << a << " " << b << " " << weight;
        }
      }
}

// Its claims may have been made at different times.
TEST(Claim, WhatOneAppHoldsIsNoDifferenceBetweenItsClaims) {
  const int app = 0;
  const Claim early{.waits_since = Time(1s), .leased = 5, .app = &app};
  const Claim late{.waits_since = Time(2s), .leased = 3, .app = &app};
  EXPECT_TRUE(better(early, late));
  EXPECT_TRUE(outranks(early, late, 1s));
  EXPECT_FALSE(outranks(late, early, 1s));
}

TEST(Budget, CountsAtEveryLevel) {
  Party party;
  const auto user = level(Kind::user, 9), database = level(Kind::database, 1),
             host = level(Kind::host, 9);
  Place first = place(party, user, database, host), second = place(party, user, database, host);
  EXPECT_TRUE(Budget::ask(first));
  EXPECT_FALSE(Budget::ask(second));
  EXPECT_EQ(second.blocked(), database.get());
  EXPECT_EQ(user->used, 2u);  // it keeps this one while it waits for the next
  EXPECT_EQ(host->used, 1u);
  Budget::Granted granted;
  Budget::drop(first, granted);
  EXPECT_EQ(granted, Budget::Granted{&second});
  Budget::drop(second, granted);
  EXPECT_EQ(user->used + database->used + host->used, 0u);
  EXPECT_TRUE(host->holders.empty());
  EXPECT_FALSE(party.pressed);
}

TEST(Budget, TheLongestWaitIsServedFirst) {
  Party party;
  const auto host = level(Kind::host, 1);
  Place has = place(party, nullptr, nullptr, host);
  Place late = place(party, nullptr, nullptr, host, 2s);
  Place early = place(party, nullptr, nullptr, host, 1s);
  EXPECT_TRUE(Budget::ask(has));
  EXPECT_FALSE(Budget::ask(late));
  EXPECT_FALSE(Budget::ask(early));
  Budget::Granted granted;
  Budget::drop(has, granted);
  EXPECT_EQ(granted, Budget::Granted{&early});
  Budget::drop(early, granted);
  Budget::drop(late, granted);
}

TEST(Budget, ALoweredLimitGrantsNothingAndARaisedOneAtOnce) {
  Party party;
  const auto host = level(Kind::host, 3);
  Place places[3] = {place(party, nullptr, nullptr, host), place(party, nullptr, nullptr, host),
                     place(party, nullptr, nullptr, host)};
  for (Place& one : places) EXPECT_TRUE(Budget::ask(one));
  Budget::Granted granted;
  Budget::limit(*host, 1, Level::kNoLimit, granted);
  EXPECT_TRUE(party.pressed);
  EXPECT_FALSE(Budget::within(places[0]));
  const Claim own{};
  EXPECT_EQ(Budget::judge(places[0], &own, 0s, 1s), Budget::Verdict::go);
  EXPECT_EQ(Budget::judge(places[1], nullptr, 0s, 1s), Budget::Verdict::go);
  EXPECT_EQ(Budget::judge(places[2], nullptr, 0s, 1s), Budget::Verdict::stay);
  EXPECT_FALSE(party.pressed);
  Place more = place(party, nullptr, nullptr, host);
  EXPECT_FALSE(Budget::ask(more));
  Budget::drop(places[0], granted);
  Budget::drop(places[1], granted);
  EXPECT_TRUE(granted.empty());
  Budget::limit(*host, 2, Level::kNoLimit, granted);
  EXPECT_EQ(granted, Budget::Granted{&more});
  Budget::drop(more, granted);
  Budget::drop(places[2], granted);
}

TEST(Budget, AServerGoesOnlyForSomebodyElseWithABetterClaimAndNotBeforeItsTime) {
  Party mine, other;
  const auto host = level(Kind::host, 1);
  Place has = place(mine, nullptr, nullptr, host);
  EXPECT_TRUE(Budget::ask(has));
  Place own = place(mine, nullptr, nullptr, host, 0s);
  EXPECT_FALSE(Budget::ask(own));
  EXPECT_EQ(Budget::judge(has, nullptr, 1h, 1s), Budget::Verdict::stay);  // it serves its own
  Place theirs = place(other, nullptr, nullptr, host, 5s);
  EXPECT_FALSE(Budget::ask(theirs));
  const Claim older{.waits_since = Time(4s)}, younger{.waits_since = Time(6s)};
  EXPECT_EQ(Budget::judge(has, &older, 1h, 1s), Budget::Verdict::stay);
  EXPECT_EQ(Budget::judge(has, &younger, 999ms, 1s), Budget::Verdict::go_later);
  EXPECT_EQ(Budget::judge(has, &younger, 1s, 1s), Budget::Verdict::go);
  Budget::Granted granted;
  Budget::drop(has, granted);
  Budget::drop(own, granted);
  Budget::drop(theirs, granted);
}

// The wish of the pool itself was made when its claim was a worse one.
TEST(Budget, WhoAServerGoesForGetsItsPlace) {
  Party mine, other;
  const auto host = level(Kind::host, 1);
  Place has = place(mine, nullptr, nullptr, host);
  Place own = place(mine, nullptr, nullptr, host, 0s);
  Place theirs = place(other, nullptr, nullptr, host, 1s);
  EXPECT_TRUE(Budget::ask(has));
  EXPECT_FALSE(Budget::ask(own));
  EXPECT_FALSE(Budget::ask(theirs));
  const Claim now{.waits_since = Time(5s)};
  EXPECT_EQ(Budget::judge(has, &now, 1h, 1s), Budget::Verdict::go);
  Budget::Granted granted;
  Budget::drop(has, granted);
  EXPECT_EQ(granted, Budget::Granted{&theirs});
  Budget::drop(theirs, granted);
  Budget::drop(own, granted);
}

// Somebody there may have an idle server, and must hear of it.
TEST(Budget, AWishThatComesToTheNextLevelAndWaitsThereIsTold) {
  Party mine, other;
  const auto user = level(Kind::user, 1), host = level(Kind::host, 1), far = level(Kind::host, 1);
  Place idle = place(other, nullptr, nullptr, host);
  Place has = place(mine, user, nullptr, far);
  Place next = place(mine, user, nullptr, host);
  EXPECT_TRUE(Budget::ask(idle));
  EXPECT_TRUE(Budget::ask(has));
  EXPECT_FALSE(Budget::ask(next));
  EXPECT_EQ(user->early, 0u);
  Budget::Granted granted;
  Budget::drop(has, granted);
  EXPECT_EQ(granted, Budget::Granted{&next});
  EXPECT_EQ(next.blocked(), host.get());
  EXPECT_EQ(user->early, 1u) << "kept, but no server's";
  Budget::drop(idle, granted);
  EXPECT_TRUE(next.whole());
  EXPECT_EQ(user->early, 0u);
  Budget::drop(next, granted);
}

// At least one place of every level is left for those who come and go.
TEST(Budget, NotAllMayStayForGood) {
  Party party;
  const auto user = level(Kind::user, 3), host = level(Kind::host, 2);
  Place first = place(party, user, nullptr, host), second = place(party, user, nullptr, host);
  EXPECT_TRUE(Budget::ask(first));
  EXPECT_TRUE(Budget::ask(second));
  EXPECT_TRUE(Budget::settle_down(first));
  EXPECT_FALSE(Budget::settle_down(second));
  Budget::move_on(first);
  EXPECT_TRUE(Budget::settle_down(second));
  Budget::Granted granted;
  Budget::limit(*host, 1, Level::kNoLimit, granted);
  EXPECT_FALSE(Budget::may_stay(second));
  Budget::drop(second, granted);
  EXPECT_EQ(host->resident, 0u);
  Budget::drop(first, granted);
}

// Random pools over a few levels. After every step: no level has more than its limit but for what
// it had when that was lowered; nobody waits where there is room; the books agree with the places;
// and when places keep coming back, everybody is served.
class Everything : public testing::TestWithParam<unsigned> {
 protected:
  struct One {
    Place place;
    int served = 0;
  };
  std::uint64_t state = GetParam();
  std::vector<std::shared_ptr<Level>> users, databases, hosts;
  std::vector<std::unique_ptr<Party>> parties;
  std::vector<std::unique_ptr<One>> all;
  std::map<Level*, unsigned> excess;  // over a limit since it was lowered
  Budget::Granted granted;

  unsigned below(unsigned n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<unsigned>(state >> 33) % n;
  }
  std::vector<std::shared_ptr<Level>> levels() const {
    std::vector<std::shared_ptr<Level>> out = users;
    out.insert(out.end(), databases.begin(), databases.end());
    out.insert(out.end(), hosts.begin(), hosts.end());
    return out;
  }
  void check() {
    for (const auto& at : levels()) {
      unsigned used = 0, early = 0, leaving = 0, waiting = 0;
      for (const auto& one : all) {
        for (std::size_t i = 0; i < one->place.held; ++i) {
          used += one->place.levels[i] == at;
          early += one->place.levels[i] == at && !one->place.whole();
        }
        if (one->place.leaving)
          leaving += static_cast<unsigned>(std::ranges::count(one->place.levels, at));
        waiting += one->place.blocked() == at.get();
      }
      ASSERT_EQ(at->used, used);
      ASSERT_EQ(at->early, early);
      ASSERT_EQ(at->leaving, leaving);
      ASSERT_EQ(at->waiting.size(), waiting);
      ASSERT_FALSE(waiting > 0 && at->has_room());
      excess[at.get()] = std::min(excess[at.get()], at->too_many());
      ASSERT_EQ(at->too_many(), excess[at.get()]);
      for (const auto& party : parties)
        ASSERT_TRUE(party->pressed || !at->presses() || !at->holders.contains(party.get()));
    }
    for (const auto& party : parties) {
      const bool pressed = std::ranges::any_of(levels(), [&](const auto& at) {
        return at->presses() && at->holders.contains(party.get());
      });
      ASSERT_EQ(party->pressed, pressed);
    }
  }
  void step(Duration now) {
    One& one = *all[below(static_cast<unsigned>(all.size()))];
    switch (below(8)) {
      case 0: {
        const auto some = levels();
        Level& at = *some[below(static_cast<unsigned>(some.size()))];
        Budget::limit(at, 1 + below(4), Level::kNoLimit, granted);
        excess[&at] = at.too_many();
        break;
      }
      case 1:
      case 2:
        if (one.place.whole()) Budget::drop(one.place, granted);
        break;
      case 3:
        Budget::mark_leaving(one.place);
        break;
      case 4:
        (void)Budget::judge(one.place, nullptr, 1s, 0s);
        break;
      default:
        if (one.place.held > 0 || one.place.waits) break;
        one.place.claim.waits_since = Time(now);
        if (Budget::ask(one.place)) ++one.served;
    }
  }
};

TEST_P(Everything, HoldsAtEveryStep) {
  for (int i = 0; i < 3; ++i) {
    users.push_back(level(Kind::user, 1 + below(4)));
    databases.push_back(level(Kind::database, 1 + below(4)));
    hosts.push_back(level(Kind::host, 1 + below(4)));
  }
  for (int i = 0; i < 6; ++i) parties.push_back(std::make_unique<Party>());
  for (int i = 0; i < 30; ++i) {
    auto one = std::make_unique<One>();
    const unsigned database = below(3);  // a database is on one host
    one->place = place(*parties[below(6)], below(4) ? users[below(3)] : nullptr,
                       below(4) ? databases[database] : nullptr, hosts[database]);
    all.push_back(std::move(one));
  }
  Duration now{};
  for (int i = 0; i < 3000; ++i) {
    step(now += 1ms);
    for (Place* place : std::exchange(granted, {})) ASSERT_TRUE(place->whole() || place->waits);
    ASSERT_NO_FATAL_FAILURE(check());
  }
  // Who has a place gives it back, and nobody asks again: all that wait are served.
  std::set<Place*> wait;
  for (auto& one : all)
    if (one->place.waits) wait.insert(&one->place);
  for (int round = 0; round < 100 && !wait.empty(); ++round) {
    for (auto& one : all)
      if (one->place.whole()) Budget::drop(one->place, granted);
    for (Place* place : std::exchange(granted, {}))
      if (!place->waits) wait.erase(place);
    ASSERT_NO_FATAL_FAILURE(check());
  }
  EXPECT_TRUE(wait.empty());
  for (auto& one : all) Budget::drop(one->place, granted);
  for (const auto& at : levels()) EXPECT_EQ(at->used, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Everything, testing::Range(1u, 41u));

}  // namespace
}  // namespace pgw::pool

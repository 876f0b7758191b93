#include "config/plan.h"

#include <gtest/gtest.h>

#include "config/plan_file.h"

namespace pgw::config {
namespace {

Demand demand_of(Count limit, std::initializer_list<std::string_view> apps) {
  Demand demand{.limit = limit};
  for (const std::string_view one : apps) {
    auto app = parse_app(one);
    EXPECT_TRUE(app) << app.error().what();
    if (app) demand.apps.push_back(*app);
  }
  return demand;
}

// Numbers that look like chance, the same in every run.
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : state_(seed) {}
  Count below(Count bound) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<Count>((state_ >> 33) % bound);
  }

 private:
  std::uint64_t state_;
};

Count cap(const Share& share) { return share.pool_size + share.max_overflow; }

TEST(Plan, FourWorkersOfTwentyAgainstFifteen) {
  const auto plan = make_plan(demand_of(15, {"worker:workers=4,pool=20,overflow=0"}));
  EXPECT_EQ(plan.kept, 80u);
  EXPECT_EQ(plan.most, 80u);
  EXPECT_EQ(plan.available, 12u);
  EXPECT_EQ(plan.without, Fit::fails);
  EXPECT_EQ(plan.per_process, 3u);
  EXPECT_EQ(plan.needed, 2u);
  EXPECT_TRUE(plan.through);
  EXPECT_EQ(plan.shares[0].pool_size, 11u) << "one of the twelve is pgweir's own";
  EXPECT_EQ(plan.shares[0].max_overflow, 0u);
}

TEST(Plan, WithoutPgweirItFitsOverflowsOrFails) {
  EXPECT_EQ(make_plan(demand_of(33, {"a:pool=20,overflow=10"})).without, Fit::fits);
  EXPECT_EQ(make_plan(demand_of(32, {"a:pool=20,overflow=10"})).without, Fit::overflows);
  EXPECT_EQ(make_plan(demand_of(23, {"a:pool=20,overflow=10"})).without, Fit::overflows);
  EXPECT_EQ(make_plan(demand_of(22, {"a:pool=20,overflow=10"})).without, Fit::fails);
}

TEST(Plan, EqualAppsHaveEqualShares) {
  const auto plan = make_plan(demand_of(60, {"a:pool=10", "b:pool=10", "c:pool=10", "d:pool=10",
                                             "e:pool=10", "f:pool=10", "g:pool=10"}));
  for (const Share& share : plan.shares) {
    EXPECT_EQ(share.pool_size, 8u);
    EXPECT_EQ(share.min, 4u);
    EXPECT_EQ(cap(share), 20u);
  }
}

TEST(Plan, WeightsDivideWhatIsThere) {
  const auto plan = make_plan(demand_of(34, {"a:pool=90,weight=2", "b:pool=90"}));
  EXPECT_EQ(plan.shares[0].pool_size, 20u);
  EXPECT_EQ(plan.shares[1].pool_size, 10u);
}

TEST(Plan, NobodyHasMoreThanItCanUse) {
  const auto plan = make_plan(demand_of(64, {"a:pool=5,overflow=0", "b:pool=90", "c:pool=90"}));
  EXPECT_EQ(plan.shares[0].pool_size, 5u);
  EXPECT_EQ(cap(plan.shares[0]), 5u);
  EXPECT_EQ(plan.shares[1].pool_size + plan.shares[2].pool_size, 55u);
}

TEST(Plan, BackgroundHasWhatOthersLeave) {
  const auto all =
      make_plan(demand_of(15, {"api:pool=20,overflow=40", "worker:workers=4,priority=background"}));
  EXPECT_EQ(all.shares[0].pool_size, 10u);
  EXPECT_EQ(all.shares[1].pool_size, 1u);
  EXPECT_EQ(all.shares[0].min, 5u);
  EXPECT_EQ(all.shares[1].min, 1u);
  EXPECT_EQ(cap(all.shares[1]), 6u) << "all but the api's guaranteed";
  const auto some =
      make_plan(demand_of(15, {"api:pool=4,overflow=0", "worker:pool=60,priority=background"}));
  EXPECT_EQ(some.shares[0].pool_size, 4u);
  EXPECT_EQ(some.shares[1].pool_size, 7u);
}

TEST(Plan, SessionModeNeedsAServerForEachKeptConnection) {
  const auto fails =
      make_plan(demand_of(15, {"api:pool=20,overflow=40,mode=session", "worker:workers=4"}));
  EXPECT_EQ(fails.needed, 22u);
  EXPECT_FALSE(fails.through);
  const auto fits =
      make_plan(demand_of(15, {"api:pool=5,overflow=40,mode=session", "worker:workers=4"}));
  EXPECT_EQ(fits.needed, 7u);
  EXPECT_TRUE(fits.through);
  EXPECT_EQ(fits.shares[0].min, 5u) << "kept connections keep their servers";
  // No pool: each connection goes when it has done its work.
  EXPECT_TRUE(make_plan(demand_of(5, {"api:pool=0,overflow=500,mode=session"})).through);
}

TEST(Plan, FewerServersThanApps) {
  const auto plan = make_plan(demand_of(5, {"a", "b", "c"}));
  EXPECT_EQ(plan.needed, 4u);
  EXPECT_FALSE(plan.through);
  EXPECT_EQ(plan.shares[0].pool_size, 1u);
  EXPECT_EQ(plan.shares[2].pool_size, 0u);
}

TEST(Plan, TheLastConnectionOfAllIsLent) {
  const auto plan = make_plan(demand_of(4, {"a"}));
  EXPECT_EQ(plan.available, 1u);
  EXPECT_EQ(plan.lendable, 1u);
  EXPECT_TRUE(plan.through);
}

// Whatever is asked: shares and guarantees are never more than there is, and nothing that somebody
// could use is left over.
TEST(Plan, SharesAddUp) {
  Chance chance(1);
  for (int round = 0; round < 3000; ++round) {
    Demand demand{.limit = 4 + chance.below(200)};
    const Count apps = 1 + chance.below(9);
    for (Count i = 0; i < apps; ++i)
      demand.apps.push_back({.name = std::to_string(i),
                             .instances = 1 + chance.below(3),
                             .workers = 1 + chance.below(4),
                             .pool = chance.below(12),
                             .overflow = 1 + chance.below(12),
                             .weight = 1 + chance.below(5),
                             .background = chance.below(4) == 0,
                             .mode = chance.below(3) == 0 ? Mode::session : Mode::transaction});
    ASSERT_TRUE(check_demand(demand));
    const Plan plan = make_plan(demand);
    Count shares = 0, guarantees = 0;
    for (const Share& share : plan.shares) shares += share.pool_size, guarantees += share.min;
    ASSERT_EQ(shares, std::min<std::uint64_t>(plan.lendable, plan.most)) << round;
    for (std::size_t i = 0; i < plan.shares.size(); ++i) {
      const Share& share = plan.shares[i];
      ASSERT_LE(share.min, share.pool_size) << round;
      ASSERT_LE(cap(share), demand.apps[i].most()) << round;
      ASSERT_LE(cap(share) + (guarantees - share.min), plan.lendable) << round;
      if (plan.through) ASSERT_GE(share.min, 1u) << round;
    }
  }
}

// Of two normal apps the one with less for its weight has all that it can use.
TEST(Plan, SharesAreMaxMinFair) {
  Chance chance(2);
  for (int round = 0; round < 3000; ++round) {
    Demand demand{.limit = 20 + chance.below(200)};
    const Count apps = 2 + chance.below(6);
    for (Count i = 0; i < apps; ++i)
      demand.apps.push_back({.name = std::to_string(i),
                             .instances = 1,
                             .workers = 1 + chance.below(4),
                             .pool = chance.below(12),
                             .overflow = 1 + chance.below(12),
                             .weight = 1 + chance.below(5),
                             .background = false,
                             .mode = Mode::transaction});
    const Plan plan = make_plan(demand);
    for (std::size_t a = 0; a < apps; ++a)
      for (std::size_t b = 0; b < apps; ++b) {
        if (plan.shares[a].pool_size == demand.apps[a].most() || plan.shares[b].pool_size < 2)
          continue;
        // Taking one from b would not leave it better off than a.
        ASSERT_LE(std::uint64_t{plan.shares[b].pool_size - 1} * demand.apps[a].weight,
                  std::uint64_t{plan.shares[a].pool_size} * demand.apps[b].weight)
            << round;
      }
  }
}

TEST(Plan, DemandsThatMakeNoSense) {
  EXPECT_FALSE(check_demand(demand_of(15, {})));
  EXPECT_FALSE(check_demand(demand_of(0, {"a"})));
  EXPECT_FALSE(check_demand(demand_of(3, {"a"})));
  EXPECT_FALSE(check_demand(demand_of(15, {"a", "a:pool=3"})));
  EXPECT_FALSE(check_demand(demand_of(15, {"a:pool=0,overflow=0"})));
  EXPECT_TRUE(check_demand(demand_of(4, {"a"})));
}

TEST(PlanFile, ReadsAnApp) {
  const auto app = parse_app(
      "a:b:instances=2,workers=4,pool=20,overflow=0,priority=background,weight=3,mode=session");
  ASSERT_TRUE(app) << app.error().what();
  EXPECT_EQ(app->name, "a:b");
  EXPECT_EQ(app->processes(), 8u);
  EXPECT_EQ(app->most(), 160u);
  EXPECT_EQ(app->weight, 3u);
  EXPECT_TRUE(app->background);
  EXPECT_EQ(app->mode, Mode::session);
  EXPECT_EQ(parse_app("web")->most(), 15u) << "SQLAlchemy's defaults";
  for (const char* wrong : {"", ":pool=1", "a:pool", "a:pool=", "a:pool=-1", "a:pool=x", "a:pol=1",
                            "a:weight=0", "a:mode=x", "a:priority=low", "a:instances=100001"})
    EXPECT_FALSE(parse_app(wrong)) << wrong;
  EXPECT_EQ(parse_app("a:weight=0").error().what(),
            "\"a:weight=0\": weight is 0; expected an integer from 1 to 1000");
}

TEST(PlanFile, ReadsAFile) {
  const auto demand = parse_demand(
      "limit = 60\nhost = \"db.example\"\ndatabase = \"shop\"\nreserved = 5\n"
      "[apps.worker]\npool = 20\npriority = \"background\"\n[apps.\"a b\"]\nmode = \"session\"\n",
      "f");
  ASSERT_TRUE(demand) << demand.error().what();
  EXPECT_EQ(demand->limit, 60u);
  EXPECT_EQ(demand->reserved, 5u);
  EXPECT_EQ(demand->host, "db.example:5432");
  EXPECT_EQ(demand->database, "shop");
  ASSERT_EQ(demand->apps.size(), 2u);
  EXPECT_EQ(demand->apps[0].name, "a b");
  EXPECT_EQ(demand->apps[1].pool, 20u);
  EXPECT_TRUE(demand->apps[1].background);
}

TEST(PlanFile, SaysWhatIsWrongAndWhere) {
  const auto wrong = [](std::string_view text) {
    const auto demand = parse_demand(text, "f");
    EXPECT_FALSE(demand) << text;
    return demand ? std::string() : demand.error().what();
  };
  EXPECT_EQ(wrong("limit = 0"), "f:1:1: limit is 0; expected an integer from 1 to 100000");
  EXPECT_EQ(wrong("\n[apps.a]\npool = true"),
            "f:3:1: pool is not an integer or text; expected an integer from 0 to 100000");
  EXPECT_TRUE(wrong("limits = 5").starts_with("f:1:1: unknown key \"limits\"; expected limit,"));
  EXPECT_TRUE(wrong("apps = 5").contains("[apps.NAME]"));
  EXPECT_TRUE(wrong("[apps]\na = 1").contains("[apps.NAME]"));
  EXPECT_TRUE(wrong("host = \"a b\"").contains("db.example:5432"));
  EXPECT_TRUE(wrong("database = \"\"").contains("empty"));
  EXPECT_TRUE(wrong("limit = ").starts_with("f:1:"));
  EXPECT_FALSE(load_demand("/nonexistent"));
}

TEST(PlanFile, HostsAsSectionsHaveThem) {
  EXPECT_EQ(*canonical_host("db.example"), "db.example:5432");
  EXPECT_EQ(*canonical_host("db.example:6000"), "db.example:6000");
  EXPECT_EQ(*canonical_host("[::1]"), "[::1]:5432");
  for (const char* bad : {"", "a/b", "u@h", "h:x", "h:99999", "a,b"})
    EXPECT_FALSE(canonical_host(bad)) << bad;
}

}  // namespace
}  // namespace pgw::config

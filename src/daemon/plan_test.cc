#include "daemon/plan.h"

#include <gtest/gtest.h>

#include "config/file.h"
#include "config/plan_file.h"

namespace pgw::daemon {
namespace {

config::Demand sample() {
  config::Demand demand{.limit = 15};
  for (const char* app : {"api:pool=5,overflow=10",
                          "worker:workers=4,pool=20,overflow=0,priority="
                          "background"})
    demand.apps.push_back(*config::parse_app(app));
  return demand;
}

TEST(PlanText, SaysWhatItMeans) {
  const auto demand = sample();
  const std::string text = plan_text(demand, make_plan(demand));
  const std::string_view expected = R"(PostgreSQL at localhost:5432: 15 connections, )"
                                    R"(3 of them reserved, 12 for applications

Without pgweir, where each connection is one of PostgreSQL:
  api       (5 + 10)       = 15
  worker    4 workers x 20 = 80
  together  95 against 12: fails, 85 are kept by the pools alone; 2 per process would fit
)";
  EXPECT_TRUE(text.starts_with(expected)) << text;
  EXPECT_TRUE(text.contains("\n  needs     3 against 12: fits\n")) << text;
  EXPECT_TRUE(
      text.contains("worker    80 connections over 1 to 6 servers, 1 guaranteed, what "
                    "others leave; nobody waits while 7 % of them are in a transaction\n"))
      << text;
}

TEST(PlanText, SaysWhyItFails) {
  auto demand = sample();
  demand.limit = 5;
  EXPECT_TRUE(
      plan_text(demand, make_plan(demand))
          .contains("  3 against 2: fails; there are more applications than servers for them"));
  demand.limit = 15;
  demand.apps[1].mode = config::Mode::session;
  EXPECT_TRUE(plan_text(demand, make_plan(demand))
                  .contains("  82 against 12: fails; use the transaction port, or "));
}

TEST(PlanText, NoFileForAPlanThatFails) {
  auto demand = sample();
  EXPECT_TRUE(plan_text(demand, make_plan(demand)).contains("[hosts."));
  demand.limit = 5;
  EXPECT_FALSE(plan_text(demand, make_plan(demand)).contains("[hosts."));
}

TEST(PlanText, HasTheToml) {
  const auto demand = sample();
  const auto plan = make_plan(demand);
  EXPECT_EQ(plan_toml(demand, plan),
            R"(# An application is known by the application_name that it connects with.
# Others share what the minimums leave; [apps."*"] limits each of them.

[databases."*"]
url = "postgresql://localhost:5432"
pool_size = 11
max_overflow = 0

[hosts."localhost:5432"]
max_connections = 12  # one of them for CancelRequests (reserve)

[apps.api]
pool_size = 10
max_overflow = 0
min = 5
weight = 1
priority = "normal"

[apps.worker]
pool_size = 1
max_overflow = 5
min = 1
weight = 1
priority = "background"
)");
  EXPECT_TRUE(plan_text(demand, plan).ends_with("\n" + plan_toml(demand, plan)));
}

TEST(PlanText, HasTheSameAsJson) {
  auto demand = sample();
  demand.apps.resize(1);
  demand.apps[0].name = "a \"b\"";
  const std::string text = plan_json(demand, make_plan(demand));
  EXPECT_TRUE(text.starts_with(
      R"({"host": "localhost:5432", "database": "*", "limit": 15, "reserved": 3, "available": 12, )"
      R"("without": {"fit": "overflows", "kept": 5, "most": 15, "per_process": 12}, )"
      R"("through": {"fit": "fits", "needed": 2}, "apps": [{"name": "a \"b\"", "instances": 1, )"
      R"("workers": 1, "pool": 5, "overflow": 10, "weight": 1, "priority": "normal", )"
      R"("mode": "transaction", "connections_kept": 5, "connections_most": 15, "pool_size": 11, )"
      R"("max_overflow": 0, "min": 5}], "toml": ")"))
      << text;
  EXPECT_TRUE(text.ends_with("\\n\"}\n")) << text;
}

// `pgweir check` takes every file that is printed: names of all kinds, weights, priorities, many
// clients.
TEST(PlanText, TheTomlIsAccepted) {
  for (const config::Count limit : {500u, 5u}) {
    config::Demand demand{.limit = limit, .host = "[::1]:6000", .database = "my shop"};
    for (const char* app :
         {"a", "with \"quotes\" and \\", "w\u00e4rter:weight=7", "*:priority=background", "a.b",
          "new\nline:pool=0", "big:instances=100,workers=10", "s:mode=session"})
      demand.apps.push_back(*config::parse_app(app));
    const std::string text = plan_toml(demand, make_plan(demand));
    std::vector<config::Problem> problems;
    (void)config::parse(text, "f", &problems);
    for (const config::Problem& problem : problems) ADD_FAILURE() << problem.full() << "\n" << text;
  }
}

}  // namespace
}  // namespace pgw::daemon

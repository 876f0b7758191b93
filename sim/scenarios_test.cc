// Worlds that have failed once, or that show one rule at work. A fixed bug gets its seed, or a
// world made for it, here.
#include <gtest/gtest.h>

#include "world.h"

namespace pgw::sim {
namespace {

struct Scenario {
  std::uint64_t seed;
  bool direct;
  const char* what;
};

const Scenario kScenarios[] = {
    {1345, true, "the server dies politely while a client waits for the answer to SSLRequest"},
    {285, true, "an error behind a Flush is sent at once, also when a Flush is skipped"},
    {307, true, "a cancel ends a COPY at its next row, not before"},
};

TEST(Scenarios, AllPass) {
  for (const Scenario& s : kScenarios) {
    World world(s.seed, s.direct);
    const Verdict verdict = world.run();
    EXPECT_TRUE(verdict.passed) << s.what << ": swarm " << (s.direct ? "--direct " : "")
                                << "--seed " << s.seed << ": " << verdict.reason;
  }
}

}  // namespace
}  // namespace pgw::sim

// Whole worlds: the model and the scripted PostgreSQL agree, the same seed gives the same bytes,
// and texts of the little language survive being rendered and parsed.
#include <gtest/gtest.h>

#include "script.h"
#include "sql.h"
#include "world.h"

namespace pgw::sim {
namespace {

TEST(World, ModelAndScriptedPostgresAgree) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    World world(seed, true);
    const Verdict verdict = world.run();
    ASSERT_TRUE(verdict.passed) << "swarm --direct --seed " << seed
                                << " --trace: " << verdict.reason;
  }
}

std::string trace_of(std::uint64_t seed, bool direct) {
  std::string out;
  World world(seed, direct);
  world.simulation().trace_to([&](std::string_view line) { out.append(line).push_back('\n'); });
  world.run();
  return out;
}

TEST(World, TheSameSeedGivesTheSameTrace) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const std::string once = trace_of(seed, true);
    EXPECT_GT(once.size(), 1000u);
    EXPECT_TRUE(once == trace_of(seed, true)) << seed;
  }
}

TEST(Sql, WhatIsRenderedIsParsedBack) {
  const std::vector<Statement> all = {{Kind::echo, "c1.2"},
                                      {Kind::big, "c1.3", "", "", 5, 6},
                                      {Kind::sleep, "c1.4", "", "", 7},
                                      {Kind::error, "c1.5"},
                                      {Kind::notice, "c1.6"},
                                      {Kind::table, "c1.7", "tab_1_1"},
                                      {Kind::insert, "c1.8"},
                                      {Kind::update, "c1.9"},
                                      {Kind::begin},
                                      {Kind::commit},
                                      {Kind::rollback},
                                      {Kind::savepoint, "", "a"},
                                      {Kind::rollback_to, "", "a"},
                                      {Kind::release, "", "a"},
                                      {Kind::set, "", "work_mem", "c1.2"},
                                      {Kind::set_local, "", "work_mem", "c1.2"},
                                      {Kind::reset, "", "work_mem"},
                                      {Kind::reset_all},
                                      {Kind::show, "", "work_mem"},
                                      {Kind::deallocate, "", "S_1"},
                                      {Kind::deallocate_all},
                                      {Kind::discard_all},
                                      {Kind::copy_in, "c1.2"},
                                      {Kind::copy_out, "c1.2", "", "", 4},
                                      {Kind::alter, "", "tab_1_1"},
                                      {Kind::replicate, "c1.2", "", "", 4}};
  for (const Statement& s : all) {
    const auto back = parse(render(s));
    ASSERT_TRUE(back && back->size() == 1) << render(s);
    EXPECT_TRUE(back->front() == s) << render(s) << " became " << render(back->front());
  }
  const auto both = parse(render(all));
  ASSERT_TRUE(both);
  EXPECT_EQ(both->size(), all.size());
  EXPECT_FALSE(parse("SELEKT 'oops"));
  EXPECT_FALSE(parse("SELEKT 1"));
}

}  // namespace
}  // namespace pgw::sim

#include "client/slow.h"

#include <gtest/gtest.h>

using namespace pgw;
using namespace pgw::client;

namespace {

SlowStatement one(std::uint64_t fingerprint, Duration ran, const char* app = "") {
  SlowStatement out;
  out.fingerprint = fingerprint;
  out.ran = ran;
  out.transfer = 1ms;
  out.app = app;
  return out;
}

TEST(Slow, TheSlowestOfEachIsKept) {
  SlowStatements slow;
  slow.note(one(1, 6s, "first"));
  slow.note(one(1, 9s, "second"));
  slow.note(one(1, 7s, "third"));
  std::vector<SlowStatement> all;
  slow.add_to(all);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].app, "second");
  EXPECT_EQ(all[0].count, 3u);
  EXPECT_EQ(all[0].busy, 22s + 3ms);
}

TEST(Slow, OfTooManyTheFastestGoes) {
  SlowStatements slow;
  for (std::uint64_t i = 1; i <= SlowStatements::kMost; ++i) slow.note(one(i, i * 10ms));
  slow.note(one(1000, 5ms));  // faster than all
  slow.note(one(1001, 15ms));
  std::vector<SlowStatement> all;
  slow.add_to(all);
  all = merged(std::move(all));
  ASSERT_EQ(all.size(), SlowStatements::kMost);
  EXPECT_EQ(all.front().fingerprint, SlowStatements::kMost);
  EXPECT_EQ(all.back().fingerprint, 1001u);
}

TEST(Slow, WorkersAreMerged) {
  const auto all = merged({one(1, 6s), one(2, 20s), one(1, 8s)});
  EXPECT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].fingerprint, 2u);
  EXPECT_EQ(all[1].ran, 8s);
}

}  // namespace

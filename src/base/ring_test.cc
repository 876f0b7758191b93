#include "base/ring.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>

namespace pgw::base {
namespace {

std::deque<int> content(const Ring<int>& ring) {
  std::deque<int> out;
  for (std::size_t i = 0; i < ring.size(); ++i) out.push_back(ring.at(i));
  return out;
}

TEST(Ring, BeginsEmptyAndKeepsOrder) {
  Ring<int> ring;
  EXPECT_TRUE(ring.empty());
  EXPECT_EQ(ring.size(), 0u);
  ring.push_back(1);
  EXPECT_FALSE(ring.empty());
  EXPECT_EQ(&ring.front(), &ring.back());
  ring.push_back(2);
  EXPECT_EQ(ring.front(), 1);
  EXPECT_EQ(ring.back(), 2);
  ring.pop_front();
  EXPECT_EQ(ring.front(), 2);
  ring.pop_front();
  EXPECT_TRUE(ring.empty());
}

// The array is 8 long at first: growing must unroll it, wherever its content begins.
TEST(Ring, GrowsFromEveryStart) {
  for (int start = 0; start < 8; ++start) {
    Ring<int> ring;
    for (int i = 0; i < start; ++i) {
      ring.push_back(-1);
      ring.pop_front();
    }
    std::deque<int> model;
    for (int i = 0; i < 17; ++i) {
      ring.push_back(i);
      model.push_back(i);
      ASSERT_EQ(content(ring), model) << start;
      ASSERT_EQ(ring.back(), i) << start;
    }
  }
}

TEST(Ring, ErasesAnywhereAlsoAcrossTheEnd) {
  for (int start = 0; start < 8; ++start) {
    for (std::size_t at = 0; at < 5; ++at) {
      Ring<int> ring;
      for (int i = 0; i < start; ++i) {
        ring.push_back(-1);
        ring.pop_front();
      }
      std::deque<int> model;
      for (int i = 0; i < 5; ++i) {
        ring.push_back(i);
        model.push_back(i);
      }
      ring.erase(at);
      model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
      EXPECT_EQ(content(ring), model) << start << " " << at;
    }
  }
}

TEST(Ring, MayBeUsedAgainAfterClearAndRelease) {
  Ring<int> ring;
  ring.release();
  for (int turn = 0; turn < 2; ++turn) {
    for (int i = 0; i < 20; ++i) ring.push_back(i);
    turn == 0 ? ring.clear() : ring.release();
    EXPECT_TRUE(ring.empty());
    ring.push_back(7);
    EXPECT_EQ(ring.front(), 7);
    EXPECT_EQ(ring.size(), 1u);
  }
}

TEST(Ring, DoesAsADequeDoes) {
  std::uint32_t state = 1;
  const auto chance = [&state] { return (state = state * 1664525 + 1013904223) >> 8; };
  Ring<int> ring;
  std::deque<int> model;
  for (int i = 0; i < 20'000; ++i) {
    const auto what = chance() % 16;
    if (what < 7 || model.empty()) {
      ring.push_back(i);
      model.push_back(i);
    } else if (what < 13) {
      ring.pop_front();
      model.pop_front();
    } else {
      const auto at = chance() % model.size();
      ring.erase(at);
      model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
    }
    ASSERT_EQ(ring.size(), model.size());
    if (model.empty()) continue;
    ASSERT_EQ(ring.front(), model.front());
    ASSERT_EQ(ring.back(), model.back());
  }
  EXPECT_EQ(content(ring), model);
}

}  // namespace
}  // namespace pgw::base

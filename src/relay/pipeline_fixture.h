// Drives a Pipeline in tests and notes what it tells.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "relay/pipeline.h"

namespace pgw::relay {

inline constexpr std::uint8_t kOp = Expected::client_op;

// A pipeline and what it told; each settled entry is marked with its tag.
class Bench final : public Effects {
 public:
  Pipeline line;
  std::string happened, failed, skipped;
  std::string order;

  void settled(const Expected& entry, Fate fate) override {
    (fate == Fate::happened ? happened : fate == Fate::failed ? failed : skipped) += entry.tag;
    order += entry.tag;
  }
  void push(Want want, std::uint8_t flags = 0, char mark = 0) {
    line.push({.want = want, .flags = flags, .tag = mark});
  }
  Verdict reply(char tag) { return line.reply(tag, *this); }
  // Replies that all must be known and forwarded.
  void replies(std::string_view tags) {
    for (const char tag : tags) {
      const auto verdict = reply(tag);
      EXPECT_TRUE(verdict.known) << tag << " of " << tags;
      EXPECT_TRUE(verdict.forward) << tag << " of " << tags;
      EXPECT_FALSE(verdict.unasked) << tag << " of " << tags;
    }
  }
  char invented() { return line.invented(*this); }
};

}  // namespace pgw::relay

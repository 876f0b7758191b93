// How often something is told: the first time at once, then at most once in a while, with the
// number of times that were left out.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"

namespace pgw {

class RateLimit {
 public:
  explicit constexpr RateLimit(Duration every) : every_(every) {}
  // Empty: leave it out. Else tell it; so many were left out since it was told last.
  std::optional<std::uint64_t> pass(Time now);

 private:
  Duration every_;
  std::optional<Time> told_;
  std::uint64_t left_out_ = 0;
};

// The end of a line that is told: "" or " (12 more since the last such line)".
std::string more_text(std::uint64_t left_out);

}  // namespace pgw

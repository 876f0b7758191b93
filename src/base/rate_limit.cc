#include "base/rate_limit.h"

#include <fmt/format.h>

#include <utility>

namespace pgw {

std::optional<std::uint64_t> RateLimit::pass(Time now) {
  if (told_ && now - *told_ < every_) {
    ++left_out_;
    return std::nullopt;
  }
  told_ = now;
  return std::exchange(left_out_, 0);
}

std::string more_text(std::uint64_t left_out) {
  if (left_out == 0) return {};
  return fmt::format(" ({} more since the last such line)", left_out);
}

}  // namespace pgw

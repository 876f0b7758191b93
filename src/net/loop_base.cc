#include "net/loop_base.h"

#include <algorithm>
#include <chrono>

namespace pgw::net {

void LoopBase::stop() {
  stop_.store(true);
  mailbox_.wake();
}

void LoopBase::read_clock() {
  now_ = Time(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

std::optional<Duration> LoopBase::patience(bool busy) {
  if (busy || !mailbox_.prepare_to_sleep() || stopping()) return Duration(0);
  const auto next = timers_.next();
  if (!next) return std::nullopt;
  return std::max(*next - now_, Duration(0));
}

}  // namespace pgw::net

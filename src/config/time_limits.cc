#include "config/time_limits.h"

#include <algorithm>

namespace pgw::config {

TimeLimits time_limits_of(const Settings& settings) {
  TimeLimits out{.query = settings.query_timeout,
                 .transaction = settings.transaction_timeout,
                 .idle_in_transaction = settings.idle_in_transaction_timeout,
                 .client_idle = settings.client_idle_timeout,
                 .leak = settings.leak_threshold,
                 .slow = settings.slow_statement};
  for (const Span limit : {out.query, out.transaction, out.idle_in_transaction, out.leak})
    if (limit > 0us && (out.soonest == 0us || limit < out.soonest)) out.soonest = limit;
  return out;
}

TimeLimitsPtr TimeLimitsShelf::share(const TimeLimits& limits) {
  for (const auto& one : known_)
    if (auto held = one.lock(); held && *held == limits) return held;
  std::erase_if(known_, [](const auto& one) { return one.expired(); });
  auto made = std::make_shared<const TimeLimits>(limits);
  known_.push_back(made);
  return made;
}

}  // namespace pgw::config

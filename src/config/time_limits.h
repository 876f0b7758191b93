// The time limits that hold for one client, from the settings for its app, user and database.
// Clients with the same share one value.
#pragma once
#include <memory>
#include <vector>

#include "config/settings.h"

namespace pgw::config {

struct TimeLimits {  // 0: none
  Span query{};
  Span transaction{};
  Span idle_in_transaction{};
  Span client_idle{};
  Span leak{};
  Span slow{};
  Span soonest{};  // of those that hold while it has a server and that need a timer
  bool operator==(const TimeLimits&) const = default;
};

TimeLimits time_limits_of(const Settings& settings);

using TimeLimitsPtr = std::shared_ptr<const TimeLimits>;

// Those in use. Thread: its owner's.
class TimeLimitsShelf {
 public:
  TimeLimitsPtr share(const TimeLimits& limits);

 private:
  std::vector<std::weak_ptr<const TimeLimits>> known_;
};

}  // namespace pgw::config

// Which servers stayed with clients, why and how long, by app and reason; and how often settings
// were replayed. One per worker: written by its thread alone, read by any.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/pin.h"
#include "base/rate_limit.h"
#include "stats/counter.h"
#include "stats/gauges.h"
#include "stats/time_counters.h"

namespace pgw::stats {

// Of one reason and app.
struct PinCounters {
  Counter begun;
  Counter pinned_us;  // of pins that have ended, and of the others up to the last look at them
  Counter refused;    // statements, by the policy `error`
  Gauge pinned;       // clients, now
  // How often each is logged; the worker's alone.
  RateLimit tell_begun{1min};
  RateLimit tell_ended{1min};
  RateLimit tell_refused{1min};
};

struct AppCounters {
  std::array<PinCounters, kPinCount> reasons;  // by index_of
  Counter replays;                             // leases before which settings had to be changed
  TimeCounters times;
};

// The same, as read.
struct AppNumbers {
  struct Reason {
    std::uint64_t begun = 0, pinned_us = 0, refused = 0;
    std::uint32_t pinned = 0;
    bool operator==(const Reason&) const = default;
  };
  std::array<Reason, kPinCount> reasons;
  std::uint64_t replays = 0;
  TimeNumbers times;
  bool operator==(const AppNumbers&) const = default;
};
using PinNumbers = std::map<std::string, AppNumbers>;  // by app

class Pinning {
 public:
  // Clients choose their application_name: further apps are counted together.
  static constexpr std::size_t kAppsMost = 200;
  static constexpr std::size_t kNameMost = 63;  // bytes, as PostgreSQL keeps of an application_name
  static constexpr std::string_view kOther = "other";

  // Valid as long as this lives. The worker's thread.
  AppCounters& of(std::string_view app);
  // Adds what was counted. Any thread.
  void add_to(PinNumbers& numbers) const;

 private:
  struct alignas(64) App {  // no cache line is another worker's too
    std::string name;
    AppCounters counters;
  };
  std::vector<std::unique_ptr<App>> owned_;
  std::unordered_map<std::string_view, App*> by_name_;
  std::array<std::atomic<const App*>, kAppsMost + 1> slots_{};  // for other threads; from the front
};

}  // namespace pgw::stats

// A hierarchical timing wheel with ticks of 1 ms: the timers of one loop, real or simulated. Pure:
// time is an argument. Arming and disarming are O(1); timers of one tick fire in no promised order.
#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "base/list.h"
#include "base/time.h"
#include "net/timer.h"

namespace pgw::net {

class Timers {
 public:
  // Fires in the first run() whose time is `due` or later, but never inside the run() that is under
  // way for the same tick: a timer that arms itself again always lets time pass.
  void arm(Timer& timer, Time due);
  // Fires everything that is due. Callbacks may arm, disarm and destroy any timer.
  void run(Time now);
  // No timer is due before this. It may be early (an outer wheel turns then and nothing fires):
  // run() at that time and ask again. Empty: nothing is armed.
  std::optional<Time> next() const;

 private:
  static constexpr unsigned kBits = 6;
  static constexpr unsigned kSlots = 1u << kBits;
  static constexpr unsigned kLevels = 8;  // 2^48 ms: for ever
  using Slot = List<Timer, &Timer::hook>;

  void place(Timer& timer, std::uint64_t earliest);
  void advance(std::uint64_t tick);
  std::optional<std::uint64_t> next_tick() const;

  std::uint64_t tick_ = 0;  // everything up to here has fired
  std::array<std::array<Slot, kSlots>, kLevels> slots_;
  // A set bit: the slot may hold timers. Timers leave without telling the wheel, so it is cleaned
  // when seen.
  mutable std::array<std::uint64_t, kLevels> occupied_{};
};

}  // namespace pgw::net

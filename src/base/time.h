// Time: monotonic microseconds since some start, given by the loop (virtual in the simulator).
#pragma once
#include <chrono>
#include <cstdint>

namespace pgw {

using Duration = std::chrono::microseconds;
struct Clock {
  using duration = Duration;
  using rep = Duration::rep;
  using period = Duration::period;
  using time_point = std::chrono::time_point<Clock>;
  static constexpr bool is_steady = true;
};
using Time = Clock::time_point;
using namespace std::chrono_literals;

}  // namespace pgw

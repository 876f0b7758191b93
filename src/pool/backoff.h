// How long to wait before the next attempt to connect: doubles with each failure, with chance in it
// so that many poolers do not come back together. Pure.
#pragma once
#include <algorithm>

#include "base/time.h"

namespace pgw::pool {

class Backoff {
 public:
  // The pause after one more failure; `share` in [0, 1) is the chance: between half of the step and
  // all of it.
  Duration failed(Duration first, Duration most, double share) {
    step_ = step_ == Duration{} ? first : std::min(step_ * 2, most);
    step_ = std::min(step_, most);
    return Duration(
        static_cast<Duration::rep>(static_cast<double>(step_.count()) * (0.5 + share / 2)));
  }
  void succeeded() { step_ = {}; }

 private:
  Duration step_{};
};

// A limit less up to a tenth by chance, so that servers opened together are not replaced together.
// 0 stays 0.
inline Duration jittered(Duration limit, double share) {
  return Duration(
      static_cast<Duration::rep>(static_cast<double>(limit.count()) * (1 - share / 10)));
}

}  // namespace pgw::pool

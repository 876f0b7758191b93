// How good the right of a pool's waiters to one more server is, to be compared between pools.
#pragma once
#include <tuple>

#include "base/time.h"

namespace pgw::server {

struct Claim {
  bool waits = false;       // somebody does, whom a server would help
  bool guaranteed = false;  // its app has less than its minimum, or nothing and has waited long
  bool background = false;
  double share = 0;  // servers per weight that its app holds, over all pools and workers
  Time waits_since{};

  // Whether it goes before the other.
  bool before(const Claim& other) const {
    if (waits != other.waits) return waits;
    const auto key = [](const Claim& c) {
      return std::tuple(!c.guaranteed, c.background, c.share, c.waits_since);
    };
    return key(*this) < key(other);
  }
};

}  // namespace pgw::server

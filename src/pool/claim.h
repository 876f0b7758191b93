// Why a pool should get the next place that becomes free on a host: what its best waiter can say
// for itself. Pure.
#pragma once
#include <cstdint>

#include "base/time.h"

namespace pgw::pool {

struct Claim {
  Time waits_since{};         // of that waiter
  bool below_min = false;     // its app has less than it is guaranteed
  bool background = false;    // ... and what only background work waits for comes last
  unsigned leased = 0;        // servers that its app holds, over all pools and workers
  unsigned weight = 1;        // of the app
  const void* app = nullptr;  // only compared; what one app holds is the same for all its claims
};

inline bool same_app(const Claim& a, const Claim& b) { return a.app != nullptr && a.app == b.app; }
// What the app of `of` would hold with `more` servers more, per weight: to be compared with the
// same for `against`.
inline std::uint64_t share(const Claim& of, unsigned more, const Claim& against) {
  return (std::uint64_t{of.leased} + more) * against.weight;
}

// Whether `a` goes before `b`. Between equals the app that has less per weight does, then the
// longer wait.
inline bool better(const Claim& a, const Claim& b) {
  if (a.below_min != b.below_min) return a.below_min;
  if (a.background != b.background) return b.background;
  const auto left = share(a, 0, b), right = share(b, 0, a);
  if (!same_app(a, b) && left != right) return left < right;
  return a.waits_since < b.waits_since;
}

// Whether a server that could serve `own` at once is to be closed for the sake of `other`. Never if
// `own` would get the place that becomes free. And as that costs a connect, neither a share nor a
// wait that differs only a little is enough: pools that have equally much would take servers from
// each other all the time. With the server that is at stake, `own` would have one more than
// it says; a share differs enough if even with two more `other` would not have more than that.
inline bool outranks(const Claim& other, const Claim& own, Duration margin) {
  if (!better(other, own)) return false;
  if (other.below_min != own.below_min || other.background != own.background) return true;
  if (!same_app(other, own) && share(other, 2, own) <= share(own, 1, other)) return true;
  return other.waits_since + margin <= own.waits_since;
}

}  // namespace pgw::pool

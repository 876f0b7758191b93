// Why a pool should get the next place that becomes free on a host: what its best waiter can say
// for itself. Pure.
#pragma once
#include "base/time.h"

namespace pgw::pool {

struct Claim {
  Time waits_since{};       // of that waiter
  bool below_min = false;   // its app has less than it is guaranteed
  bool background = false;  // ... and what only background work waits for comes last
  double share = 0;         // servers per weight that its app holds, over all pools and workers
};

// Whether `a` goes before `b`. Between equals the app that has less does, then the longer wait.
inline bool better(const Claim& a, const Claim& b) {
  if (a.below_min != b.below_min) return a.below_min;
  if (a.background != b.background) return b.background;
  if (a.share != b.share) return a.share < b.share;
  return a.waits_since < b.waits_since;
}

// Whether a server that could serve `own` at once is to be closed for the sake of `other`. That
// costs a connect, so neither a share nor a wait that differs only a little is enough: pools that
// have equally much would take servers from each other all the time.
inline constexpr double kShareMargin = 2;
inline bool outranks(const Claim& other, const Claim& own, Duration margin) {
  if (other.below_min != own.below_min) return other.below_min;
  if (other.background != own.background) return own.background;
  if (other.share + kShareMargin <= own.share) return true;
  if (own.share + kShareMargin <= other.share) return false;
  return other.waits_since + margin <= own.waits_since;
}

}  // namespace pgw::pool

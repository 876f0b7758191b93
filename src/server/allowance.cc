#include "server/allowance.h"

namespace pgw::server {

bool Allowance::begin() {
  std::uint32_t taken = taken_.load();
  do {
    if (taken >= most_.load()) return false;
  } while (!taken_.compare_exchange_weak(taken, taken + 1));
  return true;
}

bool Allowance::begin_or_wait(Taker& taker, Time since) {
  if (begin()) return true;
  const std::scoped_lock lock(mutex_);
  taker.since_ = since;
  takers_.emplace(since, &taker);
  waiting_.store(takers_.size());
  // One may have been given back just before that could be seen.
  if (!begin()) return false;
  takers_.erase({since, &taker});
  waiting_.store(takers_.size());
  return true;
}

void Allowance::forget(Taker& taker) {
  const std::scoped_lock lock(mutex_);
  takers_.erase({taker.since_, &taker});
  waiting_.store(takers_.size());
}

void Allowance::end(net::Loop* here) {
  for (;;) {
    if (waiting_.load() == 0 || taken_.load() > most_.load()) {
      taken_.fetch_sub(1);
      // Who has come meanwhile has not seen it.
      if (waiting_.load() == 0 || !begin()) return;
    }
    std::shared_ptr<Taker*> next;
    net::Loop* home = nullptr;
    {
      const std::scoped_lock lock(mutex_);
      if (takers_.empty()) continue;
      Taker& taker = *takers_.begin()->second;
      takers_.erase(takers_.begin());
      waiting_.store(takers_.size());
      next = taker.self_;
      home = &taker.loop_;
    }
    if (home == here) return (*next)->offered(*this);
    return home->post([budget = shared_from_this(), next = std::move(next), home] {
      if (*next) return (*next)->offered(*budget);
      budget->end(home);
    });
  }
}

}  // namespace pgw::server

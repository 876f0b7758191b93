// Places that the pools of all workers share: the servers that one app may hold, or the sessions of
// one database. Exact at every instant. What is given back goes to the taker that has waited
// longest, on whichever worker. Thread: any, but for what says otherwise.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "base/time.h"
#include "net/loop.h"

namespace pgw::server {

class Allowance : public std::enable_shared_from_this<Allowance> {
 public:
  static constexpr std::uint32_t kNoLimit = ~std::uint32_t{0};

  // Somebody who could use a place. Made, used and destroyed on its loop's thread.
  class Taker {
   public:
    explicit Taker(net::Loop& loop) : loop_(loop) {}
    Taker(const Taker&) = delete;
    Taker& operator=(const Taker&) = delete;
    // A place is the taker's, which waits for none any more: to be used, or given back with end().
    // Calls nobody back.
    virtual void offered(Allowance& budget) = 0;

   protected:
    ~Taker() { *self_ = nullptr; }  // it has called forget() before
    net::Loop& loop_;

   private:
    friend class Allowance;
    Time since_{};
    std::shared_ptr<Taker*> self_ = std::make_shared<Taker*>(this);
  };

  // Lowering it takes nothing away: what is beyond goes when it is given back. Whoever raises it
  // sees to it that takers try again.
  void set_most(std::uint32_t most) { most_.store(most); }
  std::uint32_t most() const { return most_.load(std::memory_order_relaxed); }
  // Without a limit nobody has to begin or end.
  bool limited() const { return most() != kNoLimit; }
  std::uint32_t taken() const { return taken_.load(std::memory_order_relaxed); }
  std::uint32_t free() const {
    const auto most_now = most(), taken_now = taken();
    return most_now > taken_now ? most_now - taken_now : 0;
  }

  // Takes a place; false: there is none.
  bool begin();
  // Takes a place, whether there is one or not: for what was there before the limit.
  void adopt() { taken_.fetch_add(1); }
  // The same as begin(), but if there is none, offered() follows. `since`: it waits since then.
  bool begin_or_wait(Taker& taker, Time since);
  // It waits no longer.
  void forget(Taker& taker);
  // Gives a place back. `here`: the loop of this thread; null: none.
  void end(net::Loop* here);

 private:
  std::atomic<std::uint32_t> most_{kNoLimit};
  std::atomic<std::uint32_t> taken_{0};
  std::atomic<std::size_t> waiting_{0};  // of takers_
  std::mutex mutex_;
  std::set<std::pair<Time, Taker*>> takers_;
};

}  // namespace pgw::server

// Who of those that wait for a server of one pool is next. Pure: time is an argument. First come
// first served inside an app; between apps weighted max-min fair:
//
//   rank 0  an app that has less than its guaranteed minimum; and one that has nothing here and has
//           waited for longer than `patience` (twice that, in the background)
//   rank 1  all others
//   rank 2  apps in the background; for as long as their first waits no longer than `patience`
//
// Inside a rank the app with the least leases per weight is next, then who has waited longest. Only
// rank 0 may take places that are kept for the minimums of apps that have clients here; one place
// of the pool is never kept. All O(log apps); with one app that waits, a few tests.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/list.h"
#include "base/time.h"
#include "pool/heap.h"

namespace pgw::pool {

struct Line;
struct Share;

struct Waiter {
  ListHook waiting;
  Time waits_since{};
  Line* line = nullptr;  // the one that it waits in, or has waited in
  bool told = false;     // for its owner: it knows that it waits
};

// What an app is promised.
struct Terms {
  unsigned min = 0;
  unsigned weight = 1;
  bool background = false;
  bool operator==(const Terms&) const = default;
};

// The waiters of one app in one mode.
struct Line {
  static constexpr std::size_t kNowhere = ~std::size_t{0};
  explicit Line(Share& its_share) : share(its_share) {}

  Share& share;
  List<Waiter, &Waiter::waiting> waiters;
  std::size_t count = 0;
  bool blocked = false;  // it is passed over
  // The queue's own.
  std::size_t in_ready = kNowhere;
  std::size_t in_ageing = kNowhere;
  std::uint8_t rank = 1;
  Time since{};     // its first one waits since then
  Time lifts_at{};  // its rank is a better one from then on
};

// An app in one pool. The owner keeps it until nobody of it waits or has a lease.
struct Share {
  Terms terms;
  unsigned leased = 0;
  unsigned clients = 0;
  std::array<Line, 2> lines{Line(*this), Line(*this)};  // transaction mode, session mode

  Share() = default;
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;
  unsigned unmet() const { return clients > 0 && leased < terms.min ? terms.min - leased : 0; }
};

class FairQueue {
 public:
  // How many leases there may be at once.
  void set_places(std::size_t places) { places_ = places; }
  // set_terms() for all shares follows: their ranks may be others.
  void set_patience(Duration patience) { patience_ = patience; }
  void set_terms(Share& share, const Terms& terms, Time now);
  // A client comes or goes.
  void enter(Share& share);
  void leave(Share& share);

  // Behind all others in its line.
  void push(Line& line, Waiter& waiter, Time now);
  void remove(Waiter& waiter, Time now);
  // Passed over from now on, or no longer.
  void block(Line& line);
  void unblock(Line& line, Time now);

  std::size_t waiting() const { return waiting_; }
  bool empty() const { return waiting_ == 0; }
  // Whose first one is next; null: nobody may begin a lease now.
  Line* best(Time now);
  // The same, whether or not it may begin one.
  Line* first(Time now);
  const Line* peek() const { return ready_.top(); }  // as of the last look
  // The line's first one waits no longer: its lease begins.
  Waiter& begin(Line& line, Time now);
  // A lease begins without a wait; whether it may, if nobody waits.
  bool may_begin(const Share& share) const;
  void begin(Share& share, Time now);
  void end(Share& share, Time now);

  std::size_t leased() const { return leased_; }
  // Leases that apps which have their minimum may still begin.
  std::size_t room() const;
  // When somebody's rank is a better one; Time::max(): that changes by itself for nobody.
  Time next_lift() const;
  // Those that have waiters and are not blocked, in no order.
  std::span<Line* const> ready() const { return ready_.all(); }

 private:
  struct Before {
    bool operator()(const Line& a, const Line& b) const;
  };
  struct Sooner {
    bool operator()(const Line& a, const Line& b) const { return a.lifts_at < b.lifts_at; }
  };
  void order(Line& line, Time now);
  void change(Share& share, Time now, auto&& apply);
  void rank(Line& line, Time now) const;

  Heap<Line, &Line::in_ready, Before> ready_;
  Heap<Line, &Line::in_ageing, Sooner> ageing_;
  Duration patience_ = 10s;
  std::size_t places_ = 0;
  std::size_t leased_ = 0;
  std::size_t unmet_ = 0;  // of all shares
  std::size_t waiting_ = 0;
};

}  // namespace pgw::pool

// The clients of one app in one pool: those that wait, in two lanes, and what they hold. Owned by
// its pool, and of its thread.
#pragma once
#include <array>
#include <memory>

#include "base/rate_limit.h"
#include "net/timer.h"
#include "pool/fair_queue.h"
#include "server/apps.h"
#include "server/tenant.h"

namespace pgw::server {

class Pool;
struct Party;

// The clients of one mode, and the places of shared budgets that a lease of theirs needs: one of
// the app's, and in session mode one of the database's. What was offered and cannot be used at
// once, because no server is free here, is held for kHoldMost and then given back.
class Lane final : public Allowance::Taker {
 public:
  Lane(Party& party, pool::Line& line, Allowance& app, Allowance* sessions);
  ~Lane();

  // Takes all places that a lease needs. False: one of them is not to be had; the line is blocked
  // until it is offered.
  bool claim();
  // After claim(): they are the tenant's from now on. Gives which.
  Tenant::Places hand_over();
  // Of what a tenant had, or was handed over and did not need.
  void give_back(Tenant::Places places);
  // Counts a lease from before there was a limit.
  void adopt(Tenant::Places& places);
  // Leases that could begin now, as far as budgets go.
  std::size_t room() const;
  // Waits for nothing and has nothing in hand any more.
  void drop();
  // It waits for a place of the app's, or of the database's sessions.
  bool blocked_by_app() const { return waits_for_ == app_.budget; }
  bool blocked_by_sessions() const { return waits_for_ && !blocked_by_app(); }

  Party& party;
  pool::Line& line;
  net::Timer timer;                // a waiter's time is over, or it is to be told
  pool::Waiter* untold = nullptr;  // the first that was not told that it waits; all behind it: too
  std::size_t told = 0;            // waiters before it

 private:
  static constexpr Duration kHoldMost = 1s;
  struct Need {
    Allowance* budget;
    bool in_hand = false;
  };
  void offered(Allowance& budget) override;
  void release(Need& need);
  void release_all();
  bool needs(const Need& need) const { return need.budget && need.budget->limited(); }

  Need app_;
  Need sessions_;
  Allowance* waits_for_ = nullptr;
  net::Timer hold_timer_;
};

struct Party : pool::Share {
  Party(Pool& its_pool, std::shared_ptr<App> its_app, unsigned worker, Allowance& sessions);

  Pool& pool;
  const std::shared_ptr<App> app;
  AppLoad& load;
  std::array<Lane, 2> lanes;  // transaction mode, session mode
  Duration timeout{};         // longest wait
  Duration notice{};          // a wait that a client is told of; 0: none
  unsigned most_waiting = 0;  // 0: any number
  RateLimit tell_refused{10s};

  Lane& lane_of(const pool::Line& line) { return lanes[&line == &lines[1] ? 1 : 0]; }
  Lane& lane_of(const Tenant& tenant) { return lanes[tenant.is_session ? 1 : 0]; }
  std::size_t waiting() const { return lines[0].count + lines[1].count; }
};

}  // namespace pgw::server

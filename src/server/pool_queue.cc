// Who waits for a server, and who gets the next.
#include <algorithm>

#include "base/check.h"
#include "server/pool.h"

namespace pgw::server {

namespace {
constexpr Duration kClaimEvery = 100ms;  // a claim that waits elsewhere is made anew
}

void Pool::enter(Tenant& tenant, const std::string& app, bool is_session) {
  auto& slot = parties_[app];
  if (!slot) {
    slot = std::make_unique<Party>(*this, context_.apps.of(app), context_.worker, *sessions_);
    set_terms(*slot);
  }
  tenant.party = slot.get();
  tenant.is_session = is_session;
  queue_.enter(*slot);
}

// What was kept for its app may be others' now.
void Pool::quit(Tenant& tenant) {
  leave(tenant);
  Party& party = *std::exchange(tenant.party, nullptr);
  const auto app = party.app;
  queue_.leave(party);
  if (party.clients == 0 && party.leased == 0) parties_.erase(app->name);
  if (!queue_.empty()) serve_soon();
}

void Pool::acquire(Tenant& tenant) {
  Party& party = *tenant.party;
  tenant.waits_since = context_.loop.now();
  // The common case: a server is free, and nobody was here before.
  if (queue_.empty() && serve_at_once(tenant)) return;
  const auto most = settings().max_waiting;
  const bool app_full = party.most_waiting > 0 && party.waiting() >= party.most_waiting;
  if (app_full || (most > 0 && queue_.waiting() >= most))
    return turn_away(tenant, too_many_waiting(party, app_full));
  Lane& lane = party.lane_of(tenant);
  queue_.push(lane.line, tenant, context_.loop.now());
  if (!lane.untold) lane.untold = &tenant;
  context_.gauges.waiting.add(1);
  party.load.waiting.add(1);
  watch(lane);
  if (!idle_.empty()) return serve_waiters();
  // PostgreSQL has just said that this cannot work: asking it again for every client would only
  // load it.
  if (last_definite_ && servers_.empty() && context_.loop.now() < no_connect_before_) {
    context_.loop.post([this, alive = std::weak_ptr(alive_)] {
      if (!alive.expired() && last_definite_ && last_failure_) refuse_waiters(*last_failure_);
    });
    return;
  }
  open_servers();
  serve_later();
}

bool Pool::serve_at_once(Tenant& tenant) {
  Server* const server = idle_.front();
  Party& party = *tenant.party;
  if (!server || too_old(*server) || !queue_.may_begin(party)) return false;
  Lane& lane = party.lane_of(tenant);
  if (lane.line.blocked || !lane.claim()) return false;
  server->in_idle.unlink();
  queue_.begin(party, context_.loop.now());
  begin(tenant, lane.hand_over());
  server->lend(tenant);
  return true;
}

void Pool::leave(Tenant& tenant) {
  if (!tenant.waiting.linked()) return;
  if (turned_away_.erase(&tenant) > 0) return tenant.waiting.unlink();
  take_out(tenant);
}

void Pool::take_out(Tenant& tenant) {
  Lane& lane = tenant.party->lane_of(tenant);
  out_of_queue(tenant);
  queue_.remove(tenant, context_.loop.now());
  if (lane.line.count == 0) lane.drop();
  if (queue_.empty()) need_no_place();
}

// Before it is taken out of its line.
void Pool::out_of_queue(Tenant& tenant) {
  Party& party = *tenant.party;
  Lane& lane = party.lane_of(tenant);
  if (lane.untold == &tenant) {
    lane.untold = lane.line.waiters.after(tenant);
  } else if (std::exchange(tenant.told, false)) {
    --lane.told;
  }
  context_.gauges.waiting.add(-1);
  party.load.waiting.add(-1);
  party.load.waits.add(1);
  const auto waited =
      static_cast<std::uint64_t>((context_.loop.now() - tenant.waits_since).count());
  auto& longest = party.load.longest_us;
  if (waited > longest.load(std::memory_order_relaxed))
    longest.store(waited, std::memory_order_relaxed);
}

// Whoever is next and has all that a lease needs. Null: nobody may begin one.
Tenant* Pool::next() {
  const Time now = context_.loop.now();
  while (pool::Line* const line = queue_.best(now)) {
    Lane& lane = static_cast<Party&>(line->share).lane_of(*line);
    if (!lane.claim()) continue;
    auto& tenant = static_cast<Tenant&>(*line->waiters.front());
    out_of_queue(tenant);
    queue_.begin(*line, now);
    begin(tenant, lane.hand_over());
    return &tenant;
  }
  return nullptr;
}

void Pool::begin(Tenant& tenant, Tenant::Places places) {
  tenant.leases = true;
  tenant.places = places;
  tenant.party->load.leased.add(1);
  if (tenant.is_session) tenant.party->load.sessions.add(1);
}

void Pool::lease_over(Tenant& tenant) {
  if (!std::exchange(tenant.leases, false)) return;
  if (Party* const party = tenant.party) {
    queue_.end(*party, context_.loop.now());
    party->load.leased.add(-1);
    if (tenant.is_session) party->load.sessions.add(-1);
    party->lane_of(tenant).give_back(std::exchange(tenant.places, {}));
  } else {
    --unshared_;
    set_places();
  }
  // Others may be free to take what they could not take before.
  if (!queue_.empty() && !idle_.empty()) serve_soon();
}

void Pool::lease_passes(Tenant& from, Tenant& to) {
  PGW_ASSERT(!to.party);
  lease_over(from);
  to.leases = true;
  ++unshared_;
  set_places();
}

// In the order of the queue; most recently used servers first.
void Pool::serve_waiters() {
  if (std::exchange(serving_, true)) return;  // the loop below, further up the stack, goes on
  while (!queue_.empty()) {
    Server* const server = idle_.front();
    if (!server) break;
    if (too_old(*server)) {
      server->close("it is old");
      continue;
    }
    Tenant* const tenant = next();
    if (!tenant) break;
    server->in_idle.unlink();
    server->lend(*tenant);
  }
  serving_ = false;
  if (queue_.empty()) {
    need_no_place();
  } else {
    open_servers();
    serve_later();
  }
  if (!idle_.empty() && account_->pressed_now()) yield_idle();
}

// From the loop, for callers in the middle of something.
void Pool::serve_soon() {
  if (std::exchange(serve_posted_, true)) return;
  context_.loop.post([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    serve_posted_ = false;
    serve_waiters();
  });
}

// If what is left is kept for others, some of those that wait may take it all the same some day.
// And who waits for a place elsewhere has a better claim with time.
void Pool::serve_later() {
  const bool elsewhere = !wish_.empty();
  if (queue_.room() > 0 && !elsewhere) return;
  const Time now = context_.loop.now();
  (void)queue_.first(now);
  Time next = queue_.next_lift();
  if (elsewhere) next = std::min(next, now + kClaimEvery);
  if (next == Time::max()) return;
  context_.loop.arm(lift_timer_, std::max<Duration>(next - now, 0us));
}

void Pool::unblock(pool::Line& line) {
  queue_.unblock(line, context_.loop.now());
  if (line.count > 0) serve_soon();
}

// How many servers more would be of use to those that wait. Whoever waits for a place elsewhere is
// noted there.
std::size_t Pool::wanted() {
  const Time now = context_.loop.now();
  for (;;) {
    (void)queue_.first(now);
    pool::Line* stuck = nullptr;
    std::size_t first = 0, others = 0;
    for (pool::Line* const line : queue_.ready()) {
      const std::size_t room = static_cast<Party&>(line->share).lane_of(*line).room();
      if (room == 0) stuck = line;
      (line->rank == 0 ? first : others) += room;
    }
    if (!stuck) return first + std::min(others, queue_.room());
    (void)static_cast<Party&>(stuck->share).lane_of(*stuck).claim();
  }
}

void Pool::refuse_waiters(const Error& why) {
  for (auto& [app, party] : parties_)
    for (pool::Line& line : party->lines)
      while (pool::Waiter* const waiter = line.waiters.front())
        refuse(static_cast<Tenant&>(*waiter), why);
}

void Pool::refuse(Tenant& tenant, const Error& why) {
  take_out(tenant);
  tenant.party->load.refused.add(1);
  tenant.refused(why);
}

void Pool::turn_away(Tenant& tenant, Error why) {
  turned_away_.emplace(&tenant, std::move(why));
  turning_away_.push_back(tenant);
  context_.loop.post([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    while (pool::Waiter* const waiter = turning_away_.pop_front()) {
      auto* const one = static_cast<Tenant*>(waiter);
      const auto node = turned_away_.extract(one);
      one->party->load.refused.add(1);
      one->refused(node.mapped());
    }
  });
}

// The lane's timer is set for what comes next. It may be early: all in a lane wait equally long, so
// it is set anew when it fires, and not for each who comes and goes.
void Pool::watch(Lane& lane) {
  if (lane.line.count == 0) return;
  Time due = lane.line.waiters.front()->waits_since + lane.party.timeout;
  if (lane.untold && lane.party.notice > 0us)
    due = std::min(due, lane.untold->waits_since + lane.party.notice);
  if (!lane.timer.armed() || due < lane.timer.due())
    context_.loop.arm(lane.timer, std::max<Duration>(due - context_.loop.now(), 0us));
}

void Pool::look_after(Lane& lane) {
  const Time now = context_.loop.now();
  while (pool::Waiter* const waiter = lane.line.waiters.front()) {
    if (now < waiter->waits_since + lane.party.timeout) break;
    auto& tenant = static_cast<Tenant&>(*waiter);
    const Error why = timed_out_error(tenant);
    refuse(tenant, why);
  }
  if (lane.party.notice > 0us) tell_waiters(lane);
  watch(lane);
}

void Pool::tell_waiters(Lane& lane) {
  const Time now = context_.loop.now();
  while (lane.untold && now >= lane.untold->waits_since + lane.party.notice) {
    auto& tenant = static_cast<Tenant&>(*lane.untold);
    const std::string text = wait_text(lane);
    lane.untold = lane.line.waiters.after(tenant);
    tenant.told = true;
    ++lane.told;
    tenant.waits(text);
  }
}

void Pool::set_places() {
  const std::size_t all = most();
  queue_.set_places(all > unshared_ ? all - unshared_ : 0);
}

void Pool::set_terms(Party& party) {
  const auto all = snapshot_->settings_for(*database_settings_, user_, party.app->name);
  const auto terms = snapshot_->terms_of(party.app->name);
  party.timeout = all.pool_timeout;
  party.notice = all.wait_notice;
  party.most_waiting = terms.waiting;
  queue_.set_terms(party, {terms.min, terms.weight, terms.background}, context_.loop.now());
}

// After a reload: limits that are new count what is held already.
void Pool::count_leases() {
  for (auto& [server, owned] : servers_) {
    Tenant* const tenant = server->tenant();
    if (tenant && tenant->leases && tenant->party)
      tenant->party->lane_of(*tenant).adopt(tenant->places);
  }
  for (auto& [app, party] : parties_) {
    set_terms(*party);
    for (Lane& lane : party->lanes) {
      lane.drop();  // it tries again
      lane.timer.disarm();
      watch(lane);
    }
  }
}

// Whoever waits for a place elsewhere is noted there: a server would not help it.
std::optional<pool::Claim> Pool::best_claim() {
  while (pool::Line* const line = queue_.best(context_.loop.now())) {
    auto& party = static_cast<Party&>(line->share);
    Lane& lane = party.lane_of(*line);
    if (lane.room() == 0 && !lane.claim()) continue;
    return pool::Claim{.waits_since = line->since,
                       .below_min = line->rank == 0,
                       .background = line->rank == 2,
                       // Those on their way will be for the same waiters.
                       .leased = party.app->leased() + static_cast<unsigned>(opening_),
                       .weight = party.terms.weight,
                       .app = party.app.get()};
  }
  return {};
}

}  // namespace pgw::server

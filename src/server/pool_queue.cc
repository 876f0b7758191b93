// Who waits for a server, and who gets the next.
#include "server/pool.h"

namespace pgw::server {

void Pool::acquire(Tenant& tenant) {
  tenant.waits_since = context_.loop.now();
  waiters_.push_back(tenant);
  ++waiting_;
  context_.gauges.waiting.add(1);
  if (waiters_.front() == &tenant) {
    context_.loop.arm(head_timer_, settings().pool_timeout);
    // The common case: a server is free, and nobody was here before.
    if (!idle_.empty()) return serve_waiters();
  }
  // PostgreSQL has just said that this cannot work: asking it again for every client would only
  // load it.
  if (last_definite_ && servers_.empty() && context_.loop.now() < no_connect_before_) {
    context_.loop.post([this, alive = std::weak_ptr(alive_)] {
      if (!alive.expired() && last_definite_ && last_failure_) refuse_waiters(*last_failure_);
    });
    return;
  }
  open_servers();
}

void Pool::leave(Tenant& tenant) {
  if (!tenant.waiting.linked()) return;
  const bool first = waiters_.front() == &tenant;
  tenant.waiting.unlink();
  --waiting_;
  context_.gauges.waiting.add(-1);
  if (first) arm_head();
}

// The longest waiting first; most recently used servers first.
void Pool::serve_waiters() {
  if (std::exchange(serving_, true)) return;  // the loop below, further up the stack, goes on
  while (!waiters_.empty()) {
    Server* server = idle_.front();
    if (!server) break;
    server->in_idle.unlink();
    if (too_old(*server)) {
      server->close("it is old");
      continue;
    }
    Tenant& tenant = *waiters_.front();
    leave(tenant);
    server->lend(tenant);
  }
  serving_ = false;
  if (!waiters_.empty()) open_servers();
}

void Pool::refuse_waiters(const Error& why) {
  while (Tenant* tenant = waiters_.front()) {
    leave(*tenant);
    tenant->refused(why);
  }
}

// The first waiter's time may be over; else the timer is set for it.
void Pool::arm_head() {
  head_timer_.disarm();
  while (Tenant* tenant = waiters_.front()) {
    const Time due = tenant->waits_since + settings().pool_timeout;
    const Time now = context_.loop.now();
    if (now < due) return context_.loop.arm(head_timer_, due - now);
    const Error error = timed_out_error(*tenant);
    tenant->waiting.unlink();
    --waiting_;
    context_.gauges.waiting.add(-1);
    tenant->refused(error);
  }
}

Error Pool::timed_out_error(const Tenant& tenant) const {
  const auto& set = settings();
  const auto app = tenant.about().app;
  const auto waited =
      std::chrono::duration_cast<std::chrono::milliseconds>(set.pool_timeout).count();
  const auto count = counts();
  if (last_failure_ && count.leased == 0) {
    const Code code =
        last_failure_->code() == Code::cannot_connect ? Code::cannot_connect : Code::connection;
    return Error(code,
                 fmt::format("no connection to PostgreSQL for database \"{}\" within {} ms: {}",
                             database_, waited, last_failure_->what()))
        .with_hint(
            "PostgreSQL is down or refuses connections; how long clients wait for it is "
            "pool_timeout.");
  }
  return Error(Code::too_many_connections,
               fmt::format("no server connection for database \"{}\", user \"{}\"{} within {} ms: "
                           "{} of {} in use, {} waiting",
                           database_, user_, app.empty() ? "" : fmt::format(", app \"{}\"", app),
                           waited, count.leased, most(), waiting_))
      .with_hint(fmt::format(
          "Raise pool_size ({}) or max_overflow ({}) of the database, or pool_timeout; or look for "
          "transactions that stay open and for clients that keep a server (LISTEN, temporary "
          "tables, "
          "advisory locks: \"its server stays with it\" in the log).",
          set.pool_size, set.max_overflow));
}

}  // namespace pgw::server

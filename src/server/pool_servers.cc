// The lives of a pool's servers, as the pool sees them.
#include <algorithm>

#include "base/check.h"
#include "server/cancel.h"
#include "server/pool.h"

namespace pgw::server {

namespace {
constexpr Duration kMaintainEvery = 500ms;
constexpr Duration kMaintainMost = 1min;
}  // namespace

void Pool::retire_all(const char* why) {
  while (Server* server = idle_.pop_front()) server->close(why);
  for (auto& [server, owned] : servers_) server->lifetime = 1us;
  if (listening_) listening_->rest();
}

void Pool::end_silent(Duration every, Duration limit) {
  std::vector<Server*> silent;
  for (auto& [server, owned] : servers_)
    if (server->silent_too_long(every, limit)) silent.push_back(server);
  for (Server* server : silent) server->host_is_gone(limit);
}

void Pool::server_free(Server& server) {
  if (server.in_idle.linked()) server.in_idle.unlink();
  if (too_old(server)) return server.close("it is old");
  // A cancel is under way; the server comes back when it is over.
  if (!server.may_be_lent()) return server.drop_waiting_cancel();
  // One that nobody has had yet: on first contact, PostgreSQL is asked what it has.
  if (server.lease() == 0 && context_.budgets.wants_check(*account_, context_.loop.now()))
    return server.check_host();
  if (account_->pressed_now() && gives_way(server)) return;
  if (suspicion_.wants(has_waiters())) return server.survey();
  idle_.push_front(server);
  if (!maintain_timer_.armed() || std::exchange(maintains_late_, false))
    context_.loop.arm(maintain_timer_, kMaintainEvery);
  serve_waiters();
}

bool Pool::too_old(const Server& server) const {
  return server.lifetime > 0us && context_.loop.now() - server.born() >= server.lifetime;
}

void Pool::open_servers() {
  const auto& set = settings();
  const Time now = context_.loop.now();
  if (waits_for_place()) return;
  while (opening_ < set.connect_parallel && servers_.size() < places() && opening_ < wanted()) {
    if (now < no_connect_before_) {
      if (!connect_timer_.armed()) context_.loop.arm(connect_timer_, no_connect_before_ - now);
      return need_no_place();
    }
    if (!take_place()) return;
    auto made = std::make_unique<Server>(context_, *this);
    Server& server = *made;
    server.seat = std::move(wish_);
    server.overflow = servers_.size() >= set.pool_size + private_;
    server.lifetime = pool::jittered(set.pool_recycle, context_.random.share());
    if (server.overflow) context_.gauges.overflow.add(1);
    servers_.emplace(&server, std::move(made));
    ++opening_;
    server.connect();
    warn_if_full();
  }
  need_no_place();
}

void Pool::login_succeeded(const Server& server) {
  if (!server.is_private()) --opening_;
  backoff_.succeeded();
  no_connect_before_ = {};
  last_failure_.reset();
  last_definite_ = false;
}

void Pool::acquire_private(Tenant& tenant,
                           std::vector<std::pair<std::string, std::string>> parameters) {
  auto made = std::make_unique<Server>(context_, *this);
  Server& server = *made;
  servers_.emplace(&server, std::move(made));
  ++private_;
  const pool::Claim claim{.waits_since = context_.loop.now()};
  const bool has_place = server.seat.ask(*account_, claim, true, context_.loop.now());
  server.connect_for(tenant, std::move(parameters), has_place);
}

void Pool::abandon_private(Tenant& tenant) {
  for (auto& [server, owned] : servers_) {
    if (server->private_tenant() != &tenant) continue;
    server->leave_private();
    return;
  }
}

void Pool::login_failed(Server& server, const Error& why, bool definite) {
  if (!server.is_private()) --opening_;
  if (Tenant* tenant = server.private_tenant()) {
    bury(server);
    return tenant->refused(why);
  }
  if (server.host_full()) {
    context_.budgets.refused(*account_, why, context_.random, context_.loop.now());
    last_failure_ = why;
    last_definite_ = false;
    bury(server);
    if (!queue_.empty()) open_servers();
    return;
  }
  const auto pause = backoff_.failed(settings().connect_backoff, settings().connect_backoff_max,
                                     context_.random.share());
  no_connect_before_ = context_.loop.now() + pause;
  log(Level::warning, about(), "no connection to {}: {}; next attempt in {} ms", host(), why.what(),
      pause.count() / 1000);
  last_failure_ = why;
  last_definite_ = definite;
  bury(server);
  // Somebody else's servers may still come back: then waiting makes sense even so.
  if (definite && servers_.size() == opening_) refuse_waiters(why);
  if (!queue_.empty()) open_servers();
}

void Pool::server_gone(Server& server) {
  bury(server);
  if (!queue_.empty()) open_servers();
}

// The server may be what is running right now: it is destroyed a little later, but has no place
// here any more.
void Pool::bury(Server& server) {
  server.in_idle.unlink();
  if (server.overflow) context_.gauges.overflow.add(-1);
  if (server.is_private()) --private_;
  server.seat.drop();
  for (auto& [cancel, owned] : cancels_)
    if (cancel->server() == &server) cancel->forget_server();
  auto node = servers_.extract(&server);
  PGW_ASSERT(!node.empty());
  nearly_full_ = nearly_full_ && nearly_full();
  context_.graveyard.bury(std::move(node.mapped()));
}

void Pool::maintain() {
  maintain_timer_.disarm();
  const auto& set = settings();
  const Time now = context_.loop.now();
  std::size_t total = servers_.size();
  for (Server* server = idle_.back(); server;) {
    Server* const at = server;
    server = nullptr;
    const Duration unused = now - at->idle_since();
    const bool extra = total > set.pool_size;
    const Duration limit = extra ? set.overflow_idle_timeout : set.server_idle_timeout;
    if (too_old(*at) || (limit > 0us && unused >= limit) || total > places()) {
      --total;
      at->close("nobody needs it");
      server = idle_.back();
    }
  }
  if (Server* server = idle_.back();
      server && context_.budgets.wants_check(*account_, context_.loop.now())) {
    server->in_idle.unlink();
    server->check_host();
  }
  // A pool that nobody uses is looked at when there is something to do, and costs nothing till
  // then.
  Duration next = std::min(kMaintainMost, context_.budgets.next_check(*account_, now));
  for (Server* server = idle_.front(); server; server = idle_.after(*server)) {
    const Duration limit =
        total > set.pool_size ? set.overflow_idle_timeout : set.server_idle_timeout;
    if (limit > 0us) next = std::min(next, server->idle_since() + limit - now);
    if (server->lifetime > 0us) next = std::min(next, server->born() + server->lifetime - now);
  }
  maintains_late_ = next > kMaintainEvery;
  if (!idle_.empty()) context_.loop.arm(maintain_timer_, std::max(next, kMaintainEvery));
}

}  // namespace pgw::server

#include "server/pool.h"

#include <algorithm>

#include "base/check.h"
#include "server/cancel.h"

namespace pgw::server {

namespace {
constexpr Duration kMaintainEvery = 500ms;
constexpr Duration kMaintainMost = 1min;
constexpr std::size_t kCustomSettingsMost = 200;
constexpr std::size_t kCustomNameMost = 128;
constexpr std::size_t kProfileBytesKept = 128 * 1024;
constexpr std::size_t kProfileCost = 256;  // of one, beside its key
}  // namespace

Pool::Pool(Context& context, config::SnapshotPtr snapshot, const config::Database& settings,
           std::string database, std::string user)
    : context_(context),
      snapshot_(std::move(snapshot)),
      database_settings_(&settings),
      database_(std::move(database)),
      user_(std::move(user)),
      head_timer_([](void* self) { static_cast<Pool*>(self)->arm_head(); }, this),
      connect_timer_([](void* self) { static_cast<Pool*>(self)->open_servers(); }, this),
      maintain_timer_([](void* self) { static_cast<Pool*>(self)->maintain(); }, this),
      suspicion_(context, *this) {
  suspicion_.configure();
  offer_credentials({.user = user_, .password = {}, .secret = {}, .keys = {}});
}

Pool::~Pool() = default;

void Pool::offer_credentials(const Credentials& credentials) {
  // What is known already is not forgotten for one that brings less (a trusted client after one
  // with a password).
  if (credentials.password || credentials.secret || credentials.keys || offered_.user.empty())
    offered_ = credentials;
  const auto& up = upstream();
  if (!up.user.empty() && (up.password || up.user != offered_.user)) {
    credentials_ = {.user = up.user, .password = up.password, .secret = {}, .keys = {}};
  } else if (up.password) {
    credentials_ = {.user = offered_.user, .password = up.password, .secret = {}, .keys = {}};
  } else {
    credentials_ = offered_;
  }
}

const auth::ScramKeys* Pool::derived(const auth::ScramChallenge& challenge) const {
  return derived_ && derived_->challenge == challenge ? &*derived_ : nullptr;
}

void Pool::configure(config::SnapshotPtr snapshot, const config::Database& settings) {
  const bool moved = !(settings.upstream == upstream());
  const config::SnapshotPtr old = std::exchange(snapshot_, std::move(snapshot));
  database_settings_ = &settings;
  suspicion_.configure();
  if (moved) {
    derived_.reset();
    // The clients that are there do not log in again: what they brought serves at the new place
    // too.
    offer_credentials(offered_);
    retire_all("its database leads elsewhere now");
  }
  if (listening_ && (moved || !may_share_listening()))
    listening_->end(Error(Code::shutdown, moved ? "its database leads elsewhere now"
                                                : "its pool has one server only now"));
  serve_waiters();
  maintain();
}

void Pool::retire_all(const char* why) {
  while (Server* server = idle_.pop_front()) server->close(why);
  for (auto& [server, owned] : servers_) server->lifetime = 1us;
  if (listening_) listening_->rest();
}

Listening& Pool::listening() {
  if (!listening_) listening_ = std::make_unique<Listening>(context_, *this);
  return *listening_;
}

void Pool::end_silent(Duration every, Duration limit) {
  std::vector<Server*> silent;
  for (auto& [server, owned] : servers_)
    if (server->silent_too_long(every, limit)) silent.push_back(server);
  for (Server* server : silent) server->host_is_gone(limit);
}

void Pool::shed_statements() {
  for (auto& [server, owned] : servers_) server->shed_statements();
}

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

void Pool::server_free(Server& server) {
  if (server.in_idle.linked()) server.in_idle.unlink();
  if (too_old(server)) return server.close("it is old");
  if (!server.may_be_lent())
    return;  // a cancel is under way; the server comes back when it is over
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
  while (opening_ < waiting_ && opening_ < set.connect_parallel && servers_.size() < places()) {
    if (now < no_connect_before_) {
      if (!connect_timer_.armed()) context_.loop.arm(connect_timer_, no_connect_before_ - now);
      return;
    }
    auto made = std::make_unique<Server>(context_, *this);
    Server& server = *made;
    server.overflow = servers_.size() >= set.pool_size + private_;
    server.lifetime = pool::jittered(set.pool_recycle, context_.random.share());
    if (server.overflow) context_.gauges.overflow.add(1);
    servers_.emplace(&server, std::move(made));
    ++opening_;
    server.connect();
  }
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
  server.connect_for(tenant, std::move(parameters));
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
  if (!waiters_.empty()) open_servers();
}

void Pool::refuse_waiters(const Error& why) {
  while (Tenant* tenant = waiters_.front()) {
    leave(*tenant);
    tenant->refused(why);
  }
}

void Pool::server_gone(Server& server) {
  bury(server);
  if (!waiters_.empty()) open_servers();
}

// The server may be what is running right now: it is destroyed a little later, but has no place
// here any more.
void Pool::bury(Server& server) {
  server.in_idle.unlink();
  if (server.overflow) context_.gauges.overflow.add(-1);
  if (server.is_private()) --private_;
  for (auto& [cancel, owned] : cancels_)
    if (cancel->server() == &server) cancel->forget_server();
  auto node = servers_.extract(&server);
  PGW_ASSERT(!node.empty());
  context_.graveyard.bury(std::move(node.mapped()));
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
  // A pool that nobody uses is looked at when there is something to do, and costs nothing till
  // then.
  Duration next = kMaintainMost;
  for (Server* server = idle_.front(); server; server = idle_.after(*server)) {
    const Duration limit =
        total > set.pool_size ? set.overflow_idle_timeout : set.server_idle_timeout;
    if (limit > 0us) next = std::min(next, server->idle_since() + limit - now);
    if (server->lifetime > 0us) next = std::min(next, server->born() + server->lifetime - now);
  }
  maintains_late_ = next > kMaintainEvery;
  if (!idle_.empty()) context_.loop.arm(maintain_timer_, std::max(next, kMaintainEvery));
}

Cancel* Pool::cancel(Server& server, const net::Address& address, std::uint32_t pid,
                     const std::string& key, Wish wish) {
  auto made =
      std::make_unique<Cancel>(context_, *this, &server, address, pid, key, std::move(wish));
  Cancel* const cancel = made.get();
  cancels_.emplace(cancel, std::move(made));
  return cancel;
}

void Pool::cancel_over(Cancel& cancel, bool reached, std::optional<Wish> next) {
  auto node = cancels_.extract(&cancel);
  Server* const server = cancel.server();
  context_.graveyard.bury(std::move(node.mapped()));
  if (server) server->cancel_ended(reached, std::move(next));
}

relay::ProfilePtr Pool::profile(relay::Settings settings) {
  std::string key;
  for (const auto& [name, value] : settings)
    key.append(name).append(1, '\0').append(value).append(1, '\0');
  if (const auto at = profiles_.find(key); at != profiles_.end())
    if (auto known = at->second.lock()) return known;
  profile_bytes_ += 2 * key.size() + kProfileCost;
  if (profile_bytes_ > sweep_at_) sweep_profiles();
  auto made = std::make_shared<relay::Profile>();
  made->safe = relay::all_safe(settings);
  made->short_of_time = relay::hasty(settings);
  const auto* path = relay::look_up(settings, "search_path");
  made->temporary = path && path->find("pg_temp") != std::string::npos;
  auto& scope = scopes_[relay::meaning_key(settings)];
  if (scope == 0) scope = context_.statements.fresh_scope();
  made->scope = scope;
  made->settings = std::move(settings);
  profiles_[key] = made;
  return made;
}

bool Pool::know_setting(const std::string& name) {
  const auto at = std::ranges::lower_bound(custom_settings_, name);
  if (at != custom_settings_.end() && *at == name) return true;
  if (custom_settings_.size() >= kCustomSettingsMost || name.size() > kCustomNameMost) return false;
  custom_settings_.insert(at, name);
  return true;
}

// Servers whose clients have waited for it may be asked what they hold.
void Pool::survey_over() {
  for (auto& [server, owned] : servers_) server->survey_over();
}

// Profiles that neither a client nor a server has any more are forgotten, and their scopes: clients
// choose their parameters, and can choose new ones with each login.
void Pool::sweep_profiles() {
  const auto scopes = std::exchange(scopes_, {});
  profile_bytes_ = 0;
  std::erase_if(profiles_, [&](const auto& one) {
    const auto profile = one.second.lock();
    if (!profile) return true;
    const auto meaning = relay::meaning_key(profile->settings);
    scopes_.insert_or_assign(meaning, scopes.at(meaning));
    profile_bytes_ += 2 * one.first.size() + kProfileCost;
    return false;
  });
  sweep_at_ = std::max(kProfileBytesKept, 2 * profile_bytes_);
}

void Pool::schema_changed() {
  scopes_.clear();
  for (auto& [key, weak] : profiles_) {
    const auto profile = weak.lock();
    if (!profile) continue;
    auto& scope = scopes_[relay::meaning_key(profile->settings)];
    if (scope == 0) scope = context_.statements.fresh_scope();
    profile->scope = scope;
  }
}

Pool::Counts Pool::counts() const {
  Counts out;
  out.servers = static_cast<unsigned>(servers_.size());
  for (const auto& [server, owned] : servers_) {
    out.leased += server->state() == Server::State::leased;
    out.overflow += server->overflow;
  }
  out.waiting = static_cast<unsigned>(waiting_);
  return out;
}

}  // namespace pgw::server

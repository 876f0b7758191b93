#include "server/pool.h"

#include <algorithm>

#include "server/cancel.h"

namespace pgw::server {

namespace {
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
      sessions_(context.apps.sessions_of(database_)),
      lift_timer_([](void* self) { static_cast<Pool*>(self)->serve_waiters(); }, this),
      connect_timer_([](void* self) { static_cast<Pool*>(self)->try_again(); }, this),
      maintain_timer_([](void* self) { static_cast<Pool*>(self)->maintain(); }, this),
      yield_timer_([](void* self) { static_cast<Pool*>(self)->yield_idle(); }, this),
      suspicion_(context, *this) {
  suspicion_.configure();
  queue_.set_patience(this->settings().background_patience);
  set_places();
  account_ = std::make_unique<Account>(context_.budgets, context_.loop, *this, alive_);
  settle_account();
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
  settle_account();
  if (moved) {
    derived_.reset();
    // The clients that are there do not log in again: what they brought serves at the new place
    // too.
    offer_credentials(offered_);
    retire_all("its database leads elsewhere now");
  }
  if (listening_ && (moved || !may_share_listening() || !listening_->may_stay()))
    listening_->end(Error(Code::shutdown, moved ? "its database leads elsewhere now"
                                                : "its pool has one server only now"));
  queue_.set_patience(settings.settings.background_patience);
  set_places();
  count_leases();
  serve_waiters();
  maintain();
}

Listening& Pool::listening() {
  if (!listening_) listening_ = std::make_unique<Listening>(context_, *this);
  return *listening_;
}

void Pool::shed_statements() {
  for (auto& [server, owned] : servers_) server->shed_statements();
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
  out.waiting = static_cast<unsigned>(queue_.waiting());
  return out;
}

}  // namespace pgw::server

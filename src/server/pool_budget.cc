// What a pool does about the limits that it shares with others: asks for places before it opens
// servers, gives idle ones and those of a lease that ends to whoever goes short, and says what is
// full.
#include <algorithm>
#include <map>

#include "base/excerpt.h"
#include "server/pool.h"

namespace pgw::server {

namespace {

constexpr Duration kRefreshEvery = 10ms;  // of a claim that waits
constexpr Duration kJudgeEvery = 1ms;     // of servers that clients of this pool wait for
constexpr std::size_t kSmallPool = 5;
constexpr std::size_t kNameMost = 130;  // bytes of a holder's

using Kind = pool::Level::Kind;

std::string holders_text(const std::vector<std::pair<std::string, unsigned>>& holders) {
  std::string out;
  for (const auto& [name, places] : holders)
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", excerpt(name, kNameMost), places);
  return out;
}

std::string_view section_of(Kind kind) {
  return kind == Kind::host ? "hosts" : kind == Kind::user ? "users" : "databases";
}

}  // namespace

// Where the pool leads now. Who waits for a place waits for one there.
void Pool::settle_account() {
  const Time now = context_.loop.now();
  need_no_place();
  account_->settle(host(), database_, user_, static_cast<unsigned>(most()));
  for (auto& [server, owned] : servers_)
    if (server->wants_place()) {
      server->seat.drop();
      if (server->seat.ask(*account_, {.waits_since = server->born()}, true, now))
        server->take_place();
    }
}

// Whether one more server may be opened now. Else the pool has left its name: budget_news()
// follows.
bool Pool::take_place() {
  const Time now = context_.loop.now();
  const auto claim = best_claim();
  if (!claim) {
    need_no_place();
    return false;
  }
  if (wish_.empty()) {
    if (wish_.ask(*account_, *claim, false, now)) return true;
  } else {
    if (wish_.granted()) return true;
    wish_.refresh(*claim);
  }
  refreshed_ = now;
  const Duration again = context_.budgets.probe(*account_, now);
  if (again > 0us && !connect_timer_.armed()) context_.loop.arm(connect_timer_, again);
  serve_later();
  return false;
}

void Pool::need_no_place() {
  if (!wish_.empty()) wish_.drop();
}

// It has just been tried: at this instant nothing is to be done.
bool Pool::waits_for_place() const {
  return !wish_.empty() && context_.loop.now() < refreshed_ + kRefreshEvery;
}

void Pool::try_again() {
  refreshed_ = {};
  if (queue_.empty()) return need_no_place();
  open_servers();
}

void Pool::budget_news() {
  if (private_ > 0)
    for (auto& [server, owned] : servers_)
      if (server->wants_place()) server->take_place();
  if (listening_ && !listening_->may_stay())
    listening_->end(Error(Code::too_many_connections,
                          "it had the last connection that PostgreSQL gives, and others wait"));
  yield_idle();
  try_again();
}

// A lease has ended and somebody goes short. True: the server is closed for them.
bool Pool::gives_way(Server& server) {
  const Time now = context_.loop.now();
  const auto own = best_claim();
  if (own && now < judged_ + kJudgeEvery) return false;
  judged_ = now;
  if (!own) need_no_place();
  const auto verdict = server.seat.judge(own ? &*own : nullptr, now);
  if (verdict == Seat::Verdict::go) {
    server.close("another pool needs its place");
    return true;
  }
  if (verdict == Seat::Verdict::go_later && !own && !yield_timer_.armed())
    context_.loop.arm(yield_timer_, server.seat.ripe_in(now));
  return false;
}

void Pool::yield_idle() {
  const Time now = context_.loop.now();
  while (Server* server = idle_.back()) {
    if (!account_->pressed_now()) return;
    const auto verdict = server->seat.judge(nullptr, now);
    if (verdict == Seat::Verdict::stay) return;
    if (verdict == Seat::Verdict::go_later)
      return context_.loop.arm(yield_timer_, server->seat.ripe_in(now));
    server->close("another pool needs its place");
  }
}

void Pool::private_timed_out(Server& server) {
  Tenant* const tenant = server.private_tenant();
  if (!tenant) return bury(server);
  const auto error = full_error(server.seat, *tenant);
  bury(server);
  tenant->refused(error.value_or(
      Error(Code::too_many_connections, "no server connection for replication in time")));
}

std::optional<Error> Pool::full_error(const Seat& seat, const Tenant& tenant) const {
  const auto full = seat.full();
  if (!full) return {};
  const auto waited =
      std::chrono::duration_cast<std::chrono::milliseconds>(tenant.party->timeout).count();
  const auto start =
      fmt::format("no server connection for {} within {} ms: ", whose(*tenant.party), waited);
  const auto who = holders_text(full->top);
  if (full->limit == pool::Level::kNoLimit)
    return Error(Code::too_many_connections,
                 fmt::format("{}PostgreSQL at {} takes no more connections, {} are in use here{}, "
                             "{} waiting",
                             start, full->name, full->used,
                             who.empty() ? "" : fmt::format(" ({})", who), queue_.waiting()))
        .with_hint(fmt::format(
            "Others use the rest of PostgreSQL's own max_connections: raise it there, or set "
            "max_connections in {} to what they leave.",
            config::section_text("hosts", full->name)));
  const auto early =
      full->early > 0
          ? fmt::format(" and {} kept for servers that wait for a place at another limit",
                        full->early)
          : "";
  return Error(Code::too_many_connections,
               fmt::format("{}{} \"{}\" is full, {} of {} in use{} ({}), {} waiting", start,
                           full->kind == Kind::host   ? "host"
                           : full->kind == Kind::user ? "user"
                                                      : "database",
                           full->name, full->used, full->limit - full->reserved, early, who,
                           queue_.waiting()))
      .with_hint(fmt::format(
          "Raise max_connections ({}{}) in {}, or pool_timeout; or look for transactions "
          "that stay open in the pools that hold most.",
          full->limit,
          full->kind == Kind::host ? fmt::format(", of which reserve keeps {}", full->reserved)
                                   : "",
          config::section_text(section_of(full->kind), full->name)));
}

// --- thresholds ---

bool Pool::nearly_full() const {
  const std::size_t servers = servers_.size() - private_;
  if (most() < kSmallPool) return servers >= most() && queue_.waiting() > opening_;
  return servers * 100 > most() * settings().pool_warning;
}

void Pool::warn_if_full() {
  if (!nearly_full() || std::exchange(nearly_full_, true)) return;
  const auto left_out = full_told_.pass(context_.loop.now());
  if (!left_out) return;
  std::map<std::string, unsigned> apps;
  for (const auto& [server, owned] : servers_)
    if (server->tenant()) ++apps[std::string(server->tenant()->about().app)];
  std::vector<std::pair<std::string, unsigned>> top(apps.begin(), apps.end());
  std::ranges::sort(top, [](const auto& a, const auto& b) { return a.second > b.second; });
  top.resize(std::min<std::size_t>(top.size(), 3));
  for (auto& [app, count] : top)
    if (app.empty()) app = "(no application_name)";
  log(Level::warning, about(), "the pool is above {} %: {} of {} servers, {} waiting{}{}",
      settings().pool_warning, servers_.size() - private_, most(), queue_.waiting(),
      top.empty() ? "" : fmt::format(" ({})", holders_text(top)), more_text(*left_out));
}

}  // namespace pgw::server

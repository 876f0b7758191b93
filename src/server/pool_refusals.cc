// What clients are told that wait for a server, or get none.
#include <algorithm>
#include <vector>

#include "base/excerpt.h"
#include "server/pool.h"

namespace pgw::server {

namespace {

constexpr std::size_t kHoldersMost = 3;
constexpr std::size_t kNameMost = 63;  // bytes

std::string app_name(const Party& party) {
  return party.app->name.empty() ? "(no name)" : excerpt(party.app->name, kNameMost);
}

auto milliseconds(Duration span) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
}

constexpr std::string_view kLookFor =
    "look for transactions that stay open and for clients that keep a server (LISTEN, temporary "
    "tables, advisory locks: \"its server stays with it\" in the log)";

}  // namespace

// " (api 9, worker 6)": the apps that hold most; or nothing.
std::string Pool::holders() const {
  std::vector<const Party*> all;
  for (const auto& [app, party] : parties_)
    if (party->leased > 0) all.push_back(party.get());
  const auto shown = all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), kHoldersMost));
  std::ranges::partial_sort(all, shown, [](const Party* a, const Party* b) {
    return a->leased != b->leased ? a->leased > b->leased : a->app->name < b->app->name;
  });
  std::string out;
  for (auto one = all.begin(); one != shown; ++one)
    out += fmt::format("{}{} {}", out.empty() ? " (" : ", ", app_name(**one), (*one)->leased);
  if (shown != all.end()) out += ", ...";
  return out.empty() ? out : out + ")";
}

std::string Pool::whose(const Party& party) const {
  return fmt::format("database \"{}\", user \"{}\"{}", database_, user_,
                     party.app->name.empty() ? "" : fmt::format(", app \"{}\"", app_name(party)));
}

std::string Pool::database_section() const {
  return config::section_text("databases", database_settings_->name);
}

Error Pool::timed_out_error(Tenant& tenant) const {
  const auto& set = settings();
  Party& party = *tenant.party;
  const Lane& lane = party.lane_of(tenant);
  const auto waited = milliseconds(party.timeout);
  if (last_failure_ && queue_.leased() + unshared_ == 0) {
    const Code code = last_failure_->state() == sqlstate(Code::too_many_connections)
                          ? Code::too_many_connections
                      : last_failure_->code() == Code::cannot_connect ? Code::cannot_connect
                                                                      : Code::connection;
    return Error(code,
                 fmt::format("no connection to PostgreSQL for database \"{}\" within {} ms: {}",
                             database_, waited, last_failure_->what()))
        .with_hint(
            "PostgreSQL is down or refuses connections; how long clients wait for it is "
            "pool_timeout.");
  }
  const std::string front =
      fmt::format("no server connection for {} within {} ms", whose(party), waited);
  if (lane.blocked_by_app()) {
    const Allowance& budget = *party.app->servers;
    const std::string section = snapshot_->app_section(party.app->name);
    return Error(Code::too_many_connections,
                 fmt::format("{}: the app holds {} of the {} servers that it may hold, {} of its "
                             "clients wait here",
                             front, budget.taken(), budget.most(), party.waiting()))
        .with_hint(fmt::format("Raise pool_size or max_overflow in {}, or pool_timeout; or {}.",
                               section, kLookFor));
  }
  if (lane.blocked_by_sessions())
    return Error(
               Code::too_many_connections,
               fmt::format("{}: sessions hold {} of the {} servers that they may hold, {} waiting",
                           front, sessions_->taken(), sessions_->most(), queue_.waiting()))
        .with_hint(fmt::format(
            "Raise session_connections in {}, or pool_timeout; or set session_lend there, or use "
            "the transaction port, so that clients hold a server in transactions only.",
            database_section()));
  if (auto full = full_error(wish_, tenant)) return *full;
  const std::size_t used = queue_.leased() + unshared_;
  const std::size_t kept = used < most() && queue_.room() == 0 ? most() - used : 0;
  return Error(Code::too_many_connections,
               fmt::format("{}: {} of {} in use{}{}, {} waiting", front, used, most(), holders(),
                           kept > 0 ? fmt::format(", {} kept for the min of other apps", kept) : "",
                           queue_.waiting()))
      .with_hint(
          fmt::format("Raise pool_size ({}) or max_overflow ({}) in {}, or pool_timeout; {}or {}.",
                      set.pool_size, set.max_overflow, database_section(),
                      kept > 0 ? "or lower min in [apps.NAME]; " : "", kLookFor));
}

Error Pool::too_many_waiting(const Party& party, bool of_app) const {
  const std::string in_use =
      fmt::format("{} of {} in use{}", queue_.leased() + unshared_, most(), holders());
  if (of_app)
    return Error(Code::too_many_connections,
                 fmt::format("no server connection for {}: {} of the app's clients wait already, "
                             "and the limit is {}; {}",
                             whose(party), party.waiting(), party.most_waiting, in_use))
        .with_hint(fmt::format("The limit is max_waiting in {}.",
                               snapshot_->app_section(party.app->name)));
  return Error(Code::too_many_connections,
               fmt::format("no server connection for {}: {} clients wait already, and the limit is "
                           "{}; {}",
                           whose(party), queue_.waiting(), settings().max_waiting, in_use))
      .with_hint(fmt::format("The limit is max_waiting in {}.", database_section()));
}

// To the first that was not told yet.
std::string Pool::wait_text(const Lane& lane) const {
  const Party& party = lane.party;
  return fmt::format("waiting for a server connection: position {} of {} of {}; {} of {} in use{}",
                     lane.told + 1, lane.line.count,
                     party.app->name.empty() ? "those without an app's name"
                                             : fmt::format("app \"{}\"", party.app->name),
                     queue_.leased() + unshared_, most(), holders());
}

}  // namespace pgw::server

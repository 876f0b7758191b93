#include "config/snapshot.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/address.h"

namespace pgw::config {
namespace {

// The entry of this name, else the wildcard, else null.
template <class Map>
auto find_entry(Map& map, std::string_view name) {
  auto found = map.find(name);
  return found == map.end() ? map.find("*") : found;
}
template <class Map>
auto* find_or_any(Map& map, std::string_view name) {
  const auto found = find_entry(map, name);
  return found == map.end() ? nullptr : &found->second;
}

}  // namespace

std::string_view text(Mode mode) { return mode == Mode::session ? "session" : "transaction"; }

std::string_view text(Loop loop) {
  switch (loop) {
    case Loop::automatic:
      return "auto";
    case Loop::io_uring:
      return "io_uring";
    case Loop::epoll:
      return "epoll";
  }
  return {};
}

std::string_view text(AuthMethod method) {
  switch (method) {
    case AuthMethod::trust:
      return "trust";
    case AuthMethod::password:
      return "password";
    case AuthMethod::md5:
      return "md5";
    case AuthMethod::scram_sha_256:
      return "scram-sha-256";
  }
  return {};
}

std::vector<Listen> default_listeners() {
  return {{"127.0.0.1:5432", Mode::session}, {"127.0.0.1:6543", Mode::transaction}};
}

const Database* Snapshot::find(std::string_view name) const { return find_or_any(databases, name); }

void Overlay::apply(Settings& to) const {
  for (const Row* row : given)
    if ((row->scopes & EACH) == 0) copy(*row, values, to);
}

bool Overlay::gives(std::string_view name) const {
  return std::ranges::find(given, name, &Row::name) != given.end();
}

Settings Snapshot::host_settings(std::string_view place) const {
  Settings out = settings;
  if (const Overlay* own = find_or_any(hosts, place)) own->apply(out);
  return out;
}

Count Snapshot::user_connections(std::string_view user) const {
  const Overlay* own = find_or_any(users, user);
  return own ? own->values.max_connections : 0;
}

std::string place_of(const Upstream& upstream) {
  const bool v6 = upstream.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", upstream.host, v6 ? "]" : "", upstream.port);
}

Settings Snapshot::settings_for(const Database& database, std::string_view user,
                                std::string_view app) const {
  Settings out = database.settings;
  if (const Overlay* own = find_or_any(users, user)) own->apply(out);
  if (const Overlay* own = find_or_any(apps, app)) own->apply(out);
  return out;
}

std::string Snapshot::app_of(std::string_view database, std::string_view user,
                             std::string_view listener, std::string_view application_name) const {
  static constexpr std::size_t kMost = 63;  // bytes, as PostgreSQL keeps of an application_name
  std::string_view out = listener.empty() ? application_name : listener;
  if (const Database* found = find(database); found && !found->settings.app.empty())
    out = found->settings.app;
  if (const Overlay* own = find_or_any(users, user); own && !own->values.app.empty())
    out = own->values.app;
  return std::string(out.substr(0, kMost));
}

AppTerms Snapshot::terms_of(std::string_view app) const {
  AppTerms out;
  const Overlay* const own = find_or_any(apps, app);
  if (!own) return out;
  if (own->gives("pool_size")) out.servers = own->values.pool_size + own->values.max_overflow;
  if (own->gives("max_clients")) out.clients = own->values.max_clients;
  out.waiting = own->values.max_waiting;
  out.min = own->values.min;
  out.weight = own->values.weight;
  out.background = own->values.priority == "background";
  return out;
}

std::optional<Count> Snapshot::max_clients_of(std::string_view user) const {
  const Overlay* const own = find_or_any(users, user);
  if (!own || !own->gives("max_clients")) return {};
  return own->values.max_clients;
}

std::string section_text(std::string_view kind, std::string_view name) {
  const bool bare = !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
  return bare ? fmt::format("[{}.{}]", kind, name) : fmt::format("[{}.\"{}\"]", kind, name);
}

std::string Snapshot::app_section(std::string_view app) const {
  return section_text("apps", !apps.contains(app) && apps.contains("*") ? "*" : app);
}

std::string Snapshot::user_section(std::string_view user) const {
  return section_text("users", !users.contains(user) && users.contains("*") ? "*" : user);
}

namespace {

// What apps are promised, held against what there is.
void warn_of_apps(const Snapshot& snapshot, std::vector<std::string>& out) {
  std::uint64_t kept = 0;
  for (const auto& [name, overlay] : snapshot.apps) {
    const AppTerms terms = snapshot.terms_of(name);
    kept += terms.min;
    if (terms.servers && terms.min > *terms.servers)
      out.push_back(fmt::format("{}: min is {}, and the app may hold {} servers only",
                                section_text("apps", name), terms.min, *terms.servers));
  }
  for (const auto& [name, database] : snapshot.databases) {
    const auto places = std::uint64_t{database.settings.pool_size} + database.settings.max_overflow;
    if (kept >= places)
      out.push_back(
          fmt::format("database \"{}\": the apps' min are {} servers together, and a pool there "
                      "has {}: not all "
                      "of it can be kept",
                      name, kept, places));
  }
}

}  // namespace

std::string Snapshot::source_of(std::string_view setting, const Database& database,
                                std::string_view user, std::string_view app) const {
  const Row* row = find_row(setting);
  const auto given = [&](const Overlays& sections, std::string_view name) {
    const auto found = find_entry(sections, name);
    if (found == sections.end()) return sections.end();
    const auto& rows = found->second.given;
    return std::ranges::find(rows, row) == rows.end() ? sections.end() : found;
  };
  if (const auto found = given(apps, app); found != apps.end())
    return section_text("apps", found->first);
  if (const auto found = given(users, user); found != users.end())
    return section_text("users", found->first);
  if (row && !same(*row, database.settings, settings))
    return section_text("databases", database.name);
  return "the top of the file";
}

// A url that leads to pgweir itself: PostgreSQL's usual port is the usual session port, too.
static void warn_of_loops(const Snapshot& snapshot, std::vector<std::string>& out) {
  for (const auto& [name, database] : snapshot.databases) {
    const Upstream& up = database.upstream;
    if (up.host != "localhost" && up.host != "127.0.0.1" && up.host != "::1") continue;
    for (const Listen& listen : snapshot.listen)
      if (listen.address.ends_with(fmt::format(":{}", up.port)))
        out.push_back(
            fmt::format("database \"{}\": its url leads to {}, where pgweir itself listens ({})",
                        name, place_of(up), listen.address));
  }
}

std::vector<std::string> warnings(const Snapshot& snapshot) {
  std::vector<std::string> out;
  if (snapshot.auth.method == AuthMethod::trust) {
    for (const Listen& listen : snapshot.listen)
      if (!is_local(listen.address))
        out.push_back(fmt::format(
            "{} is open to the network and auth.method is trust: whoever reaches it is let in",
            listen.address));
    for (const auto& [name, database] : snapshot.databases)
      if (database.upstream.host.starts_with('/'))
        out.push_back(
            fmt::format("database \"{}\" is reached by a Unix socket and auth.method is trust: if "
                        "PostgreSQL uses "
                        "peer authentication there, clients have the rights of pgweir's own user",
                        name));
  }
  for (const auto& [name, database] : snapshot.databases)
    if (database.settings.connect_backoff > database.settings.connect_backoff_max)
      out.push_back(
          fmt::format("database \"{}\": connect_backoff is above connect_backoff_max", name));
  warn_of_apps(snapshot, out);
  warn_of_loops(snapshot, out);
  for (const auto& [place, overlay] : snapshot.hosts) {
    if (place == "*") continue;
    const bool used = std::ranges::any_of(snapshot.databases, [&](const auto& one) {
      return place_of(one.second.upstream) == place;
    });
    if (!used)
      out.push_back(
          fmt::format("[hosts.\"{}\"]: no database's url leads there; hosts are told "
                      "apart by their name and port in the urls",
                      place));
  }
  return out;
}

}  // namespace pgw::config

#include "config/snapshot.h"

#include <fmt/format.h>

#include "config/address.h"

namespace pgw::config {
namespace {

// The entry of this name, else the wildcard, else null.
template <class Map>
auto* find_or_any(Map& map, std::string_view name) {
  auto found = map.find(name);
  if (found == map.end()) found = map.find("*");
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
  for (const Row* row : given) copy(*row, values, to);
}

Settings Snapshot::settings_for(const Database& database, std::string_view user,
                                std::string_view app) const {
  Settings out = database.settings;
  if (const Overlay* own = find_or_any(users, user)) own->apply(out);
  if (const Overlay* own = find_or_any(apps, app)) own->apply(out);
  return out;
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
  return out;
}

}  // namespace pgw::config

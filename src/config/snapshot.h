// The whole configuration as one immutable value; a reload makes a new one. Thread: any (shared_ptr
// to const).
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/settings.h"

namespace pgw::config {

enum class Mode : std::uint8_t { session, transaction };
enum class Loop : std::uint8_t { automatic, io_uring, epoll };
enum class AuthMethod : std::uint8_t { trust, password, md5, scram_sha_256 };

// Each as a file spells it: "session", "auto", "scram-sha-256".
std::string_view text(Mode mode);
std::string_view text(Loop loop);
std::string_view text(AuthMethod method);

struct Listen {
  std::string address;  // "127.0.0.1:5432", "[::1]:5432", "*:5432", "/run/pgweir/.s.PGSQL.5432"
  Mode mode = Mode::session;
  std::string app{};  // that its clients belong to; empty: they say so themselves
  bool operator==(const Listen&) const = default;
};

// Only this machine can reach the default listeners: without an [auth] section anybody who connects
// is let in, and that must not become true of a whole network by leaving something out. A container
// that serves others says address = "*:5432".
std::vector<Listen> default_listeners();

// Where a database name leads. An empty dbname, user or password means: the client's own.
struct Upstream {
  std::string host = "localhost";  // a name, a numeric address, or the folder of a Unix socket
  std::uint16_t port = 5432;
  std::string dbname;
  std::string user;
  std::optional<std::string> password;
  std::vector<std::pair<std::string, std::string>> parameters;  // start-up parameters for servers
  bool operator==(const Upstream&) const = default;
};

struct Database {
  std::string name;  // "*" for the wildcard
  Upstream upstream;
  Settings settings;  // global ones with this database's own on top
  bool operator==(const Database&) const = default;
};

// What a section gives of its own, to be put on top of other settings: [users.NAME], [apps.NAME].
struct Overlay {
  Settings values;
  std::vector<const Row*> given;  // of rows(); the other values mean nothing
  // But for limits that each level has by itself (EACH).
  void apply(Settings& to) const;
  bool gives(std::string_view name) const;
};
using Overlays = std::map<std::string, Overlay, std::less<>>;

// What an app's section limits and promises.
struct AppTerms {
  std::optional<Count> servers;  // pool_size and max_overflow; over all pools
  std::optional<Count> clients;
  Count waiting = 0;  // in one pool; 0: no limit
  Count min = 0;
  Count weight = 1;
  bool background = false;
  bool operator==(const AppTerms&) const = default;
};

struct Auth {
  AuthMethod method = AuthMethod::trust;
  std::string file;  // relative ones are already joined to the configuration file's folder
  // Users and their secrets (plain, or as in the file), besides those of the file.
  std::vector<std::pair<std::string, std::string>> users;
  bool operator==(const Auth&) const = default;
};

struct Snapshot {
  Settings settings;
  Loop loop = Loop::automatic;  // settings.loop, as a value
  std::vector<Listen> listen;
  Auth auth;
  std::map<std::string, Database, std::less<>> databases;
  Overlays users;  // by name; "*" is for every other one
  Overlays apps;   // by application_name; "": those without
  Overlays hosts;  // by place_of(): "db.example:5432"
  // The database of this name, else the wildcard, else null.
  const Database* find(std::string_view name) const;
  // What holds for the PostgreSQL at this place.
  Settings host_settings(std::string_view place) const;
  // The max_connections of this user; 0: none.
  Count user_connections(std::string_view user) const;
  // What holds for this app of this user there: the app's settings, then the user's, then the
  // database's own, then the global ones. Copies: for logins and reloads.
  Settings settings_for(const Database& database, std::string_view user,
                        std::string_view app) const;
  // The app of a client: what the user's section says, else the database's, else the listener's,
  // else its application_name.
  std::string app_of(std::string_view database, std::string_view user, std::string_view listener,
                     std::string_view application_name) const;
  AppTerms terms_of(std::string_view app) const;
  // Of a user's clients.
  std::optional<Count> max_clients_of(std::string_view user) const;
  // The section that holds for it, to be named to people: [apps.worker], [apps."*"]. If there is
  // none, the one to write.
  std::string app_section(std::string_view app) const;
  std::string user_section(std::string_view user) const;
  // Where the value of this setting comes from there, for people: "[apps.web]", "the top of the
  // file". A value that a database repeats is the top's.
  std::string source_of(std::string_view setting, const Database& database, std::string_view user,
                        std::string_view app) const;
};

// A section of the file: [databases.shop], [databases."*"].
std::string section_text(std::string_view kind, std::string_view name);

using SnapshotPtr = std::shared_ptr<const Snapshot>;

// Host and port, as [hosts."db.example:5432"] has them; of a Unix socket its folder and port.
std::string place_of(const Upstream& upstream);

// What is allowed but worth a line in the log at start and after a reload.
std::vector<std::string> warnings(const Snapshot& snapshot);

}  // namespace pgw::config

#include "config/names.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "base/bytes.h"

namespace pgw::config {
namespace {

constexpr auto kKeys = std::to_array<Key>({
    {"listen", "address", "an address", "required", OnReload::restart,
     "Where clients connect: \"127.0.0.1:5432\", \"[::1]:5432\", \"*:5432\" (all of IPv4) or the "
     "path "
     "of a Unix socket."},
    {"listen", "mode", "session or transaction", "required", OnReload::restart,
     "How long a client keeps a server: until it leaves, or until its transaction ends."},
    {"listen", "app", "text", "none", OnReload::restart,
     "The app that clients of this listener belong to, unless app in [users.NAME] or "
     "[databases.NAME] says another. Without one it is their application_name."},
    {"auth", "method", "trust, password, md5 or scram-sha-256", "trust", OnReload::live,
     "How clients prove who they are. trust: they do not have to."},
    {"auth", "file", "a path", "none", OnReload::live,
     "Users and their secrets (plain, md5 or SCRAM-SHA-256) in the format of PgBouncer's "
     "userlist.txt. Needed by every method but trust. A relative path starts at the folder of the "
     "configuration file."},
    {"databases", "url", "a connection URL", "required", OnReload::live,
     "Where the name leads, as libpq reads it: postgresql://user:password@host:port/dbname. Left "
     "out: user and password are the client's own, dbname is the name it asked for, port is 5432."},
});

struct Elsewhere {
  std::string_view theirs;
  std::string_view ours;
};

// Names that people bring along from pgbouncer.ini and from SQLAlchemy's create_engine().
constexpr auto kElsewhere = std::to_array<Elsewhere>({
    {"auth_file", "file in [auth]"},
    {"auth_type", "method in [auth]"},
    {"client_login_timeout", "login_timeout"},
    {"default_pool_size", "pool_size"},
    {"idle_in_transaction_session_timeout", "idle_in_transaction_timeout"},
    {"idle_transaction_timeout", "idle_in_transaction_timeout"},
    {"listen_addr", "address in [[listen]]"},
    {"listen_port", "address in [[listen]]"},
    {"loglevel", "log_level"},
    {"max_client_conn", "max_clients"},
    {"max_packet_size", "max_message"},
    {"max_prepared_statements", "server_statements"},
    {"pool_mode", "mode in [[listen]]"},
    {"query_wait_timeout", "pool_timeout"},
    {"reserve_pool_size", "max_overflow"},
    {"server_connect_timeout", "connect_timeout"},
    {"server_lifetime", "pool_recycle"},
    {"server_login_retry", "connect_backoff"},
    {"statement_timeout", "query_timeout"},
});

// Insertions, deletions, changes and swaps of neighbours that lead from one to the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> older(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, changed});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        now[j] = std::min(now[j], older[j - 2] + 1);
    }
    std::swap(older, last);
    std::swap(last, now);
  }
  return last[b.size()];
}

}  // namespace

std::span<const Key> keys() { return kKeys; }

std::string_view nearest(std::string_view wrong, std::span<const std::string_view> known) {
  // Longer than any name: not a slip of the finger, and the distance would take its time.
  if (wrong.size() > 64) return {};
  std::string folded = lowered(wrong);
  std::ranges::replace(folded, '-', '_');
  std::string_view best;
  std::size_t least = std::max<std::size_t>(1, folded.size() / 3) + 1;
  for (const std::string_view name : known) {
    std::string plain(name);
    std::ranges::replace(plain, '-', '_');
    const std::size_t away = distance(folded, plain);
    if (away < least) {
      least = away;
      best = name;
    }
  }
  return best;
}

std::string_view known_elsewhere(std::string_view name) {
  const auto* found = std::ranges::find(kElsewhere, name, &Elsewhere::theirs);
  return found == kElsewhere.end() ? std::string_view{} : found->ours;
}

std::vector<std::string_view> split_words(std::string_view words) {
  std::vector<std::string_view> out;
  while (!words.empty()) {
    const auto bar = words.find('|');
    out.push_back(words.substr(0, bar));
    words.remove_prefix(bar == words.npos ? words.size() : bar + 1);
  }
  return out;
}

std::string one_of(std::span<const std::string_view> words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

}  // namespace pgw::config

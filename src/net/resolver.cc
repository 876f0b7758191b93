// Names to addresses by getaddrinfo on the offload's threads: it knows /etc/hosts, nsswitch and
// search domains as every other program on the machine does. Questions for a name that is being
// asked share its answer.
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <optional>

#include "net/loop.h"
#include "net/sockets.h"

namespace pgw::net {
namespace {

using Steady = std::chrono::steady_clock;
constexpr auto kKeepAnswer = 15s;
constexpr auto kKeepFailure = 2s;
constexpr std::size_t kNamesMax = 1024;

struct Waiting {
  Loop* home;
  std::uint16_t port;
  Resolver::Answer done;
};

struct Name {
  bool asking = false;
  Steady::time_point good_until{};
  Result<std::vector<Address>> addresses = std::vector<Address>();
  std::vector<Waiting> waiting;
};

// Shared with lookups under way, which may outlive the resolver.
struct Names {
  std::mutex mutex;
  std::map<std::string, Name> by_host;
};

Result<std::vector<Address>> with_port(const Result<std::vector<Address>>& known,
                                       std::uint16_t port) {
  Result<std::vector<Address>> answer = known;
  if (answer)
    for (Address& address : *answer) address.port = port;
  return answer;
}

void post_answer(Loop& home, Resolver::Answer done, Result<std::vector<Address>> answer) {
  home.post(
      [done = std::move(done), answer = std::move(answer)]() mutable { done(std::move(answer)); });
}

// As libpq has it: a directory holds the socket ".s.PGSQL.<port>". A path that names such a file is
// that file.
std::string socket_path(const std::string& path, std::uint16_t port) {
  if (path.substr(path.rfind('/') + 1).starts_with(".s.PGSQL.")) return path;
  return fmt::format("{}{}.s.PGSQL.{}", path, path.ends_with('/') ? "" : "/", port);
}

std::optional<Address> without_asking(const std::string& host, std::uint16_t port) {
  if (host.starts_with('/')) return Address{Address::Kind::unix_path, socket_path(host, port), 0};
  in6_addr ignored;
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string bare = bracketed ? host.substr(1, host.size() - 2) : host;
  if (inet_pton(AF_INET6, bare.c_str(), &ignored) == 1)
    return Address{Address::Kind::ipv6, bare, port};
  if (inet_pton(AF_INET, host.c_str(), &ignored) == 1)
    return Address{Address::Kind::ipv4, host, port};
  return std::nullopt;
}

Result<std::vector<Address>> ask_system(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0)
    return fail(Code::connection, "cannot resolve \"{}\": {}", host,
                error == EAI_SYSTEM ? errno_text(errno) : std::string(gai_strerror(error)));
  std::vector<Address> addresses;
  for (const addrinfo* one = found; one; one = one->ai_next) {
    char text[INET6_ADDRSTRLEN] = "";
    const bool v6 = one->ai_family == AF_INET6;
    if (!v6 && one->ai_family != AF_INET) continue;
    const void* ip =
        v6 ? static_cast<const void*>(&reinterpret_cast<sockaddr_in6*>(one->ai_addr)->sin6_addr)
           : static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(one->ai_addr)->sin_addr);
    inet_ntop(one->ai_family, ip, text, sizeof text);
    addresses.push_back({v6 ? Address::Kind::ipv6 : Address::Kind::ipv4, text, 0});
  }
  freeaddrinfo(found);
  if (addresses.empty()) return fail(Code::connection, "\"{}\" has no address", host);
  return addresses;
}

void look_up(Names& names, const std::string& host) {
  auto addresses = ask_system(host);
  std::vector<Waiting> waiting;
  {
    const std::scoped_lock lock(names.mutex);
    Name& name = names.by_host[host];
    name.asking = false;
    name.good_until = Steady::now() + (addresses ? Steady::duration(kKeepAnswer) : kKeepFailure);
    name.addresses = addresses;
    waiting = std::move(name.waiting);
    name.waiting.clear();
  }
  for (Waiting& one : waiting)
    post_answer(*one.home, std::move(one.done), with_port(addresses, one.port));
}

class SystemResolver final : public Resolver {
 public:
  explicit SystemResolver(Offload& offload) : offload_(offload) {}

  void resolve(Loop& home, const std::string& host, std::uint16_t port, Answer done) override {
    if (const auto address = without_asking(host, port))
      return post_answer(home, std::move(done), std::vector<Address>{*address});
    {
      const std::scoped_lock lock(names_->mutex);
      forget_old();
      Name& name = names_->by_host[host];
      if (!name.asking && Steady::now() < name.good_until)
        return post_answer(home, std::move(done), with_port(name.addresses, port));
      name.waiting.push_back({&home, port, std::move(done)});
      if (std::exchange(name.asking, true)) return;
    }
    offload_.submit(home, [names = names_, host] { look_up(*names, host); }, [] {});
  }

 private:
  // Names come from the configuration, so there are few; this is for clients that may choose them.
  void forget_old() {
    if (names_->by_host.size() < kNamesMax) return;
    const auto now = Steady::now();
    std::erase_if(names_->by_host, [now](const auto& entry) {
      return !entry.second.asking && entry.second.good_until < now;
    });
  }

  Offload& offload_;
  std::shared_ptr<Names> names_ = std::make_shared<Names>();
};

}  // namespace

std::unique_ptr<Resolver> make_resolver(Offload& offload) {
  return std::make_unique<SystemResolver>(offload);
}

}  // namespace pgw::net

#include "daemon/process.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/rand.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <limits>
#include <map>
#include <mutex>
#include <thread>

#include "client/pooler.h"
#include "config/reload.h"
#include "daemon/logs.h"
#include "http/health.h"
#include "http/server.h"
#include "net/sockets.h"

namespace pgw::daemon {
namespace {

constexpr rlim_t kFilesWanted = 1'048'576;
constexpr unsigned kFilesForOthers = 64;  // logs, loops, HTTP

void fill_random(void*, char* out, std::size_t bytes) {
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out), static_cast<int>(bytes)) != 1) std::abort();
}

// Raises the limit of open files as far as allowed, and says how many clients that makes possible.
// Returns below which descriptor clients are accepted: the rest are for servers.
int raise_file_limit(const config::Snapshot& snapshot) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::numeric_limits<int>::max();
  const rlim_t had = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? kFilesWanted : limit.rlim_max;
  if (limit.rlim_cur > had && setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = had;
  rlim_t servers = 0;
  for (const auto& [name, database] : snapshot.databases)
    servers += database.settings.pool_size + database.settings.max_overflow;
  const rlim_t taken = servers + kFilesForOthers;
  const rlim_t clients = limit.rlim_cur > taken ? limit.rlim_cur - taken : 0;
  log(Level::info, {},
      "open files: {} allowed (it was {}), enough for {} clients beside {} servers", limit.rlim_cur,
      had, clients, servers);
  if (clients < snapshot.settings.max_clients)
    log(Level::warning, {},
        "max_clients is {}, but open files allow for {} only: raise the process's limit (ulimit "
        "-n)",
        snapshot.settings.max_clients, clients);
  const rlim_t kept = std::min(taken, limit.rlim_cur / 4);  // under a very low limit a part
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur - kept, std::numeric_limits<int>::max()));
}

// As the loops have it.
Time steady_now() {
  return Time(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

// Whether anything listens where a database leads; for /health before any server is there.
// Blocking: HTTP's thread.
std::string try_connect(const config::Upstream& upstream) {
  constexpr int kWaitMs = 2000;
  sockaddr_storage storage{};
  socklen_t length = 0;
  int family = AF_UNIX;
  if (upstream.host.starts_with('/')) {
    auto& path = reinterpret_cast<sockaddr_un&>(storage);
    path.sun_family = AF_UNIX;
    const auto text = fmt::format("{}/.s.PGSQL.{}", upstream.host, upstream.port);
    if (text.size() >= sizeof path.sun_path) return "the path of its socket is too long";
    std::copy(text.begin(), text.end(), path.sun_path);
    length = sizeof(sockaddr_un);
  } else {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(upstream.host.c_str(), std::to_string(upstream.port).c_str(), &hints, &found) !=
            0 ||
        !found)
      return fmt::format("host {} is not known", upstream.host);
    family = found->ai_family;
    length = found->ai_addrlen;
    std::copy_n(reinterpret_cast<const char*>(found->ai_addr), length,
                reinterpret_cast<char*>(&storage));
    freeaddrinfo(found);
  }
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return "no descriptor is free";
  int failure = 0;
  if (connect(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) {
    failure = errno;
    if (failure == EINPROGRESS) {
      pollfd wait{fd, POLLOUT, 0};
      socklen_t size = sizeof failure;
      if (poll(&wait, 1, kWaitMs) != 1) {
        failure = ETIMEDOUT;
      } else {
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
      }
    }
  }
  close(fd);
  return failure == 0
             ? ""
             : fmt::format("{}:{}: {}", upstream.host, upstream.port, std::strerror(failure));
}

// What try_connect said last, for each database; asked again after a pause that doubles while it
// fails.
class Probes {
 public:
  std::string ask(const config::Database& database, Time now) {
    const std::scoped_lock lock(mutex_);
    Probe& probe = probes_[database.name];
    if (now < probe.good_until && probe.upstream == database.upstream) return probe.reason;
    probe.upstream = database.upstream;
    probe.reason = try_connect(database.upstream);
    probe.pause =
        probe.reason.empty() ? Duration(1s) : std::clamp<Duration>(probe.pause * 2, 1s, 8s);
    probe.good_until = now + probe.pause;
    return probe.reason;
  }

 private:
  struct Probe {
    config::Upstream upstream;
    std::string reason;
    Duration pause{};
    Time good_until{};
  };
  std::mutex mutex_;
  std::map<std::string, Probe> probes_;
};

// A database is well while the last login there has succeeded and no server was lost since. After a
// failed one it is not, for a while; else, and if nobody has tried yet, a connect decides.
http::Health health(const client::Pooler& pooler, const config::SnapshotPtr& snapshot,
                    Probes& probes) {
  constexpr Duration kFailureCounts = 5s;
  const auto counts = pooler.counts();
  http::Health out{.reachable = true,
                   .reason = {},
                   .size = counts.servers,
                   .checked_out = counts.leased,
                   .overflow = counts.overflow};
  const auto contacts = pooler.contacts();
  const Time now = steady_now();
  out.reachable = snapshot->databases.empty();
  for (const auto& [name, database] : snapshot->databases) {
    http::Health::Database one{.name = name};
    server::Contacts::Contact contact;
    if (const auto found = contacts.find(database.name); found != contacts.end())
      contact = found->second;
    const auto since = [now](Time then) {
      return std::chrono::duration<double>(now - then).count();
    };
    if (contact.success) one.success_seconds = since(*contact.success);
    if (contact.failure) one.failure_seconds = since(*contact.failure);
    if (contact.failure && now - *contact.failure < kFailureCounts) {
      one.reason = contact.reason;
    } else if (!contact.good()) {
      one.reason = probes.ask(database, now);
    }
    one.reachable = one.reason.empty();
    out.reachable |= one.reachable;
    if (out.reason.empty()) out.reason = one.reason;
    out.databases.push_back(std::move(one));
  }
  return out;
}

class Process {
 public:
  explicit Process(const Command& command) : command_(command), snapshot_(command.snapshot) {}
  int run();

 private:
  Done start();
  void reload();
  bool wait_for_signals();
  void stop();
  std::string explain(const Error& why) const;

  const Command& command_;
  config::SnapshotPtr snapshot_;
  std::atomic<config::SnapshotPtr> for_health_;
  Probes probes_;
  std::vector<std::unique_ptr<net::Loop>> loops_;
  std::unique_ptr<net::Offload> offload_;
  std::unique_ptr<net::Offload> for_names_;  // a name server that hangs must not hold up logins
  std::unique_ptr<net::Resolver> resolver_;
  std::unique_ptr<client::Pooler> pooler_;
  std::unique_ptr<http::Server> http_;
  std::vector<std::thread> threads_;
  sigset_t signals_{};
  int accept_below_ = 0;
};

Done Process::start() {
  PGW_TRY(rules, client::make_rules(snapshot_));
  const auto& settings = snapshot_->settings;
  unsigned workers = settings.workers;
  if (workers == 0) workers = std::max(1u, std::thread::hardware_concurrency());
  auto backend = net::Backend::automatic;
  if (snapshot_->loop == config::Loop::io_uring) backend = net::Backend::io_uring;
  if (snapshot_->loop == config::Loop::epoll) backend = net::Backend::epoll;
  const net::SocketOptions options{.keepalive_idle = settings.tcp_keepalive_idle,
                                   .keepalive_interval = settings.tcp_keepalive_interval,
                                   .keepalive_probes = settings.tcp_keepalive_count,
                                   .accept_below = accept_below_};
  client::Machine machine;
  for (unsigned i = 0; i < workers; ++i) {
    PGW_TRY(loop, net::make_loop(backend, options));
    machine.loops.push_back(loop.get());
    loops_.push_back(std::move(loop));
  }
  offload_ = net::make_offload(2);
  for_names_ = net::make_offload(2);
  resolver_ = net::make_resolver(*for_names_);
  machine.offload = offload_.get();
  machine.resolver = resolver_.get();
  machine.random = {&fill_random, nullptr};
  pooler_ = std::make_unique<client::Pooler>(rules, std::move(machine));
  for (const auto& door : snapshot_->listen) {
    PGW_TRY(address, net::parse_address(door.address));
    const auto option = door.mode == config::Mode::session ? "--session" : "--transaction";
    if (auto free = net::check_free(address); !free)
      return std::unexpected(std::move(free).error().with_hint(
          fmt::format("Choose another with {} ADDRESS:PORT", option)));
  }
  PGW_DO(pooler_->listen());
  for_health_.store(snapshot_);
  if (!settings.http.empty()) {
    PGW_TRY(server, http::Server::start(settings.http, http::routes([this] {
                                          return health(*pooler_, for_health_.load(), probes_);
                                        })));
    http_ = std::move(server);
  }
  return {};
}

void Process::reload() {
  auto next = read_again(command_);
  if (!next)
    return log(Level::error, {}, "the configuration was not reloaded: {}", next.error().what());
  auto rules = client::make_rules(*next);
  if (!rules)
    return log(Level::error, {}, "the configuration was not reloaded: {}", rules.error().what());
  for (const auto& name : config::needs_restart(*snapshot_, **next))
    log(Level::warning, {}, "{} has changed: that is applied by a restart only", name);
  for (const auto& line : config::warnings(**next)) log(Level::warning, {}, "{}", line);
  snapshot_ = *next;
  for_health_.store(snapshot_);
  apply_log_level(snapshot_->settings);
  pooler_->reload(*rules);
  log(Level::info, {}, "the configuration was reloaded");
}

// False: stop at once.
bool Process::wait_for_signals() {
  bool draining = false;
  for (;;) {
    int got = 0;
    if (sigwait(&signals_, &got) != 0) continue;
    if (got == SIGHUP) {
      reload();
    } else if (got == SIGTERM && !draining) {
      draining = true;
      log(Level::info, {}, "draining: transactions may take {} ms to finish",
          snapshot_->settings.drain_timeout.count() / 1000);
      pooler_->drain(snapshot_->settings.drain_timeout, [] { kill(getpid(), SIGUSR2); });
    } else if (got == SIGUSR2) {
      return true;
    } else {
      return false;
    }
  }
}

void Process::stop() {
  http_.reset();
  for (auto& loop : loops_) loop->stop();
  for (auto& thread : threads_) thread.join();
  pooler_.reset();
  resolver_.reset();
  for_names_.reset();
  offload_.reset();
  loops_.clear();
}

std::string Process::explain(const Error& why) const {
  std::string text = why.what();
  if (!why.hint().empty()) text += ". " + why.hint();
  return text;
}

int Process::run() {
  sigemptyset(&signals_);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_,
                  nullptr);  // before any thread is there: only sigwait gets them
  signal(SIGPIPE, SIG_IGN);
  start_logs(snapshot_->settings);
  accept_below_ = raise_file_limit(*snapshot_);
  if (auto started = start(); !started) {
    stop_logs();
    fmt::print(stderr, "pgweir: {}\n", explain(started.error()));
    stop();
    return kFailed;
  }
  for (const auto& line : config::warnings(*snapshot_)) log(Level::warning, {}, "{}", line);
  for (std::size_t i = 0; i < snapshot_->listen.size(); ++i)
    log(Level::info, {}, "{} mode on {}", config::text(snapshot_->listen[i].mode),
        pooler_->addresses()[i].text());
  if (http_) log(Level::info, {}, "health on port {}", http_->port());
  log(Level::info, {}, "pgweir {} serves with {} worker(s) on {}", PGW_VERSION, loops_.size(),
      loops_.front()->name());
  for (auto& loop : loops_) threads_.emplace_back([&loop = *loop] { loop.run(); });
  const bool drained = wait_for_signals();
  log(Level::info, {}, "{}", drained ? "drained: stopping" : "stopping at once");
  stop();
  stop_logs();
  return kOk;
}

}  // namespace

int serve(const Command& command) { return Process(command).run(); }

}  // namespace pgw::daemon

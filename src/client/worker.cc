#include "client/worker.h"

#include "wire/write.h"

namespace pgw::client {

namespace {

constexpr unsigned kPidBits = 23;      // a pid is positive: 8 bits of worker, 23 of client
constexpr Duration kSweepEvery = 10s;  // for pools that nobody uses and hosts that are gone
constexpr Duration kLinger = 2s;
constexpr Duration kShedEvery = 1s;

std::string pool_key(std::string_view database, std::string_view user) {
  std::string key(database);
  key += '\0';
  return key += user;
}

}  // namespace

Worker::Worker(unsigned index, Shared& shared, Rules rules, net::Loop& loop, net::Offload& offload,
               net::Resolver& resolver, Random random)
    : index_(index),
      shared_(shared),
      rules_(std::move(rules)),
      statements_(fmt::format("pgweir_{:x}_", index)),
      graveyard_(loop),
      context_{loop,           offload,     resolver,       random,
               gauges_,        statements_, graveyard_,     shared.contacts,
               shared.schemas, shared.apps, shared.budgets, index},
      sweep_timer_([](void* self) { static_cast<Worker*>(self)->sweep(); }, this) {
  count_configured_apps();
}

Worker::~Worker() { clear(); }

void Worker::clear() {
  sweep_timer_.disarm();
  doors_.clear();
  logins_.clear();
  clients_.clear();
  graveyard_.clear();
  pools_.clear();
  graveyard_.clear();
}

Result<net::Address> Worker::listen(const net::Address& address, const config::Listen& plan) {
  auto door = std::make_unique<Door>(*this, plan);
  PGW_TRY(listener, loop().listen(address, *door));
  const net::Address got = listener->address();
  door->listener = std::move(listener);
  doors_.push_back(std::move(door));
  return got;
}

void Worker::stop_listening() { doors_.clear(); }

void Worker::Door::on_accept(std::unique_ptr<net::Stream> stream) {
  worker.accept_failing_ = false;
  auto login = std::make_unique<Login>(worker, listen, std::move(stream));
  Login* const at = login.get();
  worker.logins_.emplace(at, std::move(login));
}

void Worker::Door::on_accept_failed(const Error& why) {
  if (std::exchange(worker.accept_failing_, true)) return;  // once, until it works again
  log(Level::error, {}, "cannot accept clients for the moment: {}", why.what());
}

void Worker::forget(Login& login) {
  auto node = logins_.extract(&login);
  if (!node.empty()) graveyard_.bury(std::move(node.mapped()));
}

void Worker::forget(Client& client) {
  auto node = clients_.extract(client.pid());
  if (node.empty()) return;
  shared_.clients.leave(client.database(), client.user(), client.app());
  graveyard_.bury(std::move(node.mapped()));
}

// The pool lives on one worker, the same for all its clients; the connection goes there, once.
void Worker::place(Admission admission, std::unique_ptr<net::Stream> stream, std::string early) {
  const auto hash = std::hash<std::string>()(pool_key(admission.database, admission.user));
  Worker& home = *shared_.workers[hash % shared_.workers.size()];
  if (&home == this) return admit(std::move(admission), std::move(stream), std::move(early));
  net::Stream::detach(
      std::move(stream), [this, &home, admission = std::move(admission),
                          early = std::move(early)](net::Detached detached) mutable {
        (void)this;
        home.loop().post([&home, admission = std::move(admission), early = std::move(early),
                          detached = std::move(detached)]() mutable {
          struct Nobody final : net::StreamSink {
            void on_bytes(Bytes) override {}
            void on_end(const Error&) override {}
          };
          static Nobody nobody;  // has no state; the client takes the stream over in this very call
          early += std::exchange(detached.unread, {});
          auto stream = home.loop().adopt(std::move(detached), nobody);
          home.admit(std::move(admission), std::move(stream), std::move(early));
        });
      });
}

void Worker::admit(Admission admission, std::unique_ptr<net::Stream> stream, std::string early) {
  admission.app =
      snapshot().app_of(admission.database, admission.user, admission.listener_app, admission.app);
  const auto refuse = [&](const Error& why) {
    log(Level::warning,
        {.client = stream->peer(),
         .user = admission.user,
         .database = admission.database,
         .app = admission.app},
        "login refused: {}", why.what());
    std::string out = admission.greeting;
    wire::write_error(out, wire::Severity::fatal, why);
    stream->send(out);
    net::Stream::close_gently(std::move(stream), kLinger);
  };
  if (draining_) return refuse(Error(Code::shutdown, "pgweir is shutting down"));
  // A reload may have taken it away, and left its pool for those who are still in a transaction.
  if (!snapshot().find(admission.database))
    return refuse(Error(Code::unknown_database,
                        fmt::format("database \"{}\" does not exist", admission.database)));
  if (const auto why =
          shared_.clients.enter(snapshot(), admission.database, admission.user, admission.app))
    return refuse(*why);
  if (lends(admission)) admission.mode = config::Mode::transaction;
  server::Pool& pool = pool_for(admission);
  const auto pid = fresh_pid();
  auto made = std::make_unique<Client>(*this, pool, admission, pid, context_.random.u32());
  Client& client = *made;
  clients_.emplace(pid, std::move(made));
  stream->set_sink(client.sink());
  client.start(std::move(stream), std::move(admission.greeting), std::move(early));
}

// A session that is served like a client of a transaction port.
bool Worker::lends(const Admission& admission) const {
  if (admission.mode != config::Mode::session || !admission.replication.empty()) return false;
  const auto* database = snapshot().find(admission.database);
  return snapshot().settings_for(*database, admission.user, admission.app).session_lend;
}

server::Pool& Worker::pool_for(const Admission& admission) {
  auto& slot = pools_[pool_key(admission.database, admission.user)];
  if (!slot) {
    slot = std::make_unique<server::Pool>(context_, rules_.snapshot,
                                          *snapshot().find(admission.database), admission.database,
                                          admission.user);
    if (!sweep_timer_.armed()) loop().arm(sweep_timer_, kSweepEvery);
  }
  slot->offer_credentials(admission.credentials);
  return *slot;
}

void Worker::sweep() {
  const Duration limit = settings().tcp_user_timeout;
  std::vector<Client*> silent;
  for (auto& [pid, client] : clients_) {
    client->count_pins();
    if (client->silent_too_long(kSweepEvery, limit)) silent.push_back(client.get());
  }
  for (Client* client : silent) client->host_is_gone(limit);
  for (auto& [key, pool] : pools_) pool->end_silent(kSweepEvery, limit);
  std::erase_if(pools_, [](const auto& one) { return one.second->unused(); });
  if (!pools_.empty()) loop().arm(sweep_timer_, kSweepEvery);
}

std::uint32_t Worker::fresh_pid() {
  for (;;) {
    pids_ = (pids_ + 1) & ((1u << kPidBits) - 1);
    const std::uint32_t pid = (index_ << kPidBits) | pids_;
    if (pids_ != 0 && !clients_.contains(pid)) return pid;
  }
}

void Worker::route_cancel(std::uint32_t pid, std::uint32_t key, std::shared_ptr<void> ticket) {
  const auto index = pid >> kPidBits;
  if (index >= shared_.workers.size()) return;
  Worker& home = *shared_.workers[index];
  if (&home == this) return cancel(pid, key, std::move(ticket));
  home.loop().post([&home, pid, key, ticket = std::move(ticket)]() mutable {
    home.cancel(pid, key, std::move(ticket));
  });
}

void Worker::cancel(std::uint32_t pid, std::uint32_t key, std::shared_ptr<void> ticket) {
  const auto found = clients_.find(pid);
  if (found != clients_.end()) found->second->cancel(key, std::move(ticket));
}

void Worker::shed_statements() {
  if (loop().now() < next_shed_) return;
  next_shed_ = loop().now() + kShedEvery;
  for (auto& [key, pool] : pools_) pool->shed_statements();
}

void Worker::configure(Rules rules) {
  const Rules old = std::exchange(rules_, std::move(rules));
  for (auto& [key, pool] : pools_) {
    if (const auto* database = snapshot().find(pool->database())) {
      pool->configure(rules_.snapshot, *database);
    } else {
      pool->retire_all("its database is not configured any more");
    }
  }
  count_configured_apps();
  for (Client* client : all_clients()) client->configure();
  dismiss_unserved();
}

// These have counters of their own, however many other names clients think of.
void Worker::count_configured_apps() {
  for (const auto& [app, overlay] : snapshot().apps)
    if (app != "*") pinning_.of(app);
}

void Worker::drain(const Error& why) {
  draining_ = true;
  for (Client* client : all_clients()) client->drain(why, Client::Waiting::serve);
}

// Clients whose database is not configured any more go when their transactions are over, as with
// PgBouncer: else they could go on for ever, and with settings that nobody sees.
void Worker::dismiss_unserved() {
  for (Client* client : all_clients()) {
    if (snapshot().find(client->database())) continue;
    client->drain(Error(Code::shutdown,
                        fmt::format("terminating connection: database \"{}\" is not configured any "
                                    "more",
                                    client->database())),
                  Client::Waiting::refuse);
  }
}

std::vector<Client*> Worker::all_clients() {
  std::vector<Client*> all;
  all.reserve(clients_.size());
  for (auto& [pid, client] : clients_) all.push_back(client.get());
  return all;
}

void Worker::end_all(const Error& why) {
  for (Client* client : all_clients()) client->end(why);
  for (auto& [key, pool] : pools_) pool->retire_all("pgweir stops");
}

}  // namespace pgw::client

#include "client/pooler.h"

#include <algorithm>
#include <atomic>
#include <thread>

namespace pgw::client {

namespace {
constexpr Duration kDrainTick = 20ms;
constexpr Duration kDrainGrace = 1s;  // for goodbyes after the limit

Error going() {
  return Error(Code::shutdown, "terminating connection due to administrator command");
}
}  // namespace

Result<Rules> make_rules(config::SnapshotPtr snapshot) {
  std::vector<auth::Userlist::Entry> entries;
  if (!snapshot->auth.file.empty()) {
    PGW_TRY(users, auth::load_userlist(snapshot->auth.file));
    for (const auto& [user, secret] : users.secrets()) entries.push_back({user, secret});
  }
  PGW_TRY(own, auth::Userlist::of(snapshot->auth.users));
  for (const auto& [user, secret] : own.secrets()) entries.push_back({user, secret});
  return Rules{std::move(snapshot), std::make_shared<const auth::Userlist>(std::move(entries)), {}};
}

Pooler::Pooler(Rules rules, Machine machine)
    : machine_(std::move(machine)), rules_(std::move(rules)) {
  const std::string seed = machine_.random.bytes(shared_.process_secret.size());
  std::ranges::copy(seed, shared_.process_secret.begin());
  make_verifiers(rules_, nullptr);
  shared_.apps.prepare(static_cast<unsigned>(machine_.loops.size()), rules_.snapshot);
  shared_.budgets.configure(rules_.snapshot);
  for (unsigned i = 0; i < machine_.loops.size(); ++i) {
    workers_.push_back(std::make_unique<Worker>(i, shared_, rules_, *machine_.loops[i],
                                                *machine_.offload, *machine_.resolver,
                                                machine_.random));
    shared_.workers.push_back(workers_.back().get());
  }
}

Pooler::~Pooler() {
  drain_timer_.reset();
  for (auto& worker : workers_) worker->clear();
}

Done Pooler::listen() {
  for (const auto& door : rules_.snapshot->listen) {
    PGW_TRY(address, net::parse_address(door.address));
    net::Address at = address;
    for (auto& worker : workers_) {
      auto got = worker->listen(at, door);
      if (!got) return std::unexpected(std::move(got).error());
      at = *got;  // port 0: all workers share the one that the first was given
      if (at.kind == net::Address::Kind::unix_path)
        break;  // one listener; its clients go where their pools live
    }
    addresses_.push_back(at);
  }
  return {};
}

// About a millisecond for each plain password, on as many threads as there are cores, before
// anybody can log in with it: so no login has to wait for it, which would tell who exists.
void Pooler::make_verifiers(Rules& rules, const auth::Verifiers* before) const {
  auto made = std::make_shared<auth::Verifiers>();
  if (rules.snapshot->auth.method == config::AuthMethod::scram_sha_256) {
    auto work = auth::Verifiers::needed(*rules.users, shared_.process_secret, before, *made);
    std::atomic<std::size_t> next{0};
    const auto help = [&] {
      for (std::size_t i; (i = next.fetch_add(1)) < work.size();) work[i].run();
    };
    {
      std::vector<std::jthread> helpers;
      const std::size_t most =
          std::min<std::size_t>(std::thread::hardware_concurrency(), work.size() / 16);
      for (std::size_t i = 1; i < most; ++i) helpers.emplace_back(help);
      help();
    }
    for (auto& one : work) made->add(std::move(one));
  }
  rules.verifiers = std::move(made);
}

void Pooler::reload(Rules rules) {
  make_verifiers(rules, rules_.verifiers.get());
  rules_ = rules;
  shared_.apps.configure(rules_.snapshot);
  shared_.budgets.configure(rules_.snapshot);
  for (auto& worker : workers_)
    worker->loop().post(
        [&worker = *worker, rules]() mutable { worker.configure(std::move(rules)); });
}

void Pooler::drain(Duration limit, std::move_only_function<void()> done) {
  workers_.front()->loop().post([this, limit, done = std::move(done)]() mutable {
    if (drain_timer_) return;
    drained_ = std::move(done);
    drain_until_ = workers_.front()->loop().now() + limit;
    for (auto& worker : workers_) {
      worker->loop().post([&worker = *worker] {
        worker.stop_listening();
        worker.drain(going());
      });
    }
    drain_timer_ = std::make_unique<net::Timer>(
        [](void* self) { static_cast<Pooler*>(self)->drain_tick(); }, this);
    workers_.front()->loop().arm(*drain_timer_, kDrainTick);
  });
}

void Pooler::drain_tick() {
  net::Loop& loop = workers_.front()->loop();
  const bool over = loop.now() >= drain_until_;
  const bool empty = counts().clients == 0 && lingering() == 0;
  if (empty || loop.now() >= drain_until_ + kDrainGrace) {
    drain_timer_->disarm();
    if (drained_) std::exchange(drained_, {})();
    return;
  }
  if (over) {
    for (auto& worker : workers_)
      worker->loop().post([&worker = *worker] { worker.end_all(going()); });
  }
  loop.arm(*drain_timer_, kDrainTick);
}

unsigned Pooler::lingering() const {
  unsigned out = 0;
  for (const net::Loop* loop : machine_.loops) out += loop->lingering();
  return out;
}

stats::PinNumbers Pooler::pins() const {
  stats::PinNumbers out;
  for (const auto& worker : workers_) std::as_const(*worker).pinning().add_to(out);
  return out;
}

std::vector<Leak> Pooler::leaks() const {
  std::vector<Leak> out;
  for (const auto& worker : workers_) std::as_const(*worker).leaks().add_to(out);
  return out;
}

std::vector<SlowStatement> Pooler::slow() const {
  std::vector<SlowStatement> out;
  for (const auto& worker : workers_) std::as_const(*worker).slow().add_to(out);
  return merged(std::move(out));
}

Pooler::Counts Pooler::counts() const {
  Counts out;
  for (const auto& worker : workers_) {
    const auto& gauges = std::as_const(*worker).gauges();
    out.clients += gauges.clients.get();
    out.logins += gauges.logins.get();
    out.servers += gauges.servers.get();
    out.leased += gauges.leased.get();
    out.overflow += gauges.overflow.get();
    out.waiting += gauges.waiting.get();
  }
  return out;
}

}  // namespace pgw::client

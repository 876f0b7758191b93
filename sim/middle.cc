#include "middle.h"

#include <vector>

#include "base/log.h"
#include "client/pooler.h"
#include "password.h"

namespace pgw::sim {

namespace {

// The log has one sink for the process; worlds run one after the other.
Simulation* logging = nullptr;

void log_to_trace(Level, const About& about, std::string_view text) {
  if (logging) logging->trace("pooler: [{}] {}", about.client, text);
}

void fill(void* state, char* out, std::size_t n) {
  auto& random = *static_cast<Random*>(state);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<char>(random.below(256));
}

Duration span(Random& random, Duration least, Duration most) {
  return Duration(random.between(static_cast<std::size_t>(least.count()),
                                 static_cast<std::size_t>(most.count())));
}

config::AuthMethod method_of(Ask ask) {
  switch (ask) {
    case Ask::password:
      return config::AuthMethod::password;
    case Ask::md5:
      return config::AuthMethod::md5;
    case Ask::scram:
      return config::AuthMethod::scram_sha_256;
    default:
      return config::AuthMethod::trust;
  }
}

config::Overlay overlay(const World::Plan::App& app) {
  config::Overlay out;
  const auto give = [&](const char* name) { out.given.push_back(config::find_row(name)); };
  if (app.most) {
    out.values.pool_size = *app.most;
    give("pool_size");
  }
  out.values.min = app.min;
  give("min");
  out.values.weight = app.weight;
  give("weight");
  out.values.priority = app.background ? "background" : "normal";
  give("priority");
  return out;
}

void add_budget(const World::Plan::Budget& budget, config::Snapshot& out) {
  const auto overlay = [](unsigned most) {
    config::Overlay made;
    made.values.max_connections = most;
    made.given = {config::find_row("max_connections")};
    return made;
  };
  out.settings.reserve = budget.reserve;
  out.settings.host_interval = budget.interval;
  out.hosts["10.0.0.1:5432"] = overlay(budget.host);
  for (const auto& [user, most] : budget.users) out.users[user] = overlay(most);
  for (auto& [name, database] : out.databases) {
    database.upstream.host = "10.0.0.1";  // one host is one budget
    database.settings.max_connections = budget.databases.at(name);
  }
}

config::SnapshotPtr snapshot(const World::Plan& plan, bool other, Random& random) {
  config::Snapshot out;
  out.listen = {{"127.0.0.1:6432", config::Mode::session},
                {"127.0.0.1:6543", config::Mode::transaction}};
  out.auth.method = method_of(plan.front);
  for (const auto& [user, password] : plan.passwords)
    if (other == password.ends_with("-new") || plan.passwords.count(user) == 1)
      out.auth.users.emplace_back(
          user, plan.verifiers ? scram_text(scram_secret(user, password)) : password);
  config::Settings& s = out.settings;
  s.host_interval = 0s;
  s.pool_size = plan.pool_size;
  s.max_overflow = plan.overflow;
  s.pool_timeout = plan.faults ? span(random, 500ms, 20s) : Duration(3h);
  s.connect_timeout = plan.faults ? span(random, 500ms, 10s) : Duration(10min);
  if (random.chance(300)) s.pool_recycle = span(random, 50ms, 5s);
  if (random.chance(300)) s.server_idle_timeout = span(random, 10ms, 5s);
  if (random.chance(500)) s.overflow_idle_timeout = span(random, 1ms, 2s);
  if (random.chance(300)) s.server_statements = static_cast<unsigned>(random.between(1, 4));
  s.background_patience = plan.patience;
  s.session_connections = plan.sessions;
  s.session_lend = plan.session_lend;
  for (std::size_t i = 0; i < plan.apps.size(); ++i) {
    const auto& app = plan.apps[i];
    out.listen.push_back({fmt::format("127.0.0.1:{}", 7000 + i), config::Mode::session, app.name});
    out.listen.push_back(
        {fmt::format("127.0.0.1:{}", 8000 + i), config::Mode::transaction, app.name});
    out.apps.emplace(app.name, overlay(app));
  }
  if (plan.warns)
    for (auto* policy : {&s.on_lock, &s.on_temporary, &s.on_cursor, &s.on_prepare, &s.on_listen,
                         &s.on_setting, &s.on_indelible})
      *policy = "warn";
  if (plan.limits != config::TimeLimits{}) {
    s.query_timeout = plan.limits.query;
    s.transaction_timeout = plan.limits.transaction;
    s.idle_in_transaction_timeout = plan.limits.idle_in_transaction;
    s.client_idle_timeout = plan.limits.client_idle;
    s.leak_threshold = plan.limits.leak;
    s.slow_statement = plan.limits.slow;
  }
  config::Database shop;
  shop.name = "shop";
  shop.upstream.host = random.chance(500) ? "10.0.0.1" : "db.example";
  shop.upstream.port = 5432;
  shop.settings = s;
  out.databases.emplace("shop", shop);
  for (const auto& one : plan.more) {
    config::Database& next = out.databases.emplace(one.name, shop).first->second;
    next.name = one.name;
    next.settings.pool_size = one.pool_size;
    next.settings.max_overflow = one.overflow;
  }
  if (plan.budget.any) add_budget(plan.budget, out);
  return std::make_shared<const config::Snapshot>(std::move(out));
}

}  // namespace

struct Middle::Parts {
  Parts(Simulation& s, const World::Plan& plan) : sim(s), random(s.random.fork()), plan_(plan) {}
  Simulation& sim;
  Random random;
  const World::Plan& plan_;
  std::vector<std::unique_ptr<SimLoop>> loops;
  std::unique_ptr<client::Pooler> pooler;
};

Middle::Middle(Simulation& sim, Network& network, SimOffload& offload, SimResolver& resolver,
               const World::Plan& plan)
    : parts_(std::make_unique<Parts>(sim, plan)) {
  logging = &sim;
  set_log_sink(log_to_trace);
  set_log_level(sim.tracing() ? Level::debug : Level::error);
  resolver.add("db.example", "10.0.0.1");
  if (plan.faults) resolver.failing = resolver.slow = 100;
  auto rules = client::make_rules(snapshot(plan, false, parts_->random));
  if (!rules) {
    sim.fail("the configuration is refused: " + rules.error().what());
    return;
  }
  client::Machine machine;
  for (unsigned i = 0; i < plan.workers; ++i) {
    parts_->loops.push_back(std::make_unique<SimLoop>(sim, network, fmt::format("worker{}", i)));
    machine.loops.push_back(parts_->loops.back().get());
  }
  machine.offload = &offload;
  machine.resolver = &resolver;
  machine.random = {fill, &parts_->random};
  parts_->pooler = std::make_unique<client::Pooler>(std::move(*rules), std::move(machine));
  if (auto done = parts_->pooler->listen(); !done)
    sim.fail("the pooler cannot listen: " + done.error().what());
}

Middle::~Middle() {
  stop();
  logging = nullptr;
}

void Middle::reload(bool other) {
  if (!parts_->pooler) return;
  auto rules = client::make_rules(snapshot(parts_->plan_, other, parts_->random));
  if (!rules) return parts_->sim.fail("the configuration is refused: " + rules.error().what());
  parts_->pooler->reload(std::move(*rules));
}

void Middle::drain(Duration limit, std::move_only_function<void()> done) {
  parts_->pooler->drain(limit, std::move(done));
}

std::map<std::string, server::AppUse> Middle::apps() const {
  return parts_->pooler ? parts_->pooler->apps() : std::map<std::string, server::AppUse>();
}

void Middle::check_quiet() {
  if (!parts_->pooler) return;
  for (const auto& [app, use] : parts_->pooler->apps())
    if (use.leased + use.sessions + use.waiting + use.taken != 0)
      parts_->sim.fail(fmt::format("app {} is left with {} servers ({} counted), {} waiters", app,
                                   use.leased, use.taken, use.waiting));
  for (const auto& [database, taken] : parts_->pooler->sessions())
    if (taken != 0) parts_->sim.fail(fmt::format("{} sessions of {} are left", taken, database));
  for (const auto& [app, numbers] : parts_->pooler->pins())
    for (const auto& reason : numbers.reasons)
      if (reason.pinned != 0) parts_->sim.fail("a server is still counted as pinned");
  if (!parts_->pooler->leaks().empty())
    parts_->sim.fail("a client that is gone is told of as a leak");
  const auto counts = parts_->pooler->counts();
  if (counts.clients + counts.logins + counts.leased + counts.waiting == 0) return;
  parts_->sim.fail(fmt::format("the pooler still has {} clients, {} logins, {} leases, {} waiters",
                               counts.clients, counts.logins, counts.leased, counts.waiting));
}

void Middle::stop() {
  for (auto& loop : parts_->loops) loop->stop();
  if (parts_->pooler) parts_->pooler.reset();
}

}  // namespace pgw::sim

#include "world.h"

#include <algorithm>

#include "middle.h"

namespace pgw::sim {

namespace {
constexpr std::uint16_t kPostgresPort = 5432;
constexpr std::uint16_t kSessionPort = 6432;
constexpr std::uint16_t kTransactionPort = 6543;
constexpr std::uint16_t kSessionPorts = 7000;      // of the apps
constexpr std::uint16_t kTransactionPorts = 8000;  // the same
constexpr Duration kReloaded = 5s;                 // a reload has come to all workers
constexpr Time kLimit = Time(2h);                  // by then every client must have been served
constexpr std::uint64_t kSteps = 8'000'000;        // more is a livelock
}  // namespace

World::World(std::uint64_t seed, bool direct)
    : sim_(seed),
      random_(sim_.random.fork()),
      budget_random_(seed ^ 0xB0D6'E75E'ED00'0001ULL),
      more_random_(seed ^ 0x5EED'5EED'5EED'5EEDULL),
      app_random_(seed ^ 0xA995'A995'A995'0001ULL),
      network_(sim_),
      server_loop_(sim_, network_, "pg"),
      client_loop_(sim_, network_, "clients"),
      offload_(sim_),
      resolver_(sim_) {
  plan.direct = direct;
  choose();
  plan.front = plan.ask;
  if (!direct && more_random_.chance(500)) choose_more();
  choose_sessions(seed);
  if (!direct) choose_apps(seed);
  if (!direct) choose_limits(seed);
  plan.budget.any = !direct && budget_random_.chance(500);
  choose_budget();
}

World::~World() {
  // What may still hold streams goes first, then the events that may still hold connections.
  clients_.clear();
  hostile_.clear();
  replicas_.clear();
  middle_.reset();
  postgres_.reset();
  sim_.clear();
}

Weather World::weather(bool faults) {
  Weather w;
  w.latency_least = Duration(random_.between(1, 50));
  w.latency_most =
      w.latency_least + Duration(random_.chance(200) ? random_.below(20'000) : random_.below(300));
  w.slow = random_.chance(300) ? static_cast<unsigned>(random_.below(30)) : 0;
  w.split = random_.chance(500) ? 600 : static_cast<unsigned>(random_.below(300));
  w.window = random_.chance(250) ? random_.between(64, 4096) : random_.between(16, 128) * 1024;
  if (!faults) return w;
  if (random_.chance(500)) w.break_chunk = static_cast<unsigned>(random_.between(1, 6));
  if (random_.chance(300)) w.refuse = static_cast<unsigned>(random_.between(10, 200));
  if (random_.chance(200)) w.blackhole = static_cast<unsigned>(random_.between(10, 80));
  return w;
}

void World::choose() {
  plan.faults = random_.chance(667);
  plan.workers = static_cast<unsigned>(random_.between(1, 3));
  plan.pool_size = static_cast<unsigned>(random_.between(1, 4));
  plan.overflow = static_cast<unsigned>(random_.chance(500) ? random_.between(1, 2) : 0);
  plan.restarts =
      plan.faults && random_.chance(400) ? 1 + static_cast<unsigned>(random_.below(2)) : 0;
  plan.kills = plan.faults && random_.chance(400) ? static_cast<unsigned>(random_.below(5)) : 0;
  plan.vanishing = random_.chance(500);
  plan.cancelling = random_.chance(500);
  plan.client_weather = weather(plan.faults && random_.chance(600));
  plan.server_weather = weather(plan.faults && random_.chance(600));
  plan.hostile = random_.chance(250) ? static_cast<unsigned>(random_.between(1, 4)) : 0;
  switch (random_.below(4)) {
    case 0:
      plan.ask = Ask::password;
      break;
    case 1:
      plan.ask = Ask::md5;
      break;
    default:
      break;
  }
  const auto n =
      static_cast<int>(random_.chance(300) ? random_.between(1, 4) : random_.between(2, 40));
  const auto most =
      static_cast<unsigned>(std::min<std::size_t>(60, 500 / static_cast<unsigned>(n)));
  for (int i = 1; i <= n; ++i) {
    plan.clients.push_back(client_plan(i, static_cast<unsigned>(random_.between(2, most))));
  }
}

void World::choose_more() {
  Random& random = more_random_;
  const std::vector<std::string> names{"stock", "staff", "news"};
  for (std::size_t i = random.chance(600) ? random.between(1, names.size()) : 0; i > 0; --i) {
    plan.more.push_back({names[i - 1], static_cast<unsigned>(random.between(1, 3)),
                         static_cast<unsigned>(random.below(2))});
  }
  for (std::size_t i = random.chance(600) ? random.between(1, 4) : 0; i > 0; --i)
    plan.passwords.emplace(fmt::format("user{}", i), fmt::format("user{}-secret", i));
  if (random.chance(500)) choose_logins();
  const std::vector<std::string> all = users();
  for (ClientPlan& c : plan.clients) {
    if (!plan.more.empty() && random.chance(600)) c.database = random.pick(plan.more).name;
    if (!random.chance(700)) continue;
    c.user = random.pick(all);
    if (!c.refused) c.password = c.user + "-secret";
  }
  if (random.chance(500)) {
    for (std::size_t i = random.between(1, 4); i > 0; --i)
      plan.reloads.emplace_back(Duration(random.below(4'000'000)));
    plan.new_passwords = plan.front != Ask::trust && random.chance(300);
  }
  if (random.chance(250)) {
    plan.drain = Time(Duration(random.below(4'000'000)));
    plan.drain_limit = Duration(random.below(3'000'000));
  }
  if (random.chance(400)) {
    for (std::size_t i = random.between(1, 3); i > 0; --i) {
      const ClientPlan& like = random.pick(plan.clients);
      if (like.refused) continue;
      plan.replicas.push_back(like);
      plan.replicas.back().number = 900 + static_cast<int>(i);
    }
  }
  if (!plan.new_passwords) return;
  for (const std::string& user : all) plan.passwords.emplace(user, user + "-new");
  for (ClientPlan& c : plan.clients)
    if (!c.refused) c.other_password = c.user + "-new";
}

// What is promised to whom, and who makes use of it.
void World::choose_sessions(std::uint64_t seed) {
  Random random(seed ^ 0xCAFE'5E55'10A5'0001ULL);
  const bool used = random.chance(600);
  for (ClientPlan& c : plan.clients) {
    if (plan.direct) c.promise = Model::Promise::direct;
    const auto chance =
        static_cast<unsigned>(random.chance(500) ? random.below(1000) : random.below(200));
    if (used) c.taste.session = chance;
  }
  plan.warns = !plan.direct && Random(seed ^ 0xCAFE'5E55'10A5'0003ULL).chance(300);
  Random talk(seed ^ 0xCAFE'5E55'10A5'0002ULL);
  if (!used || !talk.chance(300)) return;
  for (ClientPlan& c : plan.clients) {
    c.taste.talks = true;
    c.taste.session = static_cast<unsigned>(talk.between(300, 900));
  }
}

// Apps with caps, guaranteed minimums, weights and priorities, which share the pools.
void World::choose_apps(std::uint64_t seed) {
  Random random(seed ^ 0xA995'A995'A995'0002ULL);
  if (!random.chance(400)) return;
  const std::vector<std::string> names{"api", "worker", "reports", "cron"};
  for (std::size_t i = random.between(1, names.size()); i > 0; --i)
    plan.apps.emplace_back().name = names[i - 1];
  plan.patience = Duration(random.between(1'000, 5'000'000));
  choose_terms(random);
  if (random.chance(200)) {
    plan.session_lend = true;
    for (ClientPlan& c : plan.clients)
      if (c.promise == Model::Promise::session) c.promise = Model::Promise::whole;
  }
  for (ClientPlan& c : plan.clients) {
    if (!random.chance(850)) continue;
    const auto app = static_cast<std::uint16_t>(random.below(plan.apps.size()));
    c.address.port = static_cast<std::uint16_t>(
        app + (c.address.port == kSessionPort ? kSessionPorts : kTransactionPorts));
  }
}

void World::choose_terms(Random& random) {
  for (Plan::App& app : plan.apps) {
    app.most.reset();
    if (random.chance(600)) app.most = static_cast<unsigned>(random.between(1, 4));
    app.min = static_cast<unsigned>(random.chance(300) ? random.between(1, 2) : 0);
    app.weight = static_cast<unsigned>(random.chance(500) ? random.between(1, 5) : 1);
    app.background = random.chance(250);
  }
  plan.sessions = static_cast<unsigned>(random.chance(400) ? random.between(1, 3) : 0);
}

// A third of the worlds have time limits, and clients that reach them.
void World::choose_limits(std::uint64_t seed) {
  Random random(seed ^ 0xCAFE'71AE'11A1'75ULL);
  if (!random.chance(330)) return;
  const auto some = [&](std::size_t least_ms, std::size_t most_ms) {
    return random.chance(500) ? Duration(1000 * random.between(least_ms, most_ms)) : 0us;
  };
  plan.limits = {.query = some(20, 400),
                 .transaction = some(50, 3000),
                 .idle_in_transaction = some(30, 2000),
                 .client_idle = some(300, 5000),
                 .leak = some(1, 500),
                 .slow = some(1, 200)};
  for (ClientPlan& c : plan.clients) {
    if (random.chance(500)) c.lingers = 30;
    c.reconnects += 5;
  }
}

// Drawn again by each reload.
void World::choose_budget() {
  if (!plan.budget.any) return;
  Random& random = budget_random_;
  Plan::Budget& b = plan.budget;
  unsigned pools = plan.pool_size + plan.overflow;
  for (const Plan::Database& one : plan.more) pools += one.pool_size + one.overflow;
  pools *= static_cast<unsigned>(users().size());
  const auto upto = [&](unsigned most) { return static_cast<unsigned>(random.between(1, most)); };
  b.reserve = upto(2);
  b.host = random.chance(700) ? b.reserve + upto(random.chance(500) ? 3 : pools) : 0;
  b.databases["shop"] = random.chance(300) ? upto(4) : 0;
  for (const Plan::Database& one : plan.more)
    b.databases[one.name] = random.chance(300) ? upto(4) : 0;
  for (const std::string& user : users()) b.users[user] = random.chance(300) ? upto(4) : 0;
  b.postgres = random.chance(300) ? upto(b.host != 0 ? b.host + 1 : pools) : 1000;
  // What PostgreSQL has must be known, or the last place may go to one who listens.
  const bool asked = b.postgres < 1000 || random.chance(700);
  b.interval = asked ? Duration(random.between(100'000, 5'000'000)) : 0us;
}

// One way in and another one on; what the pooler is given must be enough for it.
void World::choose_logins() {
  Random& random = more_random_;
  constexpr Ask kWays[] = {Ask::trust, Ask::password, Ask::md5, Ask::scram};
  plan.front = kWays[random.below(4)];
  plan.ask = kWays[random.below(4)];
  plan.verifiers = plan.front != Ask::trust && random.chance(600);
  const bool only_keys = plan.front == Ask::scram || plan.front == Ask::md5;
  if (plan.verifiers && only_keys && plan.ask != Ask::trust) plan.ask = Ask::scram;
  for (ClientPlan& c : plan.clients) {
    c.refused = c.refused && plan.front != Ask::trust;
    c.password = c.refused ? "wrong" : c.user + "-secret";
  }
}

std::vector<std::string> World::users() const {
  std::vector<std::string> out;
  for (const auto& [user, password] : plan.passwords)
    if (out.empty() || out.back() != user) out.push_back(user);
  return out;
}

ClientPlan World::client_plan(int number, unsigned batches) {
  ClientPlan c;
  c.number = number;
  const bool session = plan.direct || random_.chance(300);
  c.promise = session ? Model::Promise::session : Model::Promise::whole;
  c.address = {net::Address::Kind::ipv4, plan.direct ? "10.0.0.1" : "127.0.0.1",
               plan.direct ? kPostgresPort
               : session   ? kSessionPort
                           : kTransactionPort};
  c.user = random_.chance(800) ? "app" : "worker";
  c.password = c.user + "-secret";
  if (plan.ask != Ask::trust && random_.chance(30)) {
    c.refused = true;
    c.password = "wrong";
  }
  c.batches = batches;
  c.depth = random_.chance(300) ? static_cast<unsigned>(random_.between(2, 8)) : 1;
  c.think_most = Duration(random_.chance(300) ? random_.below(500'000) : random_.below(5'000));
  c.start_within = Duration(random_.below(2'000'000));
  c.asks_ssl = random_.chance(200);
  if (random_.chance(60)) c.version = 196610;
  if (plan.cancelling && random_.chance(300)) c.cancels = 200;
  if (plan.vanishing && random_.chance(300)) c.vanishes = 30;
  if (random_.chance(150)) c.sleeps = 30;
  if (random_.chance(200)) c.leaves_open = 1000;
  c.reconnects = static_cast<unsigned>(random_.below(4));
  c.taste.client = number;
  c.taste.sync_in_copy = c.cancels == 0 && random_.chance(plan.direct ? 1000 : 100);
  c.taste.big_rows = random_.chance(100) ? 400 : 40;
  c.taste.big_size = random_.chance(100) ? 8000 : 400;
  choose_parameters(c);
  return c;
}

void World::choose_parameters(ClientPlan& c) {
  for (const Setting& s : kSettings) c.initial[s.name] = s.initial;
  if (random_.chance(700)) {
    c.parameters.emplace_back("application_name", fmt::format("c{}.0", c.number));
    c.initial["application_name"] = fmt::format("c{}.0", c.number);
  }
  for (const Setting& s : kSettings) {
    const std::string name = s.name;
    if (name == "application_name" || !random_.chance(150)) continue;
    std::string value = name == "client_encoding" ? "LATIN1" : fmt::format("c{}.0", c.number);
    c.initial[name] = value;
    if (random_.chance(500)) {
      c.parameters.emplace_back(name, value);
    } else {
      c.options += fmt::format("{}-c {}={}", c.options.empty() ? "" : " ", name, value);
    }
  }
}

void World::build() {
  network_.set_weather(kPostgresPort, plan.server_weather);
  network_.set_weather(kSessionPort, plan.client_weather);
  network_.set_weather(kTransactionPort, plan.client_weather);
  for (std::uint16_t i = 0; i < plan.apps.size(); ++i)
    for (const std::uint16_t first : {kSessionPorts, kTransactionPorts})
      network_.set_weather(static_cast<std::uint16_t>(first + i), plan.client_weather);
  Postgres::Options options;
  options.ask = plan.ask;
  options.passwords = plan.passwords;
  options.max_connections = plan.budget.postgres;
  postgres_ = std::make_unique<Postgres>(server_loop_, options);
  postgres_->queued = [this](const std::string& database, const std::string& payload) {
    board_.queued(database, payload);
  };
  postgres_->start();
  if (!plan.direct) {
    set_limits();
    middle_ = std::make_unique<Middle>(sim_, network_, offload_, resolver_, plan);
  }
  const Rules rules{plan.faults, !plan.direct,          plan.new_passwords, &drain_,
                    &board_,     !plan.reloads.empty(), plan.warns,         plan.limits};
  for (const ClientPlan& c : plan.clients) {
    clients_.push_back(std::make_unique<Client>(client_loop_, c, rules, random_.fork()));
    clients_.back()->start();
  }
  for (const ClientPlan& r : plan.replicas) {
    replicas_.push_back(std::make_unique<Replica>(client_loop_, r, rules, more_random_.fork()));
    replicas_.back()->start();
  }
  for (unsigned i = 0; i < plan.hostile; ++i) {
    const net::Address to = plan.clients[i % plan.clients.size()].address;
    hostile_.push_back(
        std::make_unique<Hostile>(client_loop_, to, static_cast<int>(i), random_.fork()));
    hostile_.back()->start();
  }
}

void World::set_limits() {
  postgres_->set_limit("shop", plan.pool_size + plan.overflow);
  for (const Plan::Database& one : plan.more)
    postgres_->set_limit(one.name, one.pool_size + one.overflow);
  if (!plan.budget.any) return;
  postgres_->allow(plan.budget.postgres);
  postgres_->set_budget("", "", plan.budget.host);
  for (const auto& [name, most] : plan.budget.databases) postgres_->set_budget(name, "", most);
  for (const auto& [name, most] : plan.budget.users) postgres_->set_budget("", name, most);
}

// Other sizes, other time limits (middle.cc draws those), sometimes another password for everybody.
void World::reload() {
  if (drain_.begun) return;
  const auto resize = [&](unsigned& size, unsigned& overflow) {
    size = static_cast<unsigned>(more_random_.between(1, 4));
    overflow = static_cast<unsigned>(more_random_.below(3));
  };
  resize(plan.pool_size, plan.overflow);
  for (Plan::Database& one : plan.more) resize(one.pool_size, one.overflow);
  choose_budget();
  sim_.trace("world: reload, pool {}+{}", plan.pool_size, plan.overflow);
  set_limits();
  if (!plan.apps.empty()) {
    choose_terms(app_random_);
    terms_since_ = sim_.now();
  }
  middle_->reload(plan.new_passwords && more_random_.chance(500));
}

void World::drain() {
  sim_.trace("world: drain within {} us", plan.drain_limit.count());
  drain_.begun = true;
  const Time from = sim_.now();
  sim_.after(plan.drain_limit, [this] { drain_.over = true; });
  middle_->drain(plan.drain_limit, [this, from] {
    sim_.trace("world: drained");
    if (drain_.done) return sim_.fail("the drain ended twice");
    drain_.done = true;
    if (sim_.now() > from + plan.drain_limit + 2s) sim_.fail("the drain took too long");
    sim_.after(Duration(more_random_.below(2'000'000)), [this] { middle_->stop(); });
  });
}

void World::schedule_faults() {
  for (const Time when : plan.reloads) sim_.at(when, [this] { reload(); });
  if (plan.drain) sim_.at(*plan.drain, [this] { drain(); });
  for (unsigned i = 0; i < plan.restarts; ++i) {
    const Duration when(random_.below(4'000'000));
    const Duration down(random_.below(3'000'000));
    const bool politely = random_.chance(500);
    sim_.after(when, [this, politely] { postgres_->stop(politely); });
    sim_.after(when + down / 2, [this] { postgres_->refuse_starting(true); });
    sim_.after(when + down, [this] {
      postgres_->refuse_starting(false);
      postgres_->start();
    });
  }
  for (unsigned i = 0; i < plan.kills; ++i) {
    sim_.after(Duration(random_.below(4'000'000)),
               [this, politely = random_.chance(500)] { postgres_->kill_one(politely); });
  }
}

bool World::all_finished() const {
  return std::ranges::all_of(clients_, [](const auto& c) { return c->finished(); }) &&
         std::ranges::all_of(replicas_, [](const auto& r) { return r->finished(); }) &&
         std::ranges::all_of(hostile_, [](const auto& h) { return h->finished(); });
}

// No app holds more than it may, and no more sessions than may hold a server. What was held before
// a reload made it too much may stay, and what a reload limits for the first time is counted when
// it has come to all workers.
void World::check_shares() {
  const bool settled = sim_.now() > terms_since_ + kReloaded;
  const auto use = middle_->apps();
  unsigned sessions = 0;
  for (const Plan::App& app : plan.apps) {
    const auto found = use.find(app.name);
    if (found == use.end()) continue;
    const unsigned leased = found->second.leased;
    const unsigned before = std::exchange(held_[app.name], leased);
    if (settled && app.most && leased > *app.most && leased > before)
      sim_.fail(
          fmt::format("app {} holds {} servers, and may hold {}", app.name, leased, *app.most));
    if (app.most && settled && found->second.taken < leased)
      sim_.fail(fmt::format("app {} holds {} servers, and {} are counted", app.name, leased,
                            found->second.taken));
  }
  for (const auto& [name, one] : use) sessions += one.sessions;
  const unsigned before = std::exchange(sessions_held_, sessions);
  const auto databases = static_cast<unsigned>(1 + plan.more.size());
  if (settled && plan.sessions > 0 && sessions > plan.sessions * databases && sessions > before)
    sim_.fail(fmt::format("{} sessions hold a server, and {} may in each of {} databases", sessions,
                          plan.sessions, databases));
}

// Runs until then, or until nobody has anything to do; false when something is wrong.
bool World::drive(Time until, bool to_the_end) {
  std::uint64_t n = 0;
  while (!sim_.failure() && sim_.next() <= until && sim_.step()) {
    if (!plan.apps.empty()) check_shares();
    if (sim_.steps() > kSteps) sim_.fail("too many steps: something is running in circles");
    if (!to_the_end && ++n % 64 == 0 && all_finished()) break;
  }
  return !sim_.failure();
}

void World::check_end() {
  std::string late;
  for (const auto& c : clients_)
    if (!c->finished()) late += c->describe() + "; ";
  for (const auto& r : replicas_)
    if (!r->finished()) late += r->describe() + "; ";
  for (const auto& h : hostile_) late += h->finished() ? "" : "a hostile one; ";
  if (!late.empty()) return sim_.fail("not served in time: " + late);
  // Silence may last as long as keep-alive; then everything must be quiet.
  if (!drive(sim_.now() + 200s, true)) return;
  if (drain_.begun && !drain_.done) return sim_.fail("the drain has no end");
  if (postgres_->in_transaction() > 0)
    return sim_.fail("a server is still in a transaction:\n" + postgres_->describe());
  if (plan.direct && postgres_->backends() > 0)
    return sim_.fail("a server is left over:\n" + postgres_->describe());
  if (middle_) middle_->check_quiet();
}

Verdict World::run() {
  build();
  schedule_faults();
  sim_.trace("world: {}", summary());
  if (drive(kLimit, false)) check_end();
  if (middle_ && !sim_.failure()) {
    middle_->stop();
    if (network_.open_to(kPostgresPort, 0) > 0)
      sim_.fail("connections to PostgreSQL are left over");
    if (network_.detached() > 0) sim_.fail("detached connections are left over");
  }
  unsigned answered = 0;
  for (const auto& c : clients_) answered += c->answered();
  Verdict out;
  out.passed = !sim_.failure();
  out.reason = sim_.failure().value_or("");
  out.summary = fmt::format("{}, {} replies, {} steps", summary(), answered, sim_.steps());
  return out;
}

std::string World::summary() const {
  return fmt::format(
      "{} clients, {} replicas, {} hostile, pool {}+{}, {} more databases, {} users, {} "
      "workers{}{}{}, {} restarts, {} kills, {} reloads{}{}{}{}{}",
      plan.clients.size(), plan.replicas.size(), plan.hostile, plan.pool_size, plan.overflow,
      plan.more.size(), users().size(), plan.workers, plan.faults ? ", faults" : "",
      plan.vanishing ? ", vanishing" : "", plan.cancelling ? ", cancels" : "", plan.restarts,
      plan.kills, plan.reloads.size(), plan.new_passwords ? ", new passwords" : "",
      plan.drain ? ", drain" : "",
      plan.apps.empty() ? "" : fmt::format(", {} apps", plan.apps.size()),
      plan.limits == config::TimeLimits{} ? "" : ", time limits",
      plan.budget.any ? fmt::format(", budget of {} at host, postgres {}", plan.budget.host,
                                    plan.budget.postgres)
                      : "");
}

}  // namespace pgw::sim

#include "server/budgets.h"

#include <algorithm>

#include "base/log.h"
#include "server/pool.h"

namespace pgw::server {

using pool::Budget;
using pool::Level;
using pool::Place;
using Kind = pool::Level::Kind;

namespace {

constexpr Duration kProbeFirst = 250ms;
constexpr Duration kProbeMost = 5s;
constexpr Duration kCramped = 1s;
constexpr Duration kCheckRetry = 10s;
constexpr Duration kForget = 1min;  // after the last refusal
constexpr std::size_t kLevelsKept = 64;

unsigned whole_limit(const config::Settings& settings) {
  return settings.max_connections == 0 ? Level::kNoLimit : settings.max_connections;
}

}  // namespace

// --- Account ---

Account::Account(Budgets& budgets, net::Loop& loop, Pool& pool, std::weak_ptr<bool> alive)
    : budgets_(budgets), loop_(loop), pool_(pool), alive_(std::move(alive)) {
  const std::scoped_lock lock(budgets_.mutex_);
  budgets_.accounts_.insert(this);
}

Account::~Account() {
  const std::scoped_lock lock(budgets_.mutex_);
  budgets_.accounts_.erase(this);
}

void Account::settle(const std::string& host, const std::string& database, const std::string& user,
                     unsigned most) {
  const std::scoped_lock lock(budgets_.mutex_);
  name = fmt::format("{}/{}", database, user);
  database_ = database;
  most_ = most;
  levels_ = {budgets_.level(Kind::user, user), budgets_.level(Kind::database, database),
             budgets_.level(Kind::host, host)};
  host_ = std::static_pointer_cast<Host>(levels_.back());
}

// --- Seat ---

Seat& Seat::operator=(Seat&& other) noexcept {
  if (this == &other) return *this;
  drop();
  account_ = other.account_;
  host_ = std::move(other.host_);
  place_ = std::move(other.place_);
  pid_ = std::exchange(other.pid_, 0);
  since_ = std::exchange(other.since_, std::nullopt);
  return *this;
}

bool Seat::ask(Account& account, const pool::Claim& claim, bool apart, Time now) {
  Budgets::Lines lines;
  bool whole = false;
  {
    const std::scoped_lock lock(account.budgets_.mutex_);
    account_ = &account;
    host_ = account.host_;
    place_ = std::make_unique<Place>();
    place_->party = &account;
    place_->apart = apart;
    place_->claim = claim;
    place_->levels = account.levels_;
    if (apart) place_->levels = {nullptr, nullptr, account.levels_.back()};
    whole = Budget::ask(*place_);
    if (whole)
      account.budgets_.cross_thresholds(*host_, now, lines);
    else
      account.budgets_.ask_holders(*place_->blocked());
  }
  Budgets::say(lines);
  return whole;
}

bool Seat::granted() {
  if (!place_) return false;
  const std::scoped_lock lock(account_->budgets_.mutex_);
  if (!place_->whole()) return false;
  if (Budget::within(*place_)) return true;
  // A limit was lowered meanwhile.
  Budget::Granted others;
  Budget::drop(*place_, others);
  account_->budgets_.post_all(others);
  if (Budget::ask(*place_)) return true;
  account_->budgets_.ask_holders(*place_->blocked());
  return false;
}

void Seat::refresh(const pool::Claim& claim) {
  if (!place_) return;
  const std::scoped_lock lock(account_->budgets_.mutex_);
  place_->claim = claim;
}

void Seat::drop() {
  if (!place_) return;
  Budgets& budgets = account_->budgets_;
  const std::scoped_lock lock(budgets.mutex_);
  if (since_) host_->backends.erase(host_->backends.find(pid_));
  since_.reset();
  Budget::Granted granted;
  Budget::drop(*place_, granted);
  budgets.post_all(granted);
  place_.reset();
  host_.reset();
}

void Seat::logged_in(std::uint32_t pid, Time now) {
  if (!place_) return;
  const std::scoped_lock lock(account_->budgets_.mutex_);
  pid_ = pid;
  since_ = now;
  host_->backends.insert(pid);
  if (!host_->lowered || host_->backends.size() < host_->believed) return;
  host_->backoff.succeeded();
  host_->cramped = false;
  host_->pause = kProbeFirst;
  host_->probe_at = std::min(host_->probe_at, now + kProbeFirst);
}

void Seat::leaving() {
  if (!place_) return;
  const std::scoped_lock lock(account_->budgets_.mutex_);
  Budget::mark_leaving(*place_);
}

bool Seat::settle_down() {
  if (!place_) return true;
  const std::scoped_lock lock(account_->budgets_.mutex_);
  return Budget::settle_down(*place_);
}

void Seat::move_on() {
  if (!place_) return;
  const std::scoped_lock lock(account_->budgets_.mutex_);
  Budget::move_on(*place_);
}

bool Seat::may_stay() const {
  if (!place_) return true;
  const std::scoped_lock lock(account_->budgets_.mutex_);
  return Budget::may_stay(*place_);
}

Seat::Verdict Seat::judge(const pool::Claim* own, Time now) {
  if (!place_) return Verdict::stay;
  const std::scoped_lock lock(account_->budgets_.mutex_);
  return Budget::judge(*place_, own, since_ ? now - *since_ : 0us, Budgets::kQuantum);
}

Duration Seat::ripe_in(Time now) const {
  const Duration age = since_ ? now - *since_ : 0us;
  return std::max<Duration>(Budgets::kQuantum - age, 0us);
}

std::optional<Full> Seat::full() const {
  if (!place_) return {};
  const std::scoped_lock lock(account_->budgets_.mutex_);
  const Level* const level = place_->blocked();
  if (!level) return {};
  Full out{.kind = level->kind,
           .name = level->name,
           .used = level->used - level->early,
           .early = level->early,
           .top = level->top(3)};
  out.limit = level->believed < level->limit ? Level::kNoLimit : level->limit;
  if (level->kind == Kind::host && out.limit != Level::kNoLimit) {
    out.limit = host_->settings.max_connections;
    out.reserved = out.limit - level->limit;
  }
  return out;
}

// --- Errand ---

Errand::Errand(Account& account, std::move_only_function<void()> go)
    : budgets_(account.budgets_), loop_(account.loop_), go_(std::move(go)) {
  bool now = false;  // runs_ may be another thread's from here on
  {
    const std::scoped_lock lock(budgets_.mutex_);
    host_ = account.host_;
    const bool bounded = host_->settings.max_connections != 0;
    now = runs_ = !bounded || host_->errands < host_->settings.reserve;
    if (now)
      ++host_->errands;
    else
      host_->errands_waiting.push_back(this);
  }
  if (now) go_();
}

Errand::~Errand() {
  const std::scoped_lock lock(budgets_.mutex_);
  if (!runs_) {
    std::erase(host_->errands_waiting, this);
    return;
  }
  --host_->errands;
  budgets_.run_errands(*host_);
}

void Budgets::run_errands(Host& host) {
  const auto& set = host.settings;
  while (!host.errands_waiting.empty() &&
         (set.max_connections == 0 || host.errands < set.reserve)) {
    Errand* const next = host.errands_waiting.front();
    host.errands_waiting.pop_front();
    next->runs_ = true;
    ++host.errands;
    next->loop_.post([next, alive = std::weak_ptr(next->alive_)] {
      if (!alive.expired()) next->go_();
    });
  }
}

// --- limits ---

std::shared_ptr<Level> Budgets::level(Kind kind, const std::string& name) {
  if (levels_.size() >= sweep_at_) {
    std::erase_if(levels_, [](const auto& one) { return one.second.expired(); });
    sweep_at_ = std::max(kLevelsKept, 2 * levels_.size());
  }
  auto& slot = levels_[{kind, name}];
  auto level = slot.lock();
  if (level) return level;
  if (kind == Kind::host)
    level = std::make_shared<Host>(name);
  else
    level = std::make_shared<Level>(kind, name);
  slot = level;
  Budget::Granted nobody;
  set_limits(*level, nobody);
  return level;
}

void Budgets::set_limits(Level& level, Budget::Granted& granted) {
  unsigned limit = level.limit;
  if (level.kind == Kind::host) {
    auto& host = static_cast<Host&>(level);
    host.settings = snapshot_->host_settings(level.name);
    limit = whole_limit(host.settings);
    if (limit != Level::kNoLimit) limit -= std::min(host.settings.reserve, limit - 1);
    run_errands(host);
  } else if (level.kind == Kind::user) {
    limit = snapshot_->user_connections(level.name);
    if (limit == 0) limit = Level::kNoLimit;
  } else if (const auto* database = snapshot_->find(level.name)) {
    limit = whole_limit(database->settings);
  }
  Budget::limit(level, limit, level.believed, granted);
}

void Budgets::configure(config::SnapshotPtr snapshot) {
  const std::scoped_lock lock(mutex_);
  snapshot_ = std::move(snapshot);
  Budget::Granted granted;
  for (const auto& [key, weak] : levels_) {
    const auto level = weak.lock();
    if (!level) continue;
    set_limits(*level, granted);
    if (level->too_many() > 0) ask_holders(*level);
  }
  post_all(granted);
}

void Budgets::post(Account& account) {
  if (std::exchange(account.posted_, true)) return;
  account.loop_.post([this, &account, alive = account.alive_] {
    if (alive.expired()) return;
    {
      const std::scoped_lock lock(mutex_);
      account.posted_ = false;
    }
    account.pool_.budget_news();
  });
}

void Budgets::post_all(const Budget::Granted& granted) {
  for (Place* place : granted) {
    if (const Level* const level = place->blocked())
      ask_holders(*level);
    else
      post(*static_cast<Account*>(place->party));
  }
}

// They close idle servers as long as somebody goes short. At most as many as there are places.
void Budgets::ask_holders(const Level& level) {
  for (const auto& [party, places] : level.holders) post(*static_cast<Account*>(party));
}

// --- PostgreSQL refuses ---

void Budgets::refused(Account& account, const Error& why, Random& random, Time now) {
  Lines lines;
  {
    const std::scoped_lock lock(mutex_);
    Host& host = *account.host_;
    // Those that were on their way together count as one.
    if (!host.lowered || now >= host.refused_at + host.pause) {
      host.pause = host.backoff.failed(kProbeFirst, kProbeMost, random.share());
      host.refused_at = now;
      host.probe_at = now + host.pause;
    }
    if (!std::exchange(host.lowered, true)) {
      host.lowered_from = host.used;
      host.lowered_at = now;
      lines.push_back(
          fmt::format("PostgreSQL at {} takes no more connections: {}; {} are pgweir's, which is "
                      "all that it is "
                      "believed to give for now; clients wait, and one more is tried after {} ms",
                      host.name, why.what(), host.backends.size(), host.pause.count() / 1000));
    }
    host.lowered_from = std::max(host.lowered_from, host.used);
    const auto in = static_cast<unsigned>(host.backends.size());
    Budget::Granted granted;
    Budget::limit(host, host.limit, in, granted);
    post_all(granted);
    // Those that listen would keep everybody else from ever being served.
    host.cramped = host.resident > 0 && host.resident >= in && now >= host.lowered_at + kCramped;
    if (host.cramped) ask_holders(host);
  }
  say(lines);
}

Duration Budgets::probe(Account& account, Time now) {
  Lines lines;
  Duration again{};
  {
    const std::scoped_lock lock(mutex_);
    Host& host = *account.host_;
    if (!host.lowered) return 0us;
    if (now >= host.probe_at) {
      host.probe_at = now + host.pause;
      Budget::Granted granted;
      Budget::limit(host, host.limit, host.believed + 1, granted);
      post_all(granted);
      if (host.believed > std::min(host.limit, host.lowered_from) ||
          now >= host.refused_at + kForget)
        recover(host, lines);
    }
    if (host.lowered) again = host.probe_at - now;
  }
  say(lines);
  return again;
}

void Budgets::recover(Host& host, Lines& lines) {
  host.lowered = host.cramped = false;
  host.backoff.succeeded();
  Budget::Granted granted;
  Budget::limit(host, host.limit, Level::kNoLimit, granted);
  post_all(granted);
  lines.push_back(fmt::format("PostgreSQL at {} takes more connections again: {} are pgweir's",
                              host.name, host.backends.size()));
}

// --- PostgreSQL's own numbers ---

bool Budgets::wants_check(Account& account, Time now) {
  const std::scoped_lock lock(mutex_);
  Host& host = *account.host_;
  if (host.asking || now < host.ask_at || host.settings.host_interval == 0us) return false;
  return host.asking = true;
}

Duration Budgets::next_check(Account& account, Time now) {
  const std::scoped_lock lock(mutex_);
  const Host& host = *account.host_;
  if (host.asking || host.settings.host_interval == 0us) return Duration::max();
  return std::max<Duration>(host.ask_at - now, 0us);
}

HostAnswer Budgets::begin_check(Account& account) {
  const std::scoped_lock lock(mutex_);
  return HostAnswer(account.host_->backends);
}

void Budgets::checked(Account& account, HostAnswer* answer, Time now) {
  Lines lines;
  {
    const std::scoped_lock lock(mutex_);
    Host& host = *account.host_;
    host.asking = false;
    host.ask_at = now + kCheckRetry;
    if (answer) {
      if (auto numbers = answer->finish(host.backends, now)) {
        host.numbers = std::move(numbers);
        const HostNumbers& n = *host.numbers;
        host.room = n.room() - std::min(n.room(), n.others);
        host.ask_at = now + host.settings.host_interval;
        weigh_promise(host, lines);
        cross_thresholds(host, now, lines);
      }
    }
  }
  say(lines);
}

// What pgweir may open there, against what PostgreSQL has.
void Budgets::weigh_promise(Host& host, Lines& lines) {
  std::map<std::string, std::pair<unsigned, unsigned>> databases;  // servers of its pools, pools
  for (const Account* account : accounts_) {
    if (account->host_.get() != &host) continue;
    auto& [servers, pools] = databases[account->database_];
    servers += account->most_;
    ++pools;
  }
  unsigned promised = 0;
  std::string sum;
  for (const auto& [name, one] : databases) {
    const auto* database = snapshot_->find(name);
    const unsigned most = database ? whole_limit(database->settings) : Level::kNoLimit;
    const unsigned servers = std::min(one.first, most);
    promised += servers;
    if (sum.size() < 200)
      sum += fmt::format("{}{} for database \"{}\" ({})", sum.empty() ? "" : " + ", servers, name,
                         servers < one.first
                             ? "its max_connections"
                             : fmt::format("{} pool{}", one.second, one.second == 1 ? "" : "s"));
  }
  const unsigned limit = whole_limit(host.settings);
  const std::string section = fmt::format("[hosts.\"{}\"]", host.name);
  std::string what = fmt::format("{} = {}", promised, sum);
  if (limit <= promised) {
    promised = limit;
    what = fmt::format("{}, the max_connections of {}", limit, section);
  }
  const HostNumbers& n = *host.numbers;
  const bool too_much = promised > n.room();
  const bool crowded = !too_much && promised + n.others > n.room();
  std::string promise;
  if (too_much || crowded)
    promise = fmt::format("{} of {} - {} - {} = {}", what, n.max_connections, n.superuser_reserved,
                          n.reserved, n.room());
  if (std::exchange(host.promise, promise) == promise || promise.empty()) return;
  std::string others;
  for (const auto& [app, count] : n.by_app)
    if (others.size() < 200)
      others += fmt::format("{}{} {}", others.empty() ? "" : ", ", app.empty() ? "(no name)" : app,
                            count);
  lines.push_back(fmt::format(
      "more is promised than PostgreSQL at {} has: pgweir may open {}; there, max_connections {} - "
      "superuser_reserved_connections {} - reserved_connections {} leave {}, and others use {} of "
      "them{}; set max_connections in {} to at most {}",
      host.name, what, n.max_connections, n.superuser_reserved, n.reserved, n.room(), n.others,
      others.empty() ? "" : fmt::format(" ({})", others), section,
      n.room() > n.others ? n.room() - n.others : 0));
}

void Budgets::cross_thresholds(Host& host, Time now, Lines& lines) {
  unsigned total = host.settings.max_connections;
  unsigned used = host.used + host.errands;
  if (total == 0 && host.numbers) {
    total = host.numbers->room();
    used += host.numbers->others;
  }
  if (total == 0) return;
  const auto share = std::uint64_t{used} * 100 / total;
  const unsigned colour = share >= host.settings.host_red      ? 2
                          : share >= host.settings.host_yellow ? 1
                                                               : 0;
  if (std::exchange(host.colour, colour) >= colour) return;
  const auto left_out = host.told[colour - 1].pass(now);
  if (!left_out) return;
  std::string top;
  for (const auto& [name, places] : host.top(3))
    top += fmt::format("{}{} {}", top.empty() ? "" : ", ", name, places);
  lines.push_back(fmt::format("PostgreSQL at {} is {}: {} of {} connections are in use ({}){}",
                              host.name, colour == 2 ? "red" : "yellow", used, total, top,
                              more_text(*left_out)));
}

void Budgets::say(const Lines& lines) {
  for (const auto& line : lines) log(pgw::Level::warning, {}, "{}", line);
}

std::map<std::string, Budgets::Report> Budgets::hosts() const {
  const std::scoped_lock lock(mutex_);
  std::map<std::string, Report> out;
  for (const auto& [key, weak] : levels_) {
    const auto level = weak.lock();
    if (!level || key.first != Kind::host) continue;
    const auto& host = static_cast<const Host&>(*level);
    out[key.second] = {.limit = host.limit,
                       .reserve = host.settings.reserve,
                       .believed = host.believed,
                       .used = host.used,
                       .waiting = static_cast<unsigned>(host.waiting.size()),
                       .top = host.top(3),
                       .numbers = host.numbers};
  }
  return out;
}

}  // namespace pgw::server

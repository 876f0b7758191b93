#include "postgres.h"

#include <algorithm>

#include "backend.h"

namespace pgw::sim {

Postgres::Postgres(SimLoop& loop, Options options) : loop_(loop), options_(std::move(options)) {}

Postgres::~Postgres() = default;

void Postgres::start() {
  auto listener = loop_.listen(options_.address, *this);
  if (!listener) return sim().fail("the scripted PostgreSQL cannot listen");
  listener_ = std::move(*listener);
  sim().trace("pg: listening");
}

void Postgres::stop(bool politely) {
  sim().trace("pg: stopping {}", politely ? "politely" : "at once");
  listener_.reset();
  std::vector<Backend*> all;
  for (const auto& [pid, backend] : backends_) all.push_back(backend.get());
  for (Backend* backend : all) backend->die(politely);
}

void Postgres::kill_one(bool politely) {
  if (backends_.empty()) return;
  auto it = backends_.begin();
  std::advance(it, static_cast<long>(sim().random.below(backends_.size())));
  it->second->die(politely);
}

std::size_t Postgres::in_transaction() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      backends_, [](const auto& b) { return b.second->block() != 'I' || !b.second->idle(); }));
}

std::string Postgres::describe() const {
  std::string out;
  for (const auto& [pid, backend] : backends_) out += backend->describe() + "\n";
  return out;
}

void Postgres::gone(Backend& backend) {
  const auto it = backends_.find(backend.pid());
  if (it == backends_.end()) return;
  // It may be inside one of its own calls: it dies a little later.
  dead_.push_back(std::move(it->second));
  backends_.erase(it);
  loop_.ready([this] { dead_.clear(); });
}

void Postgres::cancel(int pid, std::uint32_t key, const std::shared_ptr<Link>& over) {
  // A pooler has at most one of them open for each of its servers.
  const auto before = std::exchange(cancels_[pid], over).lock();
  if (!limits_.empty() && before && before->end(0).stream)
    sim().fail(fmt::format("two cancel requests for pg{} at a time", pid));
  const auto it = backends_.find(pid);
  if (it != backends_.end() && it->second->key() == key) it->second->interrupt();
}

void Postgres::set_limit(const std::string& database, unsigned most) {
  auto& limits = limits_[database];
  if (!limits.empty()) limits.back().until = sim().now();
  limits.push_back({most});
}

void Postgres::logged_in(Backend& backend) {
  check_budgets();
  const auto limits = limits_.find(backend.database());
  if (limits == limits_.end() || backend.is_replication()) return;  // counted apart by PostgreSQL
  const unsigned limit = most(limits->second);
  unsigned n = 0;
  for (const auto& [pid, other] : backends_) {
    if (other->is_session() && !other->is_replication() && !other->holder_left() &&
        other->user() == backend.user() && other->database() == backend.database())
      ++n;
  }
  if (n > limit) {
    sim().fail(fmt::format("{} servers of {}/{}, the limit is {}", n, backend.database(),
                           backend.user(), limit));
  }
}

void Postgres::set_budget(const std::string& database, const std::string& user, unsigned most) {
  auto& limits = budgets_[{database, user}];
  if (!limits.empty()) limits.back().until = sim().now();
  limits.push_back({most == 0 ? ~0u : most});
}

unsigned Postgres::most(const Limits& limits) {
  unsigned out = 0;
  for (const Limit& one : limits)
    if (one.until == Time::max() || one.until + kGrace > sim().now()) out = std::max(out, one.most);
  return out;
}

void Postgres::check_budgets() {
  for (const auto& [key, limits] : budgets_) {
    const auto& [database, user] = key;
    const bool all = database.empty() && user.empty();
    unsigned n = 0;
    for (const auto& [pid, one] : backends_) {
      if (one->holder_left()) continue;
      n += all || (one->is_session() && !one->is_replication() &&
                   (database.empty() || one->database() == database) &&
                   (user.empty() || one->user() == user));
    }
    if (n > most(limits))
      sim().fail(
          fmt::format("{} connections of database \"{}\", user \"{}\"; the budget is {}:\n{}", n,
                      database, user, most(limits), describe()));
  }
}

std::vector<std::vector<std::optional<std::string>>> Postgres::numbers() const {
  std::vector<std::vector<std::optional<std::string>>> rows{
      {"setting", "max_connections", std::to_string(options_.max_connections)},
      {"setting", "superuser_reserved_connections", "0"}};
  for (const auto& [pid, one] : backends_)
    if (one->is_session()) rows.push_back({"backend", "", std::to_string(pid)});
  return rows;
}

bool Postgres::full() const {
  const auto sessions = std::ranges::count_if(backends_, [](const auto& b) {
    return b.second->is_session() && !b.second->is_replication();  // those have max_wal_senders
  });
  return static_cast<std::size_t>(sessions) >= options_.max_connections;
}

void Postgres::on_accept(std::unique_ptr<net::Stream> stream) {
  const int pid = next_pid_++;
  backends_[pid] = std::make_unique<Backend>(*this, std::move(stream), pid);
  check_budgets();
}

}  // namespace pgw::sim

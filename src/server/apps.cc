#include "server/apps.h"

#include <algorithm>

namespace pgw::server {

unsigned App::leased() const {
  unsigned out = 0;
  for (unsigned i = 0; i < workers; ++i) out += loads[i].leased.get();
  return out;
}

void Apps::prepare(unsigned workers, config::SnapshotPtr snapshot) {
  const std::scoped_lock lock(mutex_);
  workers_ = workers;
  snapshot_ = std::move(snapshot);
}

void Apps::configure(config::SnapshotPtr snapshot) {
  const std::scoped_lock lock(mutex_);
  snapshot_ = std::move(snapshot);
  for (auto& [name, app] : apps_) set_limit(*app);
  for (auto& [database, weak] : sessions_)
    if (const auto budget = weak.lock()) set_limit(database, *budget);
}

std::shared_ptr<App> Apps::of(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  if (apps_.size() >= sweep_at_) {
    std::erase_if(apps_, [&](const auto& one) {
      return one.second.use_count() == 1 && one.first != name &&
             !snapshot_->apps.contains(one.first);
    });
    sweep_at_ = std::max(kKeptMost, 2 * apps_.size());
  }
  auto& slot = apps_[name];
  if (!slot) {
    slot = std::make_shared<App>(name, workers_);
    set_limit(*slot);
  }
  return slot;
}

std::shared_ptr<Allowance> Apps::sessions_of(const std::string& database) {
  const std::scoped_lock lock(mutex_);
  auto& slot = sessions_[database];
  auto budget = slot.lock();
  if (!budget) {
    slot = budget = std::make_shared<Allowance>();
    set_limit(database, *budget);
    std::erase_if(sessions_, [](const auto& one) { return one.second.expired(); });
  }
  return budget;
}

void Apps::set_limit(App& app) const {
  app.servers->set_most(snapshot_->terms_of(app.name).servers.value_or(Allowance::kNoLimit));
}

void Apps::set_limit(const std::string& database, Allowance& budget) const {
  const auto* found = snapshot_->find(database);
  const auto most = found ? found->settings.session_connections : 0;
  budget.set_most(most == 0 ? Allowance::kNoLimit : most);
}

std::map<std::string, AppUse> Apps::use() const {
  const std::scoped_lock lock(mutex_);
  std::map<std::string, AppUse> out;
  for (const auto& [name, app] : apps_) {
    AppUse& use = out[name];
    use.most = app->servers->most();
    use.taken = app->servers->taken();
    for (unsigned i = 0; i < app->workers; ++i) {
      const AppLoad& load = app->loads[i];
      use.leased += load.leased.get();
      use.sessions += load.sessions.get();
      use.waiting += load.waiting.get();
      use.waits += load.waits.get();
      use.refused += load.refused.get();
      const auto longest = load.longest_us.load(std::memory_order_relaxed);
      use.longest = std::max(use.longest, Duration(longest));
    }
  }
  return out;
}

std::map<std::string, std::uint32_t> Apps::sessions() const {
  const std::scoped_lock lock(mutex_);
  std::map<std::string, std::uint32_t> out;
  for (const auto& [database, weak] : sessions_)
    if (const auto budget = weak.lock(); budget && budget->limited())
      out.emplace(database, budget->taken());
  return out;
}

}  // namespace pgw::server

// The apps behind the clients, over all pools and workers: what each may have, and what it has; and
// the sessions that each database may have. Thread: any; at logins and reloads, not for queries.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "config/snapshot.h"
#include "server/allowance.h"
#include "stats/gauges.h"
#include "stats/pinning.h"

namespace pgw::server {

// Of one app on one worker: written by that alone, read by any.
struct alignas(64) AppLoad {
  stats::Gauge leased;                       // servers that its clients hold
  stats::Gauge sessions;                     // of them, in session mode
  stats::Gauge waiting;                      // clients that wait for one
  stats::Counter waits;                      // that were not served at once
  stats::Counter refused;                    // that got none
  std::atomic<std::uint64_t> longest_us{0};  // of the waits that have ended
};

struct App {
  App(std::string its_name, unsigned its_workers)
      : name(std::move(its_name)),
        workers(its_workers),
        loads(std::make_unique<AppLoad[]>(its_workers)) {}
  const std::string name;
  const unsigned workers;
  const std::shared_ptr<Allowance> servers = std::make_shared<Allowance>();
  const std::unique_ptr<AppLoad[]> loads;  // by worker
  unsigned leased() const;
};

// The same, as read.
struct AppUse {
  std::uint32_t leased = 0, sessions = 0, waiting = 0;
  std::uint64_t waits = 0, refused = 0;
  Duration longest{};
  std::uint32_t most = Allowance::kNoLimit;  // servers
  std::uint32_t taken = 0;                   // of these, with those that are about to be used
};

class Apps {
 public:
  // Before the first app.
  void prepare(unsigned workers, config::SnapshotPtr snapshot);
  // New limits, for those that are there, too. Pools are told after it.
  void configure(config::SnapshotPtr snapshot);

  std::shared_ptr<App> of(const std::string& name);
  std::shared_ptr<Allowance> sessions_of(const std::string& database);

  std::map<std::string, AppUse> use() const;
  // Sessions that hold a server, by database; of those databases that limit them.
  std::map<std::string, std::uint32_t> sessions() const;

 private:
  // Apps that nobody belongs to any more are remembered, so many; clients choose their names.
  static constexpr std::size_t kKeptMost = 200;
  void set_limit(App& app) const;
  void set_limit(const std::string& database, Allowance& budget) const;
  mutable std::mutex mutex_;
  unsigned workers_ = 1;
  config::SnapshotPtr snapshot_;
  std::size_t sweep_at_ = kKeptMost;
  std::map<std::string, std::shared_ptr<App>> apps_;
  std::map<std::string, std::weak_ptr<Allowance>> sessions_;
};

}  // namespace pgw::server

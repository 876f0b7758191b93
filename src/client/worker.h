// One thread's share of the pooler: it accepts and logs in whoever comes, and serves the pools that
// live on it. Thread: its loop's, but for what says otherwise.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "auth/userlist.h"
#include "auth/verifiers.h"
#include "client/client.h"
#include "client/headcount.h"
#include "client/leaks.h"
#include "client/login.h"
#include "client/name_table.h"
#include "client/slow.h"
#include "config/snapshot.h"
#include "server/context.h"
#include "server/pool.h"

namespace pgw::client {

// What all workers share; changed as a whole by a reload, and then posted to each.
struct Rules {
  config::SnapshotPtr snapshot;
  std::shared_ptr<const auth::Userlist> users;
  std::shared_ptr<const auth::Verifiers> verifiers;  // made by the pooler
};

// What all workers share for good.
struct Shared {
  auth::Key process_secret{};
  Headcount clients;  // logged in, on all workers: max_clients is exact
  std::vector<class Worker*> workers;
  server::Contacts contacts;
  server::Schemas schemas;
  server::Apps apps;
  server::Budgets budgets;
};

class Worker {
 public:
  Worker(unsigned index, Shared& shared, Rules rules, net::Loop& loop, net::Offload& offload,
         net::Resolver& resolver, Random random);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before the loop runs.
  Result<net::Address> listen(const net::Address& address, const config::Listen& listener);
  void stop_listening();
  void configure(Rules rules);
  // No new clients; those that are there go when their transactions are over.
  void drain(const Error& why);
  void end_all(const Error& why);
  // Destroys every connection. The loop does not run any more.
  void clear();

  // --- for logins and clients ---
  void place(Admission admission, std::unique_ptr<net::Stream> stream, std::string early);
  // `ticket` is let go, on any thread, when the cancel is over.
  void route_cancel(std::uint32_t pid, std::uint32_t key, std::shared_ptr<void> ticket);
  void forget(Login& login);
  void forget(Client& client);
  const config::Snapshot& snapshot() const { return *rules_.snapshot; }
  const config::Settings& settings() const { return rules_.snapshot->settings; }
  const auth::Userlist& users() const { return *rules_.users; }
  const auth::Verifiers& verifiers() const { return *rules_.verifiers; }
  const auth::Key& process_secret() const { return shared_.process_secret; }
  bool draining() const { return draining_; }
  server::Context& context() { return context_; }
  net::Loop& loop() { return context_.loop; }
  relay::Statements& statements() { return statements_; }
  NameTable& names() { return names_; }
  stats::Gauges& gauges() { return gauges_; }  // reading it: any thread
  const stats::Gauges& gauges() const { return gauges_; }
  stats::Pinning& pinning() { return pinning_; }  // reading it: any thread
  const stats::Pinning& pinning() const { return pinning_; }
  Leaks& leaks() { return leaks_; }  // any thread
  const Leaks& leaks() const { return leaks_; }
  SlowStatements& slow() { return slow_; }  // any thread
  const SlowStatements& slow() const { return slow_; }
  config::TimeLimitsShelf& time_limits() { return time_limits_; }
  RateLimit tell_slow{1s};
  RateLimit tell_query{1s};
  // Prepared statements take too much memory: servers close those that no client has any more. At
  // most once a second, however often it is asked for.
  void shed_statements();
  std::uint64_t next_token() { return ++tokens_; }
  std::size_t client_count() const { return clients_.size(); }

 private:
  struct Door final : net::ListenSink {
    Door(Worker& owner, config::Listen plan) : worker(owner), listen(std::move(plan)) {}
    void on_accept(std::unique_ptr<net::Stream> stream) override;
    void on_accept_failed(const Error& why) override;
    Worker& worker;
    const config::Listen listen;
    std::unique_ptr<net::Listener> listener;
  };
  void admit(Admission admission, std::unique_ptr<net::Stream> stream, std::string early);
  server::Pool& pool_for(const Admission& admission);
  bool lends(const Admission& admission) const;
  void cancel(std::uint32_t pid, std::uint32_t key, std::shared_ptr<void> ticket);
  void sweep();
  void dismiss_unserved();
  void count_configured_apps();
  std::vector<Client*> all_clients();
  std::uint32_t fresh_pid();

  unsigned index_;
  Shared& shared_;
  Rules rules_;
  stats::Gauges gauges_;
  stats::Pinning pinning_;
  Leaks leaks_;
  SlowStatements slow_;
  config::TimeLimitsShelf time_limits_;
  relay::Statements statements_;
  NameTable names_;
  server::Graveyard graveyard_;
  server::Context context_;
  std::unordered_map<std::string, std::unique_ptr<server::Pool>> pools_;  // by database, NUL, user
  std::unordered_map<Login*, std::unique_ptr<Login>> logins_;
  std::unordered_map<std::uint32_t, std::unique_ptr<Client>> clients_;  // by pid
  std::vector<std::unique_ptr<Door>> doors_;
  std::uint32_t pids_ = 0;
  std::uint64_t tokens_ = 0;
  Time next_shed_{};
  bool draining_ = false;
  bool accept_failing_ = false;
  net::Timer sweep_timer_;
};

}  // namespace pgw::client

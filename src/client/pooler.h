// The whole pooler above the loop: its workers, and what is done to all of them.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "client/worker.h"

namespace pgw::client {

// What a pooler needs from its surroundings; all of it outlives it.
struct Machine {
  std::vector<net::Loop*> loops;  // one per worker, run by the caller's threads
  net::Offload* offload = nullptr;
  net::Resolver* resolver = nullptr;
  Random random;
};

class Pooler {
 public:
  Pooler(Rules rules, Machine machine);
  ~Pooler();  // only when no loop runs any more: closes every connection
  Pooler(const Pooler&) = delete;
  Pooler& operator=(const Pooler&) = delete;

  // Opens the listeners; before the loops run.
  Done listen();
  std::vector<net::Address> addresses() const {
    return addresses_;
  }  // with the ports that were chosen
  // Any thread.
  void reload(Rules rules);
  // No new clients; transactions finish, and what clients have not read yet is sent, within
  // `limit`; then `done` is called once, on a worker's thread.
  void drain(Duration limit, std::move_only_function<void()> done);

  struct Counts {
    unsigned clients = 0, logins = 0, servers = 0, leased = 0, overflow = 0, waiting = 0;
  };
  Counts counts() const;  // any thread
  // Why servers have stayed with clients, and how long. Any thread.
  stats::PinNumbers pins() const;
  // What each app holds and waits for, over all workers. Any thread.
  std::map<std::string, server::AppUse> apps() const { return shared_.apps.use(); }
  // The sessions that hold a server, by database, where they are limited. Any thread.
  std::map<std::string, std::uint32_t> sessions() const { return shared_.apps.sessions(); }
  // Clients that keep a server and send nothing; the slowest statements, the slowest first. Any
  // thread.
  std::vector<Leak> leaks() const;
  std::vector<SlowStatement> slow() const;
  // PostgreSQL hosts, their limits and who has their connections. Any thread.
  std::map<std::string, server::Budgets::Report> hosts() const { return shared_.budgets.hosts(); }
  // By the names that the configuration has. Any thread.
  std::map<std::string, server::Contacts::Contact> contacts() const {
    return shared_.contacts.all();
  }

 private:
  void drain_tick();
  unsigned lingering() const;  // clients that have left and have not been sent everything
  void make_verifiers(Rules& rules, const auth::Verifiers* before) const;
  Shared shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Machine machine_;
  Rules rules_;
  std::vector<net::Address> addresses_;
  std::unique_ptr<net::Timer> drain_timer_;  // on the first worker
  Time drain_until_{};
  std::move_only_function<void()> drained_;
};

// The users of a snapshot: those of its file and those it names itself. Reads the file: not on a
// worker.
Result<Rules> make_rules(config::SnapshotPtr snapshot);

}  // namespace pgw::client

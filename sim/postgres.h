// A scripted PostgreSQL on a simulated listener: it accepts connections, knows all backends, and
// crashes and restarts when the world says so.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "network.h"
#include "sim_loop.h"
#include "simulation.h"
#include "sql.h"

namespace pgw::sim {

class Backend;

enum class Ask : std::uint8_t { trust, password, md5, scram };

class Postgres final : public net::ListenSink {
 public:
  struct Options {
    net::Address address{net::Address::Kind::ipv4, "10.0.0.1", 5432};
    Ask ask = Ask::trust;
    // By user, one or more; a user who is not there is refused.
    std::multimap<std::string, std::string> passwords;
    unsigned max_connections = 100;
  };
  Postgres(SimLoop& loop, Options options);
  ~Postgres();

  void start();
  void refuse_starting(bool on) { starting_ = on; }  // answers 57P03 while on
  void stop(bool politely);  // all backends die (57P01, or a reset), and nothing listens
  void kill_one(bool politely);

  // At most this many backends of each user of this database from now on; the simulation fails when
  // there are more. What begins to connect while a higher limit holds may still come: that counts
  // for kGrace.
  void set_limit(const std::string& database, unsigned most);

  // At most this many connections in all, whatever they are for (empty names), or sessions of this
  // database, or of this user; as set_limit(). 0: any number.
  void set_budget(const std::string& database, const std::string& user, unsigned most);
  void allow(unsigned connections) { options_.max_connections = connections; }

  std::size_t backends() const { return backends_.size(); }
  std::size_t in_transaction() const;
  std::string describe() const;

  // For backends.
  void gone(Backend& backend);
  // By a request that came over this connection.
  void cancel(int pid, std::uint32_t key, const std::shared_ptr<Link>& over);
  void logged_in(Backend& backend);
  const Options& options() const { return options_; }
  bool starting() const { return starting_; }
  bool full() const;
  std::vector<std::vector<std::optional<std::string>>> numbers()
      const;  // of its connections, for pgweir
  SimLoop& loop() { return loop_; }
  Simulation& sim() { return loop_.simulation(); }
  std::map<std::string, int> tables;  // number of columns added, by name
  std::move_only_function<void(const std::string& database, const std::string& payload)> queued;
  std::optional<Kind> cancel_next;  // the next of these is cancelled, as by a statement_timeout

  // Session advisory locks (postgres_shared.cc). False: somebody else has it; it is granted later
  // to who waits for it (Backend::waits_for).
  // `here`: for its transaction only.
  bool lock(const Backend& backend, const std::string& key, bool here = false);
  bool unlock(const Backend& backend, const std::string& key);
  void unlock_all(const Backend& backend);  // of the session
  // Of its transaction it keeps these.
  void keep_here(const Backend& backend, const std::map<std::string, unsigned>& locks);
  std::map<std::string, unsigned> locks_here(const Backend& backend) const;
  std::map<std::string, unsigned> locks_of(const Backend& backend) const;  // how often it has each
  // Of a committed transaction, to all who listen in its database.
  void notify(const Backend& from, const std::string& channel, const std::string& payload);
  std::uint64_t next_value() { return ++sequence_; }

  void on_accept(std::unique_ptr<net::Stream> stream) override;
  void on_accept_failed(const Error&) override {}

 private:
  SimLoop& loop_;
  Options options_;
  std::unique_ptr<net::Listener> listener_;
  std::map<int, std::unique_ptr<Backend>> backends_;
  std::vector<std::unique_ptr<Backend>> dead_;
  bool starting_ = false;
  struct Limit {
    unsigned most;
    Time until = Time::max();  // since when another holds
  };
  using Limits = std::vector<Limit>;
  unsigned most(const Limits& limits);
  void check_budgets();
  std::map<std::pair<std::string, std::string>, Limits> budgets_;  // by database and user
  static constexpr Duration kGrace = 12s;             // longer than connecting may take
  std::map<std::string, std::vector<Limit>> limits_;  // by database
  struct Lock {
    int pid = 0;
    unsigned count = 0;  // for the session
    unsigned here = 0;   // for the transaction
    unsigned times() const { return count + here; }
  };
  void free_what_nobody_has();
  void freed(const std::pair<std::string, std::string>& key);
  std::map<std::pair<std::string, std::string>, Lock> locks_;  // by database and key
  std::uint64_t sequence_ = 0;
  int next_pid_ = 100;
  std::map<int, std::weak_ptr<Link>> cancels_;  // the last request for each
};

}  // namespace pgw::sim

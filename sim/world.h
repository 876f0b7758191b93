// One simulated world: everything about it follows from the seed. It is built, run to its end, and
// judged.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "board.h"
#include "client.h"
#include "hostile.h"
#include "network.h"
#include "postgres.h"
#include "replica.h"
#include "services.h"
#include "sim_loop.h"
#include "simulation.h"

namespace pgw::sim {

struct Verdict {
  bool passed = false;
  std::string reason;
  std::string summary;  // what kind of world it was
};

class Middle;  // the pooler in its machine (middle.h)

class World {
 public:
  World(std::uint64_t seed, bool direct);
  ~World();
  Verdict run();
  Simulation& simulation() { return sim_; }

  // Decided by the seed; a scenario may change them before run().
  struct Plan {
    bool direct = false;
    bool faults = false;
    unsigned workers = 1;
    unsigned pool_size = 2;
    unsigned overflow = 0;
    unsigned restarts = 0;
    unsigned kills = 0;
    bool vanishing = false;
    bool cancelling = false;
    bool warns = false;  // the policy of all that keeps a server
    Weather client_weather;
    Weather server_weather;
    Ask ask = Ask::trust;    // PostgreSQL's way
    Ask front = Ask::trust;  // the pooler's
    bool verifiers = false;  // it knows SCRAM verifiers of the passwords only
    std::vector<ClientPlan> clients;
    unsigned hostile = 0;

    // Databases besides "shop", whose pools have these sizes; with several users the pools are
    // spread over the workers.
    struct Database {
      std::string name;
      unsigned pool_size = 1;
      unsigned overflow = 0;
    };
    std::vector<Database> more;
    std::multimap<std::string, std::string> passwords{{"app", "app-secret"},
                                                      {"worker", "worker-secret"}};
    std::vector<Time> reloads;   // the configuration is read again, and something is new in it
    bool new_passwords = false;  // ... passwords, too
    std::optional<Time> drain;   // SIGTERM
    Duration drain_limit{};
    std::vector<ClientPlan> replicas;

    // Apps, whose clients come through listeners of their own. What each may have is drawn again
    // with each reload.
    struct App {
      std::string name;
      std::optional<unsigned> most;  // servers
      unsigned min = 0;
      unsigned weight = 1;
      bool background = false;
    };
    std::vector<App> apps;
    unsigned sessions = 0;      // of one database; 0: no limit
    bool session_lend = false;  // clients of session ports are served like others
    Duration patience = 10s;
    config::TimeLimits limits;
    // Over several pools; 0: none.
    struct Budget {
      bool any = false;
      unsigned host = 0;
      unsigned reserve = 1;
      Duration interval{};  // between PostgreSQL's own numbers
      std::map<std::string, unsigned> databases;
      std::map<std::string, unsigned> users;
      unsigned postgres = 1000;  // its own max_connections
    } budget;
  };
  Plan plan;

 private:
  void choose();
  void choose_more();
  void choose_budget();
  void choose_logins();
  void choose_sessions(std::uint64_t seed);
  void choose_apps(std::uint64_t seed);
  void choose_terms(Random& random);
  void choose_limits(std::uint64_t seed);
  std::vector<std::string> users() const;
  void set_limits();
  void reload();
  void drain();
  Weather weather(bool faults);
  ClientPlan client_plan(int number, unsigned batches);
  void choose_parameters(ClientPlan& client);
  void build();
  void schedule_faults();
  bool all_finished() const;
  void check_shares();
  bool drive(Time until, bool to_the_end);
  void check_end();
  std::string summary() const;

  Simulation sim_;
  Random random_;
  Random budget_random_;
  Random more_random_;  // for what came later: seeds from before keep most of their meaning
  Random app_random_;
  Time terms_since_{};                    // what apps may have is what it is since then
  std::map<std::string, unsigned> held_;  // by app, at the last step
  unsigned sessions_held_ = 0;
  Drain drain_;
  Board board_;
  Network network_;
  SimLoop server_loop_;
  SimLoop client_loop_;
  SimOffload offload_;
  SimResolver resolver_;
  std::unique_ptr<Postgres> postgres_;
  std::unique_ptr<Middle> middle_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Hostile>> hostile_;
  std::vector<std::unique_ptr<Replica>> replicas_;
};

}  // namespace pgw::sim

// How many connections given applications want of one PostgreSQL, without pgweir and through it,
// and how to divide those that there are: the arithmetic of `pgweir plan`.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/snapshot.h"

namespace pgw::config {

struct PlannedApp {
  std::string name;     // its application_name
  Count instances = 1;  // of the whole application
  Count workers = 1;    // processes of one instance, each with a pool of its own
  Count pool = 5;       // connections that a process keeps, and those beyond them under load:
  Count overflow = 10;  // SQLAlchemy's defaults
  Count weight = 1;
  bool background = false;
  Mode mode = Mode::transaction;  // the port it connects to

  std::uint64_t processes() const { return std::uint64_t{instances} * workers; }
  std::uint64_t kept() const { return processes() * pool; }
  std::uint64_t most() const { return processes() * (std::uint64_t{pool} + overflow); }
};

struct Demand {
  std::vector<PlannedApp> apps = {};
  Count limit = 0;     // max_connections of PostgreSQL
  Count reserved = 3;  // those that applications cannot have: superuser_reserved_connections
  std::string host = "localhost:5432";
  std::string database = "*";
};

// What is wrong with a demand as a whole: no app, one name twice, nothing left of the limit.
Done check_demand(const Demand& demand);

enum class Fit : std::uint8_t {
  fits,
  overflows,  // the kept ones fit, those under load do not
  fails
};

// What an app may have of the servers: `pool_size` is its fair share, `max_overflow` what it may
// have beyond that while others leave it, `min` what others cannot take.
struct Share {
  Count pool_size = 0;
  Count max_overflow = 0;
  Count min = 0;
};

struct Plan {
  Count available = 0;  // limit - reserved
  Count lendable = 0;   // what is left of these without pgweir's own
  std::uint64_t kept = 0;
  std::uint64_t most = 0;
  Fit without = Fit::fits;
  Count per_process = 0;  // pool + overflow of each process that would fit without pgweir
  // Servers without which some app would wait for ever: in session mode one for each connection
  // that its pools keep, in transaction mode one for the app; and pgweir's own.
  std::uint64_t needed = 0;
  bool through = false;       // needed <= available
  std::vector<Share> shares;  // as demand.apps
};

// Of a demand that was checked.
Plan make_plan(const Demand& demand);

}  // namespace pgw::config

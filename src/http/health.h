// GET /health: can anybody be served at all?
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "http/server.h"

namespace pgw::http {

struct Health {
  bool reachable = false;    // at least one configured database is, or has not been tried yet
  std::string reason = {};   // why not
  unsigned size = 0;         // server connections there are, over all pools
  unsigned checked_out = 0;  // of these lent to clients
  unsigned overflow = 0;     // of these beyond pool_size
  struct Database {
    std::string name = {};
    bool reachable = false;
    std::string reason = {};                     // why not
    std::optional<double> success_seconds = {};  // since the last login there
    std::optional<double> failure_seconds =
        {};  // since the last one failed, if none succeeded since
  };
  std::vector<Database> databases = {};
};

// 200 and "healthy", or 503, "unhealthy" and the reason.
Response health_json(const Health& health);

// Answers every path: /health as above, else 404; another method than GET or HEAD: 405. `health` is
// called on a thread of the server.
Handler routes(std::move_only_function<Health() const> health);

}  // namespace pgw::http

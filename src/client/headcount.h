// How many clients there are: in all, of each database, user and app. Exact over all workers.
// Thread: any; at logins and leaves.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "config/snapshot.h"

namespace pgw::client {

class Headcount {
 public:
  // Counts a client in; or says which limit on clients it would break, and it is not counted.
  std::optional<Error> enter(const config::Snapshot& snapshot, const std::string& database,
                             const std::string& user, const std::string& app);
  // One that was counted.
  void leave(const std::string& database, const std::string& user, const std::string& app);

 private:
  using Counts = std::map<std::string, std::uint32_t>;
  std::string holders(const config::Snapshot& snapshot) const;
  std::mutex mutex_;
  std::uint32_t all_ = 0;
  Counts databases_, users_, apps_;
};

}  // namespace pgw::client

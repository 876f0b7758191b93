// Clients that keep a server and send nothing, as far as they have been found: for whoever asks,
// from any thread. Touched when one is found or is over, never for a query.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/time.h"

namespace pgw::client {

struct Leak {
  std::string client;  // its address
  std::string user;
  std::string database;
  std::string app;
  Time since{};           // it has sent nothing
  std::string reason;     // why it keeps the server
  std::string statement;  // its last one, normalised; empty: not known
};

class Leaks {
 public:
  // `client`: a number that only this client of this worker has.
  void put(std::uint64_t client, Leak leak) {
    const std::scoped_lock lock(mutex_);
    leaks_.insert_or_assign(client, std::move(leak));
  }
  void remove(std::uint64_t client) {
    const std::scoped_lock lock(mutex_);
    leaks_.erase(client);
  }
  void add_to(std::vector<Leak>& out) const {
    const std::scoped_lock lock(mutex_);
    for (const auto& [client, leak] : leaks_) out.push_back(leak);
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Leak> leaks_;
};

}  // namespace pgw::client

// The slowest statements, one for each fingerprint (sql/normalise.h): for whoever asks, from any
// thread. Touched when a statement was slow, never for another.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/time.h"

namespace pgw::client {

struct SlowStatement {
  std::uint64_t fingerprint = 0;
  std::string text;  // normalised; empty: not known
  std::uint64_t count = 0;
  Duration busy{};  // its server, in sum
  // Of the slowest one:
  Duration waited{};    // for a server
  Duration ran{};       // until the first bytes of its answer
  Duration transfer{};  // until the last
  std::string client;   // its address
  std::string user;
  std::string database;
  std::string app;
  Duration longest() const { return ran + transfer; }
};

class SlowStatements {
 public:
  static constexpr std::size_t kMost = 100;

  // One has ended; its count and busy are not looked at. Of too many, the one whose slowest was the
  // fastest goes.
  void note(SlowStatement one);
  void add_to(std::vector<SlowStatement>& out) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::uint64_t, SlowStatement> by_fingerprint_;
};

// Those of all workers: one for each fingerprint, the slowest first.
std::vector<SlowStatement> merged(std::vector<SlowStatement> all);

}  // namespace pgw::client

// How often time limits were reached, leaks and slow statements were found, for one app: written by
// its worker's thread alone, read by any.
#pragma once
#include <cstdint>

#include "stats/counter.h"

namespace pgw::stats {

struct TimeCounters {
  Counter queries;              // cancelled: query_timeout
  Counter transactions;         // ended: transaction_timeout
  Counter idle_in_transaction;  // clients disconnected
  Counter client_idle;          // clients disconnected
  Counter leaks;                // found
  Counter slow;                 // statements
};

// The same, as read.
struct TimeNumbers {
  std::uint64_t queries = 0, transactions = 0, idle_in_transaction = 0, client_idle = 0, leaks = 0,
                slow = 0;
  bool operator==(const TimeNumbers&) const = default;
  void add(const TimeCounters& from) {
    queries += from.queries.get();
    transactions += from.transactions.get();
    idle_in_transaction += from.idle_in_transaction.get();
    client_idle += from.client_idle.get();
    leaks += from.leaks.get();
    slow += from.slow.get();
  }
};

}  // namespace pgw::stats

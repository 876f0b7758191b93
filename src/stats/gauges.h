// Numbers of one worker that other threads may read: each is written by its worker alone.
#pragma once
#include <atomic>
#include <cstdint>

namespace pgw::stats {

class Gauge {
 public:
  void add(int by) {
    value_.store(get() + static_cast<std::uint32_t>(by), std::memory_order_relaxed);
  }
  std::uint32_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> value_{0};
};

struct alignas(64) Gauges {
  Gauge clients;  // logged in
  Gauge logins;   // connected and not logged in yet
  Gauge servers;  // every server, from its connect until PostgreSQL has closed it
  Gauge leased;
  Gauge overflow;  // servers beyond their pool's pool_size
  Gauge waiting;
};

}  // namespace pgw::stats

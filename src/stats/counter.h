// A number that only grows: written by one thread, read by any.
#pragma once
#include <atomic>
#include <cstdint>

namespace pgw::stats {

class Counter {
 public:
  void add(std::uint64_t by) {
    value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace pgw::stats

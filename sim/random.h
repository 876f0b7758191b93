// The one source of chance in a simulated world: splitmix64, the same on every machine for the same
// seed.
#pragma once
#include <cstddef>
#include <cstdint>

namespace pgw::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 0x1234567) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  // 0 .. n-1; 0 when n is 0.
  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(next() % n); }
  // Both ends included.
  std::size_t between(std::size_t least, std::size_t most) {
    return least + below(most - least + 1);
  }
  bool chance(unsigned permille) { return below(1000) < permille; }
  template <class Container>
  const auto& pick(const Container& from) {
    return from[below(from.size())];
  }
  Random fork() { return Random(next()); }

 private:
  std::uint64_t state_;
};

}  // namespace pgw::sim

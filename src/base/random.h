// Where randomness comes from: the operating system in the daemon, the seed in the simulator.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace pgw {

struct Random {
  void (*fill)(void* state, char* out, std::size_t bytes) = nullptr;
  void* state = nullptr;

  std::string bytes(std::size_t n) const {
    std::string out(n, '\0');
    fill(state, out.data(), n);
    return out;
  }
  std::uint32_t u32() const {
    std::uint32_t value = 0;
    char raw[sizeof value];
    fill(state, raw, sizeof raw);
    std::memcpy(&value, raw, sizeof value);
    return value;
  }
  // Evenly in [0, 1).
  double share() const { return u32() / 4294967296.0; }
};

}  // namespace pgw

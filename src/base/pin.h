// Why a server must stay with its client in transaction mode. One row per reason; what to do about
// each is a setting (config/policies.h).
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pgw {

// A set of these is a Pins.
enum class Pin : std::uint16_t {
  lock = 1,        // session advisory locks
  temporary = 2,   // temporary tables and the like, or a search_path in which new ones are
  cursor = 4,      // WITH HOLD
  prepared = 8,    // by SQL PREPARE
  listen = 16,     // LISTEN
  setting = 32,    // a setting whose name is not known
  indelible = 64,  // what nothing takes away: setseed, LOAD, a temporary replication slot
  unknown = 128,   // PostgreSQL could not be asked
  sequence = 256   // the values that currval and lastval give
};
using Pins = std::uint16_t;
inline constexpr std::size_t kPinCount = 9;
constexpr Pins operator|(Pins pins, Pin pin) {
  return static_cast<Pins>(pins | static_cast<Pins>(pin));
}
inline Pins& operator|=(Pins& pins, Pin pin) { return pins = pins | pin; }
constexpr bool has(Pins pins, Pin pin) { return (pins & static_cast<Pins>(pin)) != 0; }
// Those of the first that are not in the second.
constexpr Pins without(Pins pins, Pins others) {
  return static_cast<Pins>(pins & static_cast<Pins>(~others));
}
constexpr std::size_t index_of(Pin pin) {
  return static_cast<std::size_t>(std::countr_zero(static_cast<Pins>(pin)));
}

struct PinKind {
  Pin pin;
  std::string_view word;     // in the log, and in what PostgreSQL is asked
  std::string_view setting;  // its policy's; empty: it has none
  std::string_view what;     // for people: the beginning of "... need a server of their own"
};
std::span<const PinKind> pin_kinds();  // in the order of index_of
// "lock, listen".
std::string names_of(Pins pins);

}  // namespace pgw

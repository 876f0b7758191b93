#include "base/pin.h"

#include <array>

namespace pgw {
namespace {

constexpr auto kKinds = std::to_array<PinKind>({
    {Pin::lock, "lock", "on_lock", "session advisory locks"},
    {Pin::temporary, "temporary", "on_temporary", "temporary objects"},
    {Pin::cursor, "cursor", "on_cursor", "cursors WITH HOLD"},
    {Pin::prepared, "prepared", "on_prepare", "statements of SQL PREPARE"},
    {Pin::listen, "listen", "on_listen", "LISTEN"},
    {Pin::setting, "setting", "on_setting", "settings whose names are not known"},
    {Pin::indelible, "indelible", "on_indelible",
     "setseed, LOAD, replication slots and connections of dblink"},
    {Pin::unknown, "unknown", "", "what PostgreSQL could not be asked about"},
    {Pin::sequence, "sequence", "on_sequence", "currval and lastval"},
});
static_assert(kKinds.size() == kPinCount);
static_assert([] {
  for (std::size_t i = 0; i < kKinds.size(); ++i)
    if (index_of(kKinds[i].pin) != i) return false;
  return true;
}());

}  // namespace

std::span<const PinKind> pin_kinds() { return kKinds; }

std::string names_of(Pins pins) {
  std::string out;
  for (const PinKind& kind : kKinds) {
    if (!has(pins, kind.pin)) continue;
    if (!out.empty()) out += ", ";
    out += kind.word;
  }
  return out;
}

}  // namespace pgw

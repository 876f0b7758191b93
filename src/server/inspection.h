// What a session of PostgreSQL holds beside what every new one has, asked of PostgreSQL itself:
// one query, outside of any transaction. Pure but for the names that it is given.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "relay/profile.h"

namespace pgw::server {

// Why a server must stay with its client. A set of these is a Pins.
enum class Pin : std::uint16_t {
  lock = 1,        // session advisory locks
  temporary = 2,   // temporary tables and the like, or a search_path in which new ones are
  cursor = 4,      // WITH HOLD
  prepared = 8,    // by SQL PREPARE
  listen = 16,     // LISTEN
  setting = 32,    // a setting whose name is not known
  indelible = 64,  // what nothing takes away: setseed, LOAD, a temporary replication slot
  unknown = 128    // PostgreSQL could not be asked
};
using Pins = std::uint16_t;
constexpr Pins operator|(Pins pins, Pin pin) { return pins | static_cast<Pins>(pin); }
inline Pins& operator|=(Pins& pins, Pin pin) { return pins = pins | pin; }
constexpr bool has(Pins pins, Pin pin) { return (pins & static_cast<Pins>(pin)) != 0; }
// "lock, listen".
std::string names_of(Pins pins);

struct Inspection {
  relay::Settings settings;  // of the session, sorted by name; role and session_authorization, too
  std::vector<std::string> channels;
  Pins pins = 0;
  // By SQL PREPARE; some of them, if there are very many.
  std::set<std::string, std::less<>> sql_statements;
  // Of those that Server::spell_out() has made: which are gone.
  std::set<std::string, std::less<>> lost_statements;
  bool settings_only = false;  // RESET ALL: there are none, and nothing else was asked
};

// The query. `custom`: names of custom settings to ask for, because PostgreSQL does not list them.
// `statements`: whether to tell which ones there are under the client's own names.
std::string inspection_query(const std::vector<std::string>& custom, bool statements);
// Takes one DataRow's body. False: it is not one of that query.
bool take_row(Bytes row, Inspection& into);

}  // namespace pgw::server

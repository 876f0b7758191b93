// What a session of PostgreSQL holds beside what every new one has, asked of PostgreSQL itself:
// one query, outside of any transaction. Pure but for the names that it is given.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/pin.h"
#include "relay/profile.h"

namespace pgw::server {

// Why a server must stay with its client.
using pgw::has;
using pgw::names_of;
using pgw::Pin;
using pgw::Pins;

struct Inspection {
  relay::Settings settings;  // of the session, sorted by name; role and session_authorization, too
  // Of a query without time limits: what they are, and would be after RESET.
  relay::Settings limits;
  relay::Settings limits_at_first;
  // Of the settings: those that were set before and have their first value now, so that they may
  // have been reset.
  std::vector<std::string> maybe_reset;
  std::vector<std::string> channels;
  Pins pins = 0;
  // By SQL PREPARE; some of them, if there are very many.
  std::set<std::string, std::less<>> sql_statements;
  // Of those that Server::spell_out() has made: which are gone.
  std::set<std::string, std::less<>> lost_statements;
  bool cleared = false;        // RESET ALL or DISCARD ALL was done: no setting is left, whatever
                               // its name, and nobody was asked
  bool settings_only = false;  // ... RESET ALL: nothing but that is known
};

// Of a setting's value.
bool beyond_ascii(const std::pair<std::string, std::string>& setting);

// The query. `custom`: names of custom settings to ask for, because PostgreSQL does not list them.
// `statements`: whether to tell which ones there are under the client's own names.
std::string inspection_query(const std::vector<std::string>& custom, bool statements);
// The same, and the session's time limits do not cut it short. PostgreSQL 10 takes them off for the
// next query only. `major`: its version.
std::string patient_inspection_query(const std::vector<std::string>& custom, bool statements,
                                     int major);
// When all rows were taken: puts the limits that the session has set among its settings. `before`:
// what it had set when it was last asked.
void keep_limits(Inspection& found, const relay::Settings& before);
// Takes one DataRow's body. False: it is not one of that query.
bool take_row(Bytes row, Inspection& into);

}  // namespace pgw::server

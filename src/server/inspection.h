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
// Takes one DataRow's body. False: it is not one of that query.
bool take_row(Bytes row, Inspection& into);

}  // namespace pgw::server

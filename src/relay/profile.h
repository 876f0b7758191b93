// The settings that a client's start-up parameters ask for: shared by all clients of a pool that
// ask for the same, and put on whichever server such a client gets. Pure.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace pgw::relay {

using Settings = std::vector<std::pair<std::string, std::string>>;

struct Lead;  // relay/lead.h

struct Profile {
  Settings settings;  // names in lower case, sorted, each once
  Settings reported;  // what PostgreSQL reports (ParameterStatus) with these in effect; names as it
                      // spells them
  bool known = false;  // `reported` was learned from a server
  // Counts the times that `reported` has changed, and for each of it, when it did last.
  std::uint32_t version = 0;
  std::vector<std::uint32_t> changed;
  bool safe =
      true;  // no server that is like the first can refuse them: no need to wait for its answer
  bool short_of_time = false;  // hasty(settings)
  // What brings all of it about, made when it is first needed.
  std::shared_ptr<const Lead> lead;
  bool temporary = false;  // what is created may be temporary without a word of it: search_path
  std::uint64_t scope =
      0;  // statements prepared under it are shared within this scope (see Statements)

  // A server reports these values with the settings in effect.
  void learn(const Settings& now);
  // Those that a client which was told version `told` does not know.
  Settings since(std::uint32_t told) const;
};
using ProfilePtr = std::shared_ptr<Profile>;

// A start-up packet's parameters without user, database, replication and options, but with what
// options contained. Names are lowered; what is given twice counts as the last, and what stands in
// the packet itself wins over options, as in PostgreSQL. Fails with 22023 on options that cannot be
// understood, or on more than 100 settings.
Result<Settings> settings_of(const std::vector<std::pair<std::string, std::string>>& parameters);

// Setting `name`, in lower case, changes nothing in what a statement's text means once it is
// prepared: PostgreSQL heeds it at each execution, or it has to do with other things.
bool keeps_meaning(std::string_view name);
bool all_safe(const Settings& settings);
// The settings that can change what a statement's text means, as one string.
std::string meaning_key(const Settings& settings);

// One SELECT that takes a session from one list to another; empty when nothing differs. `from` is
// what is in effect; what it has and `to` lacks is reset to the server's own value. Plain ASCII:
// the session's client_encoding may be another client's.
std::string change(const Settings& from, const Settings& to);
// One SELECT that gives these settings their values where the session has none of its own (they
// were reset). Whether they were, PostgreSQL knows: an error or ROLLBACK TO may have undone it.
std::string refill(const Settings& wanted);
// Whether these limit statements to less than a second: then even a SELECT like the above may be
// cut short on a busy machine.
bool hasty(const Settings& settings);

// An expression that has the value whatever standard_conforming_strings and client_encoding say. As
// in a start-up packet, bytes beyond ASCII are in the database's encoding.
std::string quoted(std::string_view value);
// Sets `name`, in lower case, in a sorted list.
void put(Settings& settings, std::string name, std::string_view value);

// Sets `name` in a list of reported parameters; true when that changed anything.
bool remember(Settings& reported, std::string_view name, std::string_view value);
const std::string* look_up(const Settings& reported, std::string_view name);
// Whether a server that reports `now` with the settings `from` in effect will report `told` after
// change(from, to), as far as that can be foreseen: what the change does not touch stays.
bool agrees(const Settings& told, const Settings& now, const Settings& from, const Settings& to);

}  // namespace pgw::relay

// The messages that take a session from one client's settings to another's, for what stands before
// the client's own: a transaction of its own, in the extended protocol, without a Sync. Pure.
#pragma once
#include <array>
#include <optional>
#include <string>

#include "relay/profile.h"
#include "relay/statements.h"

namespace pgw::relay {

// Values are parameters, so that PostgreSQL reads and plans the text once for all clients that have
// settings of the same names.
struct Lead {
  std::array<StatementRef, 3> statements;  // a block's begin, the settings, its end
  std::string messages;                    // Bind and Execute of each
};

// All of `to` is set, also what is as it should be already, and what `from` has besides is reset.
// Nothing, where that should not be done in this way: many settings, those that say who the client
// is, and values beyond ASCII (the session may have any client_encoding).
std::optional<Lead> lead(Statements& statements, const Settings& from, const Settings& to);
// lead() from `from` is the same as from no settings: it has none that `to` lacks.
bool covers(const Settings& to, const Settings& from);
// Parse, Bind and Execute of each; `sql` as from change().
std::string plain_lead(std::string_view sql);

}  // namespace pgw::relay

// What the text of a statement gives away, found by one pass over its words: no parser on the path
// of a query. A word inside a string or comment counts too: a false alarm costs a DISCARD ALL, a
// miss would cost a promise.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgw::relay {

struct Scan {
  bool closer = false;     // may leave session state behind, or read it: sql::analyze() says
  bool frees = false;      // may end what was left before: DROP, CLOSE, unlocking, ...
  bool unsettles = false;  // may drop prepared statements: DEALLOCATE, DISCARD
  bool alters = false;     // may change how a text is understood until the transaction's end: a SET
                           // of anything not known to be neutral
  bool reset_all =
      false;  // is RESET ALL and nothing else, or ends with it (as drivers' clean-up queries do)
  bool reads_sequences = false;  // currval, lastval
  bool names =
      false;  // may speak of prepared statements by their names: EXECUTE, DEALLOCATE, PREPARE
  bool lists = false;            // may ask which there are: pg_prepared_statements
  bool code = false;             // brings a body of its own: DO, FUNCTION, PROCEDURE
  bool executes = false;         // may carry out a text that is put together: EXECUTE, spi_exec
  bool takes_sequences = false;  // nextval, setval
  bool fleeting =
      false;  // holds a literal that PostgreSQL resolves at parse time (now, today, regclass, ...)
  // May show the statements that are prepared on its server.
  bool shows_statements() const { return lists || (code && executes); }
};
Scan scan(std::string_view text);

// The name in `DEALLOCATE [PREPARE] name` when that is the whole text: unquoted and folded as
// PostgreSQL does. nullopt for everything else, DEALLOCATE ALL too.
std::optional<std::string> deallocated_name(std::string_view text);

// What a CommandComplete tag says about the session's state.
enum class Effect : std::uint8_t {
  none,
  set,             // SET: also SET LOCAL, which only the text tells
  reset,           // RESET: of one setting or of all, which only the text tells
  schema,          // DDL: the meaning of prepared statements may have changed
  dirty,           // leaves state behind: LISTEN, PREPARE, DO, CALL, ...
  deallocate,      // DEALLOCATE name
  deallocate_all,  // DEALLOCATE ALL, DISCARD PLANS keeps the names and is `none`
  discard_all,
  discard_sequences,
  load  // a library, which stays
};
Effect effect_of(std::string_view tag);

}  // namespace pgw::relay

// What a text may leave behind in its session, found in its tokens. Asked only of texts in which
// one scan over the words (relay/scan.h) has found something: it tells a column named "temp" from a
// temporary table, and SET LOCAL from SET. What it does not understand counts as leaving something.
// What really is there afterwards, PostgreSQL is asked (server/inspection.h). Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/pin.h"

namespace pgw::sql {

struct Analysis {
  // Something may be there after the transaction that was not there before: the session must be
  // looked at.
  bool leaves = false;
  // The tag SET or RESET may be of one that outlives the transaction (the tag alone does not tell).
  bool sets = false;
  // ... which nothing takes away again: setseed, a replication slot, a connection of dblink.
  bool indelible = false;
  // In order, in lower case: settings that it may put back to their first values ("*": all), and
  // with a '!' before the name those that it sets.
  std::vector<std::string> resets;
  // ROLLBACK: what was done to settings before this text may be undone.
  bool undoes = false;
  bool undoes_all = false;  // ... of the whole transaction
  // The names of custom settings (with a dot, in lower case) that it may set for the session:
  // PostgreSQL does not list these by itself.
  std::vector<std::string> custom;
  // It may set a custom setting whose name is not in the text.
  bool opaque = false;
  // It may use the sequence values of the session (currval, lastval).
  bool reads_sequences = false;
  // What it creates is temporary, and it alters nothing; nor does the body of a DO in it.
  bool temporary = false;
  // It may make or alter what other sessions see.
  bool makes = false;
  // It may end something that was left before.
  bool frees = false;
  // What the text itself shows of the reasons why a server must stay: what is there afterwards if
  // all of it is carried out. Not what a function hides, and nothing that ends with the transaction
  // (ON COMMIT DROP). A statement may be refused for it.
  Pins shows = 0;
};

Analysis analyze(std::string_view text);
// The same of a function's body, in SQL or PL/pgSQL. What it calls and the texts that it puts
// together are not looked into (relay/routine.h).
Analysis analyze_routine(std::string_view body);

}  // namespace pgw::sql

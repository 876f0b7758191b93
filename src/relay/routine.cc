#include "relay/routine.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "relay/profile.h"
#include "relay/scan.h"
#include "sql/analysis.h"
#include "sql/lexer.h"

namespace pgw::relay {
namespace {

using sql::Token;

constexpr std::size_t kCustomMost = 50;  // of one body

// What a text may begin with that is put together at run time, and still be no SET, LISTEN or the
// like.
constexpr auto kMild = std::to_array<std::string_view>(
    {"alter",  "analyze",  "comment", "copy",   "create",  "delete",  "drop",   "grant",
     "insert", "lock",     "merge",   "notify", "refresh", "reindex", "revoke", "select",
     "table",  "truncate", "update",  "values", "vacuum",  "with"});

// ... and what of these reads.
constexpr auto kReads =
    std::to_array<std::string_view>({"copy", "select", "table", "values", "with"});

bool custom(const Token& name, const Token& next) {
  if (name.kind == Token::Kind::string) return name.text.find('.') != std::string_view::npos;
  return next.sign('.');
}

// Whether a setting that a body touches may change what texts mean: SET name, SET LOCAL name, and
// set_config('name', ...). A custom one does not.
bool alters(std::string_view body) {
  sql::Lexer lexer(body);
  Token before;
  Token now = lexer.next();
  while (now.kind != Token::Kind::end) {
    const bool call = now.is("set_config");
    const bool set = now.is("set") &&
                     (before.kind == Token::Kind::end || before.sign(';') || before.is("begin") ||
                      before.is("then") || before.is("else") || before.is("loop"));
    before = now;
    now = lexer.next();
    if (!call && !set) continue;
    if (now.sign('(') || now.is("local") || now.is("session")) now = lexer.next();
    const Token name = now;
    now = lexer.next();
    if (!custom(name, now) && !keeps_meaning(lowered(name.value()))) return true;
  }
  return false;
}

// A setting whose name does not stand in the text, or not all of it.
bool nameless(const std::string& set) {
  const std::string_view name = std::string_view(set).substr(set.starts_with('!') ? 1 : 0);
  return name.empty() || name.ends_with('.') ||
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.*") != std::string::npos;
}

// Whether a text of which only this is known, and that begins with `first`, may read from anywhere.
bool reads(std::string_view known, std::string_view first, bool mild) {
  if (!mild || std::ranges::binary_search(kReads, first)) return true;
  bool selects = false;
  bool from = false;
  Words words(known);
  for (auto word = words.next(); !word.empty(); word = words.next()) {
    selects |= word == "select";
    from |= word == "from";
  }
  return selects && from;
}

// The text of an EXECUTE: what of it stands in strings.
void computed(const std::string& known, bool whole, Routine& out) {
  const Scan scan = relay::scan(known);
  Words words(known);
  const std::string first(words.next());
  const bool mild = std::ranges::binary_search(kMild, first);
  out.computes |= !whole;
  if (scan.unsettles) out.marks |= Mark::indelible;
  if (scan.alters || !mild) out.marks |= Mark::alters;
  if (!mild) out.marks |= Mark::channels;
  if (scan.reads_sequences) out.marks |= Mark::sequences;
  if (scan.lists || (!whole && reads(known, first, mild))) out.marks |= Mark::lists;
  if (mild && !scan.closer) return;
  out.marks |= Mark::leaves;
  sql::Analysis found = sql::analyze(known);
  if (found.indelible) out.marks |= Mark::indelible;
  if (found.opaque || (!whole && std::ranges::any_of(found.resets, nameless)))
    out.marks |= Mark::opaque;
  std::ranges::move(found.custom, std::back_inserter(out.custom));
}

// EXECUTE expression [INTO ...] [USING ...] of PL/pgSQL.
void dynamic(std::string_view body, Routine& out) {
  sql::Lexer lexer(body);
  for (Token now = lexer.next(); now.kind != Token::Kind::end; now = lexer.next()) {
    if (!now.is("execute")) continue;
    std::string known;
    bool whole = true;
    for (now = lexer.next(); now.kind != Token::Kind::end; now = lexer.next()) {
      if (now.sign(';') || now.is("into") || now.is("using") || now.is("loop")) break;
      if (now.kind == Token::Kind::string) {
        known += now.text;
      } else if (!now.sign('(') && !now.sign(')')) {
        whole = false;
      }
    }
    computed(known, whole, out);
  }
}

// A language of which nothing is known: SQL stands somewhere in it.
void foreign(std::string_view body, Routine& out) {
  const Scan scan = relay::scan(body);
  static constexpr auto kRuns =
      std::to_array<std::string_view>({"exec", "spi", "query", "plpy", "plv8", "prepare", "dbi"});
  const std::string low = lowered(body);
  out.computes |= std::ranges::any_of(
      kRuns, [&](std::string_view word) { return low.find(word) != std::string::npos; });
  if (scan.closer || out.computes) out.marks |= Mark::leaves | Mark::alters;
  if (out.computes) out.marks |= Mark::lists | Mark::channels;
  if (scan.unsettles || out.names("setseed")) out.marks |= Mark::indelible;
  if (scan.closer && out.computes) out.marks |= Mark::opaque;
  if (scan.reads_sequences) out.marks |= Mark::sequences;
}

void statements(std::string_view language, std::string_view body, Routine& out) {
  sql::Analysis found = sql::analyze_routine(body);
  if (found.leaves || found.sets) out.marks |= Mark::leaves;
  if (found.opaque) out.marks |= Mark::opaque;
  if (found.indelible || out.names("deallocate") || out.names("discard"))
    out.marks |= Mark::indelible;
  if (found.reads_sequences) out.marks |= Mark::sequences;
  if (found.frees && (out.names("drop") || out.names("pg_advisory_unlock") ||
                      out.names("pg_advisory_unlock_shared") ||
                      out.names("pg_advisory_unlock_all") || out.names("unlisten")))
    out.marks |= Mark::frees;
  if (alters(body)) out.marks |= Mark::alters;
  out.custom = std::move(found.custom);
  if (language == "plpgsql") dynamic(body, out);
}

}  // namespace

bool Routine::names(std::string_view word) const {
  return std::ranges::binary_search(words, hash_of(word));
}

Routine read_routine(std::string_view language, std::string_view body) {
  Routine out;
  Words words(body);
  for (auto word = words.next(); !word.empty(); word = words.next()) {
    out.words.push_back(hash_of(word));
    if (word.find("listen") != std::string_view::npos) out.marks |= Mark::channels;
  }
  if (words.odd()) out.words.push_back(hash_of(kOdd));
  if (words.quoted()) out.words.push_back(hash_of(kQuoted));
  std::ranges::sort(out.words);
  const auto doubled = std::ranges::unique(out.words);
  out.words.erase(doubled.begin(), doubled.end());
  out.words.shrink_to_fit();
  out.computes = words.escaped();
  if (relay::scan(body).lists) out.marks |= Mark::lists;
  if (language == "sql" || language == "plpgsql") {
    statements(language, body, out);
  } else {
    foreign(body, out);
  }
  if (out.custom.size() > kCustomMost) {
    out.custom.clear();
    out.marks |= Mark::opaque;
  }
  return out;
}

Marks marks_of_extension(std::string_view name) {
  if (name.starts_with("dblink_connect")) return Mark::leaves | Mark::indelible;
  // They carry out a text that they are given.
  if (name.starts_with("crosstab") || name == "connectby" || name == "xpath_table")
    return Mark::leaves | Mark::alters | Mark::lists;
  if (name == "set_limit" || name == "set_user" || name == "reset_user" ||
      name == "set_session_auth")
    return Marks{} | Mark::leaves;
  return 0;
}

}  // namespace pgw::relay

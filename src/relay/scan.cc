#include "relay/scan.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "relay/profile.h"

namespace pgw::relay {
namespace {

bool word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool same(std::string_view word, std::string_view lower) {
  return std::ranges::equal(word, lower, [](char a, char b) { return lowered(a) == b; });
}

bool contains(std::string_view word, std::string_view lower) {
  return !std::ranges::search(word, lower, [](char a, char b) { return lowered(a) == b; }).empty();
}

bool blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The first non-blank character at or behind `at`; NUL at the end.
char next_char(std::string_view text, std::size_t at) {
  while (at < text.size() && blank(text[at])) ++at;
  return at < text.size() ? text[at] : '\0';
}

void judge(std::string_view word, Scan& out) {
  switch (lowered(word[0])) {
    case 'c':
      out.reads_sequences |= same(word, "currval");
      out.closer |= same(word, "call") || same(word, "currval") || same(word, "connectby") ||
                    contains(word, "crosstab");
      out.frees |= same(word, "close") || same(word, "commit");
      break;
    case 'd':
      out.unsettles |= same(word, "discard") || same(word, "deallocate");
      out.names |= same(word, "deallocate");
      out.closer |= same(word, "discard");
      out.frees |= same(word, "discard") || same(word, "deallocate") || same(word, "drop");
      out.closer |= contains(word, "dblink_connect");
      break;
    case 'e':
      out.closer |= same(word, "execute");
      out.names |= same(word, "execute");
      out.executes |= contains(word, "exec");
      break;
    case 'f':
      out.code |= same(word, "function");
      break;
    case 'h':
      out.closer |= same(word, "hold");
      break;
    case 'l':
      out.reads_sequences |= same(word, "lastval");
      out.closer |= same(word, "listen") || same(word, "load") || same(word, "lastval");
      break;
    case 'n':
      out.fleeting |= same(word, "now");
      out.takes_sequences |= same(word, "nextval");
      break;
    case 'p':
      out.names |= same(word, "prepare");
      out.code |= same(word, "procedure");
      out.executes |= contains(word, "exec");
      // The name of a shared statement is nobody's to know.
      out.lists |= contains(word, "pg_prepared_statement") ||
                   (word.size() >= 7 && same(word.substr(0, 7), "pgweir_"));
      out.closer |=
          same(word, "prepare") || (word.size() >= 7 && same(word.substr(0, 7), "pgweir_")) ||
          same(word, "pg_settings") || (word.size() >= 7 && same(word.substr(0, 7), "pg_temp")) ||
          (contains(word, "advisory") && contains(word, "lock") && !contains(word, "unlock") &&
           !contains(word, "xact")) ||
          contains(word, "_replication_slot") || contains(word, "replication_origin_session");
      out.frees |= contains(word, "advisory_unlock");
      break;
    case 'q':
      out.closer |= contains(word, "query_to_xml");
      out.lists |= contains(word, "query_to_xml");  // of a text that is not seen here
      break;
    case 'r':
      out.fleeting |= word.size() >= 6 && same(word.substr(0, 3), "reg");
      out.frees |= same(word, "rollback");
      break;
    case 's':
      out.closer |= same(word, "set_config") || same(word, "setseed");
      out.alters |= same(word, "set_config");
      out.takes_sequences |= same(word, "setval");
      out.executes |= contains(word, "exec");
      break;
    case 't':
      out.closer |= same(word, "temp") || same(word, "temporary") || same(word, "ts_stat") ||
                    same(word, "ts_rewrite");
      out.fleeting |= same(word, "today") || same(word, "tomorrow");
      break;
    case 'u':
      out.frees |= same(word, "unlisten");
      break;
    case 'x':
      out.closer |= same(word, "xpath_table");
      break;
    case 'y':
      out.fleeting |= same(word, "yesterday");
      break;
    default:
      break;
  }
}

// Ends with the statement RESET ALL: nothing in the text can hide that it is none.
bool ends_with_reset_all(std::string_view text) {
  while (!text.empty() && (text.back() == ';' || blank(text.back()))) text.remove_suffix(1);
  if (text.find_first_of("'\"$") != std::string_view::npos ||
      text.find("--") != std::string_view::npos || text.find("/*") != std::string_view::npos)
    return false;
  const auto start = text.rfind(';');
  if (start != std::string_view::npos) text.remove_prefix(start + 1);
  while (!text.empty() && blank(text[0])) text.remove_prefix(1);
  if (text.size() < 9 || !same(text.substr(0, 5), "reset") || !blank(text[5])) return false;
  text.remove_prefix(5);
  while (!text.empty() && blank(text[0])) text.remove_prefix(1);
  return same(text, "all");
}

// A SET statement may begin here, where the word SET was found: not behind a name, as in UPDATE.
// `clear`: there was no comment before it that may have hidden where the statement begins.
bool may_begin(std::string_view before, bool clear) {
  while (!before.empty() && blank(before.back())) before.remove_suffix(1);
  if (before.empty() || !clear) return true;
  const char last = before.back();
  return !word_char(last) && last != '"' && last != ')' && last != '*';
}

// Whether the setting named behind SET [LOCAL | SESSION] leaves the meaning of texts alone.
bool sets_neutral(std::string_view rest) {
  std::size_t at = 0;
  for (int turn = 0; turn < 2; ++turn) {
    while (at < rest.size() && blank(rest[at])) ++at;
    const std::size_t from = at;
    while (at < rest.size() && word_char(rest[at])) ++at;
    const auto name = rest.substr(from, at - from);
    if (turn == 0 && (same(name, "local") || same(name, "session")) && next_char(rest, at) != '.')
      continue;
    // What has a dot is nobody's but the application's; a transaction's properties change no text.
    return next_char(rest, at) == '.' || same(name, "transaction") || same(name, "constraints") ||
           keeps_meaning(lowered(name));
  }
  return false;
}

}  // namespace

Scan scan(std::string_view text) {
  Scan out;
  bool clear = true;
  std::size_t at = 0;
  while (at < text.size()) {
    if (!word_char(text[at])) {
      if (at + 1 < text.size()) {
        const char c = text[at];
        const char next = text[at + 1];
        clear &= !((c == '-' && next == '-') || (c == '/' && next == '*'));
        // U&"..." may spell any word in a way that is not seen here.
        if (c == '&' && next == '"' && at > 0 && lowered(text[at - 1]) == 'u') {
          out.closer = out.unsettles = out.alters = out.fleeting = out.frees = out.takes_sequences =
              true;
          out.names = out.lists = true;
        }
      }
      ++at;
      continue;
    }
    if (text[at] >= '0' && text[at] <= '9') {  // a number, and a word may follow at once
      ++at;
      continue;
    }
    std::size_t end = at + 1;
    while (end < text.size() && word_char(text[end])) ++end;
    const auto word = text.substr(at, end - at);
    if (word.size() >= 3) {
      judge(word, out);
    } else if (same(word, "do")) {
      const bool begins = may_begin(text.substr(0, at), clear);
      out.closer |= begins;
      out.code |= begins;
    }
    if (same(word, "set") && may_begin(text.substr(0, at), clear)) {
      out.alters |= !sets_neutral(text.substr(end));
      out.closer = true;
    } else if (same(word, "reset")) {
      out.alters |= may_begin(text.substr(0, at), clear);
      out.closer |= may_begin(text.substr(0, at), clear);
      out.reset_all |= ends_with_reset_all(text);
    }
    at = end;
  }
  return out;
}

std::optional<std::string> deallocated_name(std::string_view text) {
  const auto skip = [&text] {
    while (!text.empty() && blank(text[0])) text.remove_prefix(1);
  };
  const auto word = [&text] {
    std::size_t end = 0;
    while (end < text.size() && (word_char(text[end]) || (end > 0 && text[end] == '$'))) ++end;
    const auto out = text.substr(0, end);
    text.remove_prefix(end);
    return out;
  };
  skip();
  while (text.starts_with("/*") || text.starts_with("--")) {  // frameworks say where it comes from
    const bool line = text[0] == '-';
    const auto end = text.find(line ? "\n" : "*/", 2);
    if (end == std::string_view::npos ||
        text.substr(2, end - 2).find("/*") != std::string_view::npos)
      return std::nullopt;
    text.remove_prefix(end + (line ? 1 : 2));
    skip();
  }
  if (!same(word(), "deallocate")) return std::nullopt;
  skip();
  std::string name;
  for (int turn = 0; turn < 2; ++turn) {
    name.clear();
    if (!text.empty() && text[0] == '"') {
      std::size_t at = 1;
      for (;; ++at) {
        if (at >= text.size()) return std::nullopt;
        if (text[at] == '"' && (at + 1 >= text.size() || text[at + 1] != '"')) break;
        if (text[at] == '"') ++at;
        name += text[at];
      }
      text.remove_prefix(at + 1);
    } else {
      name = lowered(word());
      if (name == "all") return std::nullopt;
      skip();
      if (name == "prepare" && turn == 0 && !text.empty() && text[0] != ';') continue;
    }
    break;
  }
  skip();
  while (!text.empty() && (text[0] == ';' || blank(text[0]))) text.remove_prefix(1);
  if (!text.empty() || name.empty()) return std::nullopt;
  return name;
}

Effect effect_of(std::string_view tag) {
  if (tag.empty()) return Effect::none;
  switch (tag[0]) {
    case 'S':
      return tag == "SET"                  ? Effect::set
             : tag.starts_with("SECURITY") ? Effect::schema
                                           : Effect::none;
    case 'R':
      return tag == "RESET"                                            ? Effect::reset
             : tag.starts_with("REVOKE") || tag.starts_with("REFRESH") ? Effect::schema
                                                                       : Effect::none;
    case 'D':
      if (tag == "DISCARD ALL") return Effect::discard_all;
      if (tag == "DISCARD SEQUENCES") return Effect::discard_sequences;
      if (tag == "DEALLOCATE ALL") return Effect::deallocate_all;
      if (tag == "DEALLOCATE") return Effect::deallocate;
      if (tag.starts_with("DROP")) return Effect::schema;
      if (tag == "DO") return Effect::dirty;
      return Effect::none;  // DELETE, DECLARE CURSOR (WITH HOLD is told by its text), DISCARD PLANS
                            // and the like
    case 'A':
    case 'G':
      return tag.starts_with("ALTER") || tag.starts_with("GRANT") ? Effect::schema : Effect::none;
    case 'C':
      return tag.starts_with("CREATE") ? Effect::schema
             : tag == "CALL"           ? Effect::dirty
                                       : Effect::none;
    case 'I':
      return tag.starts_with("IMPORT") ? Effect::schema : Effect::none;
    case 'L':
      return tag == "LISTEN" ? Effect::dirty : tag == "LOAD" ? Effect::load : Effect::none;
    case 'P':
      return tag == "PREPARE" ? Effect::dirty : Effect::none;
    default:
      return Effect::none;
  }
}

}  // namespace pgw::relay

#include "relay/scan.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"

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

// Session-level advisory locks are told by their functions' names; those with xact end with the
// transaction.
bool takes_lock(std::string_view word) {
  return contains(word, "advisory_lock") && !contains(word, "unlock") && !contains(word, "xact");
}

void judge(std::string_view word, Scan& out) {
  switch (lowered(word[0])) {
    case 'c':
      out.dirties |= same(word, "call");
      break;
    case 'd':
      out.unsettles |= same(word, "discard") || same(word, "deallocate");
      out.dirties |= contains(word, "dblink_connect");
      break;
    case 'h':
      out.dirties |= same(word, "hold");
      break;
    case 'l':
      out.dirties |= same(word, "listen") || same(word, "load");
      break;
    case 'n':
      out.fleeting |= same(word, "now");
      break;
    case 'p':
      out.dirties |= takes_lock(word) || same(word, "prepare") || same(word, "pg_temp");
      break;
    case 'r':
      out.fleeting |= word.size() >= 6 && same(word.substr(0, 3), "reg");
      break;
    case 's':
      out.dirties |= same(word, "set_config") || same(word, "setseed");
      break;
    case 't':
      out.dirties |= same(word, "temp") || same(word, "temporary");
      out.fleeting |= same(word, "today") || same(word, "tomorrow");
      break;
    case 'y':
      out.fleeting |= same(word, "yesterday");
      break;
    default:
      break;
  }
}

}  // namespace

Scan scan(std::string_view text) {
  Scan out;
  std::array<std::string_view, 2> first;
  std::array<std::string_view, 2> last;
  std::size_t words = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    if (!word_char(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at + 1;
    while (end < text.size() && word_char(text[end])) ++end;
    const auto word = text.substr(at, end - at);
    if (word.size() >= 3) judge(word, out);
    if (words < 2) first[words] = word;
    last[0] = last[1];
    last[1] = word;
    ++words;
    at = end;
  }
  const bool single = text.find(';') >= text.find_last_not_of("; \t\r\n");
  out.local_set =
      single && words >= 2 && same(first[0], "set") &&
      (same(first[1], "local") || same(first[1], "transaction") || same(first[1], "constraints"));
  out.reset_all = words >= 2 && same(last[0], "reset") && same(last[1], "all");
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
      return tag == "LISTEN" || tag == "LOAD" ? Effect::dirty : Effect::none;
    case 'P':
      return tag == "PREPARE" ? Effect::dirty : Effect::none;
    default:
      return Effect::none;
  }
}

}  // namespace pgw::relay

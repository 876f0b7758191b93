#include "relay/channels.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace pgw::relay {
namespace {

bool word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Words of their own, and parts of longer ones (pg_listening_channels, client_encoding).
constexpr auto kWords = std::to_array<std::string_view>(
    {"begin", "start", "do", "call", "execute", "discard", "reset", "names", "pg_settings"});
constexpr auto kParts =
    std::to_array<std::string_view>({"listen", "notify", "encoding", "set_config", "query_to_xml"});

bool same(char a, char b) { return lowered(a) == b; }

}  // namespace

bool concerns_channels(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    if (!word_char(text[at])) {
      // U&"..." may spell any name in a way that is not seen here.
      if (text[at] == '&' && text.substr(at).starts_with("&\"") && at > 0 &&
          lowered(text[at - 1]) == 'u')
        return true;
      ++at;
      continue;
    }
    std::size_t end = at + 1;
    while (end < text.size() && word_char(text[end])) ++end;
    const auto word = text.substr(at, end - at);
    const auto is = [&](std::string_view one) { return std::ranges::equal(word, one, same); };
    const auto has = [&](std::string_view part) {
      return !std::ranges::search(word, part, same).empty();
    };
    if (std::ranges::any_of(kWords, is) || std::ranges::any_of(kParts, has)) return true;
    at = end;
  }
  return false;
}

std::string quoted_channel(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += c;
    out += c;
  }
  return out += '"';
}

}  // namespace pgw::relay

#include "base/excerpt.h"

namespace pgw {
namespace {

// How many bytes the UTF-8 character at the front has; 0: it is none (RFC 3629, section 4).
std::size_t character(std::string_view in) {
  const auto at = [&](std::size_t i) {
    return i < in.size() ? static_cast<unsigned char>(in[i]) : 0u;
  };
  const auto follows = [&](std::size_t i) { return (at(i) & 0xc0u) == 0x80u; };
  const unsigned first = at(0);
  const unsigned second = at(1);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4 || !follows(1)) return 0;
  if (first < 0xe0) return 2;
  if (first < 0xf0) {
    const bool overlong = first == 0xe0 && second < 0xa0;
    const bool surrogate = first == 0xed && second > 0x9f;
    return overlong || surrogate || !follows(2) ? 0 : 3;
  }
  const bool overlong = first == 0xf0 && second < 0x90;
  const bool beyond = first == 0xf4 && second > 0x8f;
  return overlong || beyond || !follows(2) || !follows(3) ? 0 : 4;
}

bool blank(char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; }

}  // namespace

std::string excerpt(std::string_view text, std::size_t bytes_max) {
  std::string out;
  bool gap = false;
  while (!text.empty()) {
    if (blank(text[0])) {
      gap = !out.empty();
      text.remove_prefix(1);
      continue;
    }
    const std::size_t bytes = character(text);
    const auto shown = bytes == 0 ? std::string_view("?") : text.substr(0, bytes);
    if (out.size() + gap + shown.size() > bytes_max) return out + "...";
    if (gap) out += ' ';
    gap = false;
    out += shown;
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return out;
}

}  // namespace pgw

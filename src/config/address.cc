#include "config/address.h"

#include <algorithm>
#include <charconv>

namespace pgw::config {
namespace {

constexpr std::string_view kExpected =
    "expected \"127.0.0.1:5432\", \"[::1]:5432\", \"*:5432\" or the path of a Unix socket";
// sockaddr_un::sun_path has 108 bytes, one of them for the NUL.
constexpr std::size_t kPathBytesMax = 107;

bool is_port(std::string_view text) {
  unsigned port = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  return error == std::errc{} && rest == end && port <= 65535;
}

bool is_ipv4(std::string_view text) {
  int parts = 0;
  for (;; ++parts) {
    const auto dot = text.find('.');
    const auto part = text.substr(0, dot);
    if (part.size() > 3 || !is_port(part)) return false;
    unsigned value = 0;
    std::from_chars(part.data(), part.data() + part.size(), value);
    if (value > 255) return false;
    if (dot == text.npos) return parts == 3;
    text.remove_prefix(dot + 1);
  }
}

// Hexadecimal groups and colons, at least two of these; the kernel says the rest when it binds.
bool looks_like_ipv6(std::string_view text) {
  const std::string_view address = text.substr(0, text.find('%'));
  return std::ranges::count(address, ':') >= 2 &&
         address.find_first_not_of("0123456789abcdefABCDEF:.") == address.npos;
}

}  // namespace

Result<std::string> canonical_address(std::string_view text) {
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) <= ' '; }))
    return fail(Code::configuration, "an address has no spaces; {}", kExpected);
  if (text.starts_with('/')) {
    if (text.size() > kPathBytesMax)
      return fail(Code::configuration,
                  "the path of a Unix socket has at most {} bytes, this has {}", kPathBytesMax,
                  text.size());
    return std::string(text);
  }
  if (is_port(text)) return fmt::format("127.0.0.1:{}", text);
  const auto colon = text.rfind(':');
  if (colon == text.npos || !is_port(text.substr(colon + 1)))
    return fail(Code::configuration, "\"{}\" has no port from 0 to 65535; {}", text, kExpected);
  const std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.empty() || host == "*" || host == "0.0.0.0") return fmt::format("*:{}", port);
  if (host == "localhost") return fmt::format("127.0.0.1:{}", port);
  if (host.starts_with('[') && host.ends_with(']')) {
    if (looks_like_ipv6(host.substr(1, host.size() - 2))) return std::string(text);
  } else if (is_ipv4(host)) {
    return std::string(text);
  }
  return fail(Code::configuration, "\"{}\" is not a numeric address; {}", host, kExpected);
}

bool is_local(std::string_view canonical) {
  return canonical.starts_with('/') || canonical.starts_with("127.") ||
         canonical.starts_with("[::1]:");
}

}  // namespace pgw::config

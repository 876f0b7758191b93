#include "net/address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <charconv>

namespace pgw::net {
namespace {

bool is_numeric(int family, const std::string& host) {
  in6_addr into;
  return inet_pton(family, host.c_str(), &into) == 1;
}

Result<std::uint16_t> parse_port(std::string_view text, std::string_view whole) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || port > 65535)
    return fail(Code::configuration, "\"{}\" has no valid port (0 to 65535)", whole);
  return static_cast<std::uint16_t>(port);
}

Result<Address> parse_path(std::string_view text) {
  if (text.size() >= sizeof(sockaddr_un::sun_path))
    return fail(Code::configuration, "the path \"{}\" is longer than {} bytes", text,
                sizeof(sockaddr_un::sun_path) - 1);
  return Address{Address::Kind::unix_path, std::string(text), 0};
}

}  // namespace

std::string Address::text() const {
  switch (kind) {
    case Kind::ipv4:
      return fmt::format("{}:{}", host, port);
    case Kind::ipv6:
      return fmt::format("[{}]:{}", host, port);
    case Kind::unix_path:
      break;
  }
  return host;
}

Result<Address> parse_address(std::string_view text) {
  if (text.starts_with('/')) return parse_path(text);
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return std::unexpected(
        Error(Code::configuration, fmt::format("\"{}\" is not an address", text))
            .with_hint("Write host:port, [ipv6]:port, *:port or the path of a Unix socket."));
  PGW_TRY(port, parse_port(text.substr(colon + 1), text));
  std::string host(text.substr(0, colon));
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (!is_numeric(AF_INET6, host))
      return fail(Code::configuration, "\"{}\" is not an IPv6 address", host);
    return Address{Address::Kind::ipv6, std::move(host), port};
  }
  if (host.empty() || host == "*") host = "0.0.0.0";
  if (host == "localhost") host = "127.0.0.1";
  if (!is_numeric(AF_INET, host))
    return std::unexpected(
        Error(Code::configuration, fmt::format("\"{}\" is not a numeric address", host))
            .with_hint("An IPv6 address goes in brackets; names are not allowed here."));
  return Address{Address::Kind::ipv4, std::move(host), port};
}

}  // namespace pgw::net

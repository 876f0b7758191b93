// Where to listen or connect: a numeric IP address and port, or the path of a Unix socket. Names
// are turned into addresses by net/resolver.h, never here.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pgw::net {

struct Address {
  enum class Kind : std::uint8_t { ipv4, ipv6, unix_path };
  Kind kind = Kind::ipv4;
  std::string host;  // numeric address without brackets, or the path
  std::uint16_t port = 0;

  bool operator==(const Address&) const = default;
  std::string text() const;  // "127.0.0.1:5432", "[::1]:5432", "/run/x/.s.PGSQL.5432"
};

// "127.0.0.1:5432", "[::1]:5432", "*:5432" (all of IPv4), "localhost:5432" (127.0.0.1), ":5432" (as
// "*"), or an absolute path of a Unix socket.
Result<Address> parse_address(std::string_view text);

}  // namespace pgw::net

// PostgreSQL connection URLs, as libpq reads them:
// postgresql://user:password@host:port/dbname?option=value. What pgweir cannot do (several hosts,
// TLS to servers) is an error, never silently something else.
#pragma once
#include <optional>
#include <string_view>

#include "base/result.h"
#include "config/snapshot.h"

namespace pgw::config {

struct Url {
  Upstream upstream;
  std::optional<Span> connect_timeout;
};

// The error never repeats the password.
Result<Url> parse_url(std::string_view text);

}  // namespace pgw::config

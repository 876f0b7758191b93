// What PostgreSQL itself says about its connections: how many it allows, and who has them. Pure.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"

namespace pgw::server {

struct HostNumbers {
  unsigned max_connections = 0;
  unsigned superuser_reserved = 0;
  unsigned reserved = 0;  // PostgreSQL 16 and later
  unsigned own = 0;
  unsigned others = 0;
  std::map<std::string, unsigned> by_app;  // of the others; bounded, the rest is "(other)"
  Time asked{};

  // For those who are neither superusers nor have pg_use_reserved_connections.
  unsigned room() const {
    const unsigned kept = superuser_reserved + reserved;
    return max_connections > kept ? max_connections - kept : 0;
  }
};

// One simple query, outside of transactions; it leaves the session as it is. Everybody may ask it:
// what others' backends do is hidden from ordinary users, their existence and names are not.
std::string_view host_query();

// The answer's rows, one by one. pgweir's own connections are told from others by their backends'
// process ids, as PostgreSQL gave them at login.
class HostAnswer {
 public:
  explicit HostAnswer(std::multiset<std::uint32_t> own) : own_(std::move(own)) {}
  // One DataRow's body. False: it is not one of that query.
  bool take_row(Bytes row);
  // `own`: those of now; who came or left while PostgreSQL looked is pgweir's, too. Nothing: the
  // answer lacks what every PostgreSQL has.
  std::optional<HostNumbers> finish(const std::multiset<std::uint32_t>& own, Time now);

 private:
  std::multiset<std::uint32_t> own_;
  HostNumbers numbers_;
  std::map<std::uint32_t, std::string> backends_;
};

}  // namespace pgw::server

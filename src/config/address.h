// The form of addresses to listen on. Only the form: net/address.h makes something of it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pgw::config {

// An address in its one canonical form: "127.0.0.1:5432", "[::1]:5432", "*:5432" or "/run/x.sock".
// Besides these ":5432" is read as "*:5432", and a port alone ("5432") as "127.0.0.1:5432".
Result<std::string> canonical_address(std::string_view text);

// Whether only this machine can connect to a canonical address.
bool is_local(std::string_view canonical);

}  // namespace pgw::config

// SASLprep (RFC 4013): how a password is normalised before SCRAM hashes it.
#pragma once
#include <string>
#include <string_view>

namespace pgw::auth {

// The prepared password; the bytes as they are when it cannot be prepared (not UTF-8, a prohibited
// character, nothing left), as PostgreSQL does on both sides.
std::string saslprep(std::string_view password);

}  // namespace pgw::auth

// What pgweir logs in to PostgreSQL with, as one user. A value; never logged.
#pragma once
#include <optional>
#include <string>

#include "auth/scram_keys.h"
#include "auth/secret.h"

namespace pgw::server {

struct Credentials {
  std::string user;
  std::optional<std::string> password;  // plain, from the URL or given by the client
  std::optional<auth::Secret> secret;   // the client's own from the users' file: md5 form or plain
  std::optional<auth::ScramKeys> keys;  // recovered from a client's proof: SCRAM pass-through
};

}  // namespace pgw::server

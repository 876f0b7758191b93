// How pgweir logs in to PostgreSQL: messages in, messages out. No I/O of its own.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "auth/scram.h"
#include "base/bytes.h"
#include "base/result.h"
#include "relay/profile.h"
#include "server/credentials.h"

namespace pgw::server {

class Login {
 public:
  explicit Login(Credentials credentials) : credentials_(std::move(credentials)) {}

  enum class Next : std::uint8_t { more, derive, ready };
  // One message of PostgreSQL's; what must be sent is appended to `out`. derive: call derive() off
  // the worker, then derived(). `nonce` is used when SCRAM begins.
  Result<Next> message(char tag, Bytes body, const std::string& nonce, std::string& out);
  // A copy of what the slow part needs: run auth::derive on it.
  std::pair<std::string, auth::ScramChallenge> to_derive() const;
  Done derived(const auth::ScramKeys& keys, std::string& out);

  // After a failure: true when the same attempt, later, would fail in the same way (a wrong
  // password, no such database), false when PostgreSQL is starting up, full, or going away.
  bool definite() const { return definite_; }
  // After a failure: PostgreSQL has no connection left, for anybody.
  bool host_full() const { return host_full_; }

  std::uint32_t pid = 0;
  std::string key;
  relay::Settings reported;

 private:
  Result<Next> authentication(Bytes body, const std::string& nonce, std::string& out);
  Result<Next> sasl_continue(Bytes data, std::string& out);
  std::unexpected<Error> refused(Bytes body);
  static std::unexpected<Error> unproven();
  std::unexpected<Error> no_password(std::string_view method);

  Credentials credentials_;
  std::optional<auth::ScramClient> scram_;
  std::optional<auth::ScramChallenge> challenge_;
  bool answered_ = false;  // SCRAM: our proof was sent
  bool proven_ = false;    // SCRAM: the server has proven that it knows the secret too
  bool definite_ = false;
  bool host_full_ = false;
};

}  // namespace pgw::server

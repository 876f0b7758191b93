// Both ends of a SCRAM-SHA-256 login (RFC 5802, RFC 7677) as PostgreSQL speaks it: no channel
// binding, no user name in the messages. Nothing here is slow. Thread: one at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "auth/scram_keys.h"
#include "base/result.h"

namespace pgw::auth {

inline constexpr std::string_view kScramSha256 = "SCRAM-SHA-256";
inline constexpr std::size_t kScramFromClientBytesMax = 1024;  // PG_MAX_SASL_MESSAGE_LENGTH
inline constexpr std::size_t kScramFromServerBytesMax = 2048;

// We check a client. The messages are the bodies without PostgreSQL's framing.
class ScramServer {
 public:
  // `nonce`: printable and without commas; base64 of kScramNonceBytes random bytes.
  ScramServer(ScramVerifier verifier, std::string nonce);

  // client-first in, server-first out. Code::protocol or Code::unsupported on a bad message.
  Result<std::string> first(std::string_view client_first);
  // client-final in, server-final out. Code::invalid_password when the proof is wrong.
  Result<std::string> final(std::string_view client_final);
  // After `final` succeeded: recovered from the proof.
  const Key& client_key() const;
  // After `final` succeeded: what ScramClient::final takes to log in with the same password.
  ScramKeys keys() const;

 private:
  enum class Step : std::uint8_t { first, final, passed, failed };
  ScramVerifier verifier_;
  std::string nonce_;
  std::string client_first_bare_;
  std::string server_first_;
  char binding_flag_ = 'n';
  Step step_ = Step::first;
  Key client_key_{};
};

// We log in to a server: first → challenge → (derive, or keys kept from a client) → final → verify.
class ScramClient {
 public:
  // client-first. `nonce` as for ScramServer.
  std::string first(std::string nonce);
  // What the server asks for, read from its server-first.
  Result<ScramChallenge> challenge(std::string_view server_first);
  // client-final. Fails with Code::invalid_authorization, naming salt or iterations, when the keys
  // were made for another challenge: pass-through needs the same secret on both sides.
  Result<std::string> final(const ScramKeys& keys);
  // Whether server-final proves that the server knows the secret too.
  Done verify(std::string_view server_final);

 private:
  enum class Step : std::uint8_t { first, challenge, final, verify, passed, failed };
  std::string nonce_;
  std::string client_first_bare_;
  std::string server_first_;
  std::string server_nonce_;  // ours and the server's, joined
  ScramChallenge challenge_;
  Key server_signature_{};
  Step step_ = Step::first;
};

}  // namespace pgw::auth

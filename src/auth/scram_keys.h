// What SCRAM-SHA-256 keeps of a password: the keys, and the verifier that a server stores.
// Values; thread: any. Randomness is always an argument.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "auth/digest.h"
#include "base/result.h"

namespace pgw::auth {

inline constexpr std::uint32_t kScramIterationsDefault =
    4096;  // PostgreSQL's SCRAM_DEFAULT_ITERATIONS
inline constexpr std::uint32_t kScramIterationsMax = 1'000'000;  // about half a second of PBKDF2
inline constexpr std::size_t kScramSaltBytes = 16;  // PostgreSQL's SCRAM_DEFAULT_SALT_LEN
inline constexpr std::size_t kScramSaltBytesMax = 256;
inline constexpr std::size_t kScramNonceBytes = 18;  // PostgreSQL's SCRAM_RAW_NONCE_LEN

// What a password is turned into; also the key of a cache of ScramKeys.
struct ScramChallenge {
  std::string salt;  // raw bytes
  std::uint32_t iterations = kScramIterationsDefault;
  bool operator==(const ScramChallenge&) const = default;
};

// All that a login needs, on either side. `client_key` is as good as the password.
struct ScramKeys {
  ScramChallenge challenge;
  Key client_key{};
  Key stored_key{};
  Key server_key{};
};

// What a server stores. A mock belongs to nobody and no proof passes it.
struct ScramVerifier {
  ScramChallenge challenge;
  Key stored_key{};
  Key server_key{};
  bool mock = false;
  bool operator==(const ScramVerifier&) const = default;
};

// Slow on purpose (PBKDF2, about 1 ms for 4096 iterations). SASLprep is done here.
ScramKeys derive(std::string_view password, const ScramChallenge& challenge);

// The keys of a password whose proof was checked: enough to log in as this user elsewhere.
ScramKeys keys_of(const ScramVerifier& verifier, const Key& client_key);
ScramVerifier verifier_of(const ScramKeys& keys);

// "SCRAM-SHA-256$4096:salt$StoredKey:ServerKey", as in pg_authid.
bool looks_like_scram(std::string_view text);
Result<ScramVerifier> parse_verifier(std::string_view text);
std::string to_text(const ScramVerifier& verifier);

// A salt that does not change while the process lives and tells nothing about the user: for unknown
// users, and for those whose secret is a plain password.
std::string user_salt(std::string_view user, const Key& process_secret);
// Stands in for the verifier of a user who does not exist or has no SCRAM secret.
ScramVerifier mock_verifier(std::string_view user, const Key& process_secret,
                            std::uint32_t iterations = kScramIterationsDefault);

}  // namespace pgw::auth

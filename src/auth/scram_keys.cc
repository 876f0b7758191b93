#include "auth/scram_keys.h"

#include <openssl/evp.h>

#include <charconv>

#include "auth/saslprep.h"
#include "base/check.h"

namespace pgw::auth {
namespace {

constexpr std::string_view kPrefix = "SCRAM-SHA-256$";

std::unexpected<Error> malformed(std::string_view what) {
  return fail(Code::invalid_value, "a SCRAM secret {}", what);
}

}  // namespace

ScramKeys derive(std::string_view password, const ScramChallenge& challenge) {
  const std::string prepared = saslprep(password);
  Key salted;
  const int ok = PKCS5_PBKDF2_HMAC(prepared.data(), static_cast<int>(prepared.size()),
                                   reinterpret_cast<const unsigned char*>(challenge.salt.data()),
                                   static_cast<int>(challenge.salt.size()),
                                   static_cast<int>(challenge.iterations), EVP_sha256(),
                                   static_cast<int>(salted.size()), salted.data());
  PGW_ASSERT(ok == 1);
  ScramKeys keys{.challenge = challenge};
  keys.client_key = hmac_sha256(view(salted), {"Client Key"});
  keys.stored_key = sha256(view(keys.client_key));
  keys.server_key = hmac_sha256(view(salted), {"Server Key"});
  return keys;
}

ScramKeys keys_of(const ScramVerifier& verifier, const Key& client_key) {
  return {verifier.challenge, client_key, verifier.stored_key, verifier.server_key};
}

ScramVerifier verifier_of(const ScramKeys& keys) {
  return {keys.challenge, keys.stored_key, keys.server_key};
}

bool looks_like_scram(std::string_view text) { return text.starts_with(kPrefix); }

Result<ScramVerifier> parse_verifier(std::string_view text) {
  if (!looks_like_scram(text)) return malformed("does not begin with \"SCRAM-SHA-256$\"");
  text.remove_prefix(kPrefix.size());
  const std::size_t colon = text.find(':');
  const std::size_t dollar = text.find('$');
  if (colon == text.npos || dollar == text.npos || dollar < colon)
    return malformed("is not of the form <iterations>:<salt>$<StoredKey>:<ServerKey>");
  const std::string_view count = text.substr(0, colon);
  const std::string_view salt = text.substr(colon + 1, dollar - colon - 1);
  const std::string_view keys = text.substr(dollar + 1);
  const std::size_t middle = keys.find(':');
  if (middle == keys.npos) return malformed("has no ':' between its two keys");

  ScramVerifier verifier;
  std::uint32_t& iterations = verifier.challenge.iterations;
  const char* const end = count.data() + count.size();
  const auto parsed = std::from_chars(count.data(), end, iterations);
  if (parsed.ec != std::errc{} || parsed.ptr != end || iterations < 1 ||
      iterations > kScramIterationsMax)
    return fail(Code::invalid_value,
                "a SCRAM secret has iterations that are not a number from 1 to {}",
                kScramIterationsMax);
  const auto salt_bytes = from_base64(salt);
  if (!salt_bytes || salt_bytes->empty() || salt_bytes->size() > kScramSaltBytesMax)
    return malformed("has a salt that is not base64, or is empty or too long");
  const auto stored_key = key_from_base64(keys.substr(0, middle));
  if (!stored_key) return malformed("has a StoredKey that is not 32 bytes in base64");
  const auto server_key = key_from_base64(keys.substr(middle + 1));
  if (!server_key) return malformed("has a ServerKey that is not 32 bytes in base64");
  verifier.challenge.salt = *salt_bytes;
  verifier.stored_key = *stored_key;
  verifier.server_key = *server_key;
  return verifier;
}

std::string to_text(const ScramVerifier& verifier) {
  return fmt::format("{}{}:{}${}:{}", kPrefix, verifier.challenge.iterations,
                     base64(verifier.challenge.salt), base64(view(verifier.stored_key)),
                     base64(view(verifier.server_key)));
}

std::string user_salt(std::string_view user, const Key& process_secret) {
  const Key whole = hmac_sha256(view(process_secret), {"salt of ", user});
  return std::string(view(whole).substr(0, kScramSaltBytes));
}

ScramVerifier mock_verifier(std::string_view user, const Key& process_secret,
                            std::uint32_t iterations) {
  return {.challenge = {user_salt(user, process_secret), iterations},
          .stored_key = hmac_sha256(view(process_secret), {"stored key of ", user}),
          .server_key = hmac_sha256(view(process_secret), {"server key of ", user}),
          .mock = true};
}

}  // namespace pgw::auth

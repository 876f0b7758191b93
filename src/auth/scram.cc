#include "auth/scram.h"

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "base/check.h"

namespace pgw::auth {
namespace {

// base64 of "n,," and of "y,,": what c= must repeat without channel binding.
constexpr std::string_view kBindingNone = "biws";
constexpr std::string_view kBindingUnused = "eSws";

// Anything but the comma, as is_scram_printable in PostgreSQL's auth-scram.c.
bool is_nonce(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return c >= 0x21 && c <= 0x7e && c != ','; });
}

struct Attribute {
  char name;
  std::string_view value;
};

// Reads "a=value,b=value" from left to right. Every failure names the message.
class Attributes {
 public:
  Attributes(std::string_view text, std::string_view message) : rest_(text), message_(message) {}

  bool at_end() const { return done_; }
  std::string_view rest() const { return rest_; }

  Result<Attribute> any() {
    if (done_) return malformed("it ends too early");
    const std::size_t end = std::min(rest_.find(','), rest_.size());
    const std::string_view part = rest_.substr(0, end);
    if (part.size() < 2 || part[1] != '=' || lowered(part[0]) < 'a' || lowered(part[0]) > 'z')
      return malformed("an attribute must be a letter, '=' and a value");
    done_ = end == rest_.size();
    rest_.remove_prefix(done_ ? end : end + 1);
    return Attribute{part[0], part.substr(2)};
  }

  Result<std::string_view> take(char name) {
    PGW_TRY(attribute, any());
    if (attribute.name != name)
      return malformed(fmt::format("attribute '{}' where '{}' must be", attribute.name, name));
    return attribute.value;
  }

  // RFC 5802 section 5.1: 'm' stands where the first attribute is expected, and must not be
  // ignored.
  Done refuse_mandatory_extension() const {
    if (rest_.starts_with("m="))
      return fail(Code::unsupported, "{} requires a SCRAM extension that is not supported",
                  message_);
    return {};
  }

  // Extensions at the end are allowed and mean nothing to us.
  Done skip_the_rest() {
    while (!done_) PGW_DO(any());
    return {};
  }

  std::unexpected<Error> malformed(std::string_view why) const {
    return fail(Code::protocol, "malformed SCRAM {}: {}", message_, why);
  }

 private:
  std::string_view rest_;
  std::string_view message_;
  bool done_ = false;
};

Done check_bytes(std::string_view text, std::size_t bytes_max, std::string_view message) {
  if (text.empty()) return fail(Code::protocol, "malformed SCRAM {}: it is empty", message);
  if (text.size() > bytes_max)
    return fail(Code::protocol, "malformed SCRAM {}: {} bytes are over the limit of {}", message,
                text.size(), bytes_max);
  if (text.contains('\0'))
    return fail(Code::protocol, "malformed SCRAM {}: it contains a zero byte", message);
  return {};
}

// The part of client-first before "n=": the binding flag and an authorization identity.
Result<char> take_gs2_header(std::string_view& text) {
  const char flag = text.front();
  if (flag == 'p')
    return std::unexpected(
        Error(Code::protocol,
              "the client selected SCRAM-SHA-256 without channel binding, but its message "
              "includes channel binding data")
            .with_hint("connect with channel_binding=prefer or channel_binding=disable"));
  if (flag != 'n' && flag != 'y')
    return fail(Code::protocol,
                "malformed SCRAM client-first-message: unexpected channel-binding flag");
  text.remove_prefix(1);
  if (text.starts_with(",a="))
    return fail(Code::unsupported,
                "the client uses an authorization identity in SCRAM, which is "
                "not supported");
  if (!text.starts_with(",,"))
    return fail(Code::protocol,
                "malformed SCRAM client-first-message: expected a comma after the "
                "channel-binding flag");
  text.remove_prefix(2);
  return flag;
}

Key sign(const Key& key, std::string_view client_first_bare, std::string_view server_first,
         std::string_view client_final_without_proof) {
  return hmac_sha256(view(key),
                     {client_first_bare, ",", server_first, ",", client_final_without_proof});
}

Key exclusive_or(const Key& a, const Key& b) {
  Key out;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = a[i] ^ b[i];
  return out;
}

}  // namespace

ScramServer::ScramServer(ScramVerifier verifier, std::string nonce)
    : verifier_(std::move(verifier)), nonce_(std::move(nonce)) {
  PGW_ASSERT(is_nonce(nonce_));
}

Result<std::string> ScramServer::first(std::string_view client_first) {
  PGW_ASSERT(step_ == Step::first);
  step_ = Step::failed;
  PGW_DO(check_bytes(client_first, kScramFromClientBytesMax, "client-first-message"));
  PGW_TRY(flag, take_gs2_header(client_first));
  binding_flag_ = flag;

  Attributes attributes(client_first, "client-first-message");
  PGW_DO(attributes.refuse_mandatory_extension());
  // The name is not looked at: the start-up packet says who logs in.
  PGW_DO(attributes.take('n'));
  PGW_TRY(client_nonce, attributes.take('r'));
  if (!is_nonce(client_nonce)) return attributes.malformed("the nonce is empty or not printable");
  PGW_DO(attributes.skip_the_rest());

  client_first_bare_ = client_first;
  nonce_.insert(0, client_nonce);
  server_first_ = fmt::format("r={},s={},i={}", nonce_, base64(verifier_.challenge.salt),
                              verifier_.challenge.iterations);
  step_ = Step::final;
  return server_first_;
}

Result<std::string> ScramServer::final(std::string_view client_final) {
  PGW_ASSERT(step_ == Step::final);
  step_ = Step::failed;
  PGW_DO(check_bytes(client_final, kScramFromClientBytesMax, "client-final-message"));
  Attributes attributes(client_final, "client-final-message");
  PGW_TRY(binding, attributes.take('c'));
  if (binding != (binding_flag_ == 'y' ? kBindingUnused : kBindingNone))
    return attributes.malformed("channel binding is not the one of the first message");
  PGW_TRY(nonce, attributes.take('r'));
  if (!same(nonce, nonce_)) return attributes.malformed("the nonce does not match");

  std::size_t proof_at = 0;
  std::string_view proof_text;
  for (bool found = false; !found;) {
    proof_at = client_final.size() - attributes.rest().size();
    PGW_TRY(attribute, attributes.any());
    found = attribute.name == 'p';
    proof_text = attribute.value;
  }
  if (!attributes.at_end()) return attributes.malformed("there is more after the proof");
  const auto proof = key_from_base64(proof_text);
  if (!proof) return attributes.malformed("the proof is not 32 bytes in base64");

  const std::string_view without_proof = client_final.substr(0, proof_at - 1);
  const Key signature =
      sign(verifier_.stored_key, client_first_bare_, server_first_, without_proof);
  const Key client_key = exclusive_or(*proof, signature);
  const bool right = same(view(sha256(view(client_key))), view(verifier_.stored_key));
  const Key server_signature =
      sign(verifier_.server_key, client_first_bare_, server_first_, without_proof);
  if (!right || verifier_.mock) return fail(Code::invalid_password, "the password is wrong");
  client_key_ = client_key;
  step_ = Step::passed;
  return "v=" + base64(view(server_signature));
}

const Key& ScramServer::client_key() const {
  PGW_ASSERT(step_ == Step::passed);
  return client_key_;
}

ScramKeys ScramServer::keys() const { return keys_of(verifier_, client_key()); }

std::string ScramClient::first(std::string nonce) {
  PGW_ASSERT(step_ == Step::first && is_nonce(nonce));
  step_ = Step::challenge;
  nonce_ = std::move(nonce);
  // The name is empty as in libpq: PostgreSQL takes it from the start-up packet.
  client_first_bare_ = "n=,r=" + nonce_;
  return "n,," + client_first_bare_;
}

Result<ScramChallenge> ScramClient::challenge(std::string_view server_first) {
  PGW_ASSERT(step_ == Step::challenge);
  step_ = Step::failed;
  PGW_DO(check_bytes(server_first, kScramFromServerBytesMax, "server-first-message"));
  Attributes attributes(server_first, "server-first-message");
  PGW_DO(attributes.refuse_mandatory_extension());
  PGW_TRY(nonce, attributes.take('r'));
  if (!is_nonce(nonce)) return attributes.malformed("the nonce is empty or not printable");
  if (!nonce.starts_with(nonce_) || nonce.size() == nonce_.size())
    return attributes.malformed("the nonce does not continue ours");
  PGW_TRY(salt, attributes.take('s'));
  auto salt_bytes = from_base64(salt);
  if (!salt_bytes || salt_bytes->empty() || salt_bytes->size() > kScramSaltBytesMax)
    return attributes.malformed("the salt is not base64, or is empty or too long");
  PGW_TRY(count, attributes.take('i'));
  const char* const end = count.data() + count.size();
  const auto parsed = std::from_chars(count.data(), end, challenge_.iterations);
  if (parsed.ec != std::errc{} || parsed.ptr != end || challenge_.iterations < 1 ||
      challenge_.iterations > kScramIterationsMax)
    return attributes.malformed(
        fmt::format("the iterations are not a number from 1 to {}", kScramIterationsMax));
  PGW_DO(attributes.skip_the_rest());
  challenge_.salt = std::move(*salt_bytes);
  server_nonce_ = nonce;
  server_first_ = server_first;
  step_ = Step::final;
  return challenge_;
}

Result<std::string> ScramClient::final(const ScramKeys& keys) {
  PGW_ASSERT(step_ == Step::final);
  step_ = Step::failed;
  const bool other_salt = keys.challenge.salt != challenge_.salt;
  if (other_salt || keys.challenge.iterations != challenge_.iterations)
    return std::unexpected(
        Error(Code::invalid_authorization,
              other_salt ? std::string("SCRAM pass-through is not possible: the salt of the secret "
                                       "here is not the one that PostgreSQL uses")
                         : fmt::format("SCRAM pass-through is not possible: the secret here has {} "
                                       "iterations, PostgreSQL's has {}",
                                       keys.challenge.iterations, challenge_.iterations))
            .with_hint("copy the secret from pg_authid.rolpassword, or store the password itself"));

  std::string out = fmt::format("c={},r={}", kBindingNone, server_nonce_);
  const Key signature = sign(keys.stored_key, client_first_bare_, server_first_, out);
  server_signature_ = sign(keys.server_key, client_first_bare_, server_first_, out);
  out += ",p=";
  out += base64(view(exclusive_or(keys.client_key, signature)));
  step_ = Step::verify;
  return out;
}

Done ScramClient::verify(std::string_view server_final) {
  PGW_ASSERT(step_ == Step::verify);
  step_ = Step::failed;
  PGW_DO(check_bytes(server_final, kScramFromServerBytesMax, "server-final-message"));
  Attributes attributes(server_final, "server-final-message");
  PGW_TRY(attribute, attributes.any());
  PGW_DO(attributes.skip_the_rest());
  if (attribute.name == 'e')
    return fail(Code::invalid_password, "PostgreSQL refused the SCRAM proof: {}", attribute.value);
  if (attribute.name != 'v') return attributes.malformed("it has neither 'v' nor 'e'");
  const auto signature = key_from_base64(attribute.value);
  if (!signature) return attributes.malformed("the signature is not 32 bytes in base64");
  if (!same(view(*signature), view(server_signature_)))
    return fail(Code::invalid_authorization,
                "the server could not prove that it knows the password (wrong SCRAM signature)");
  step_ = Step::passed;
  return {};
}

}  // namespace pgw::auth

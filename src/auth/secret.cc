#include "auth/secret.h"

#include <utility>

#include "base/check.h"

namespace pgw::auth {
namespace {

constexpr std::string_view kMd5Prefix = "md5";
constexpr std::size_t kMd5TextBytes = 35;

bool looks_like_md5(std::string_view text) {
  return text.size() == kMd5TextBytes && text.starts_with(kMd5Prefix) &&
         text.find_first_not_of("0123456789abcdef", kMd5Prefix.size()) == text.npos;
}

std::unexpected<Error> no_md5() {
  return std::unexpected(Error(Code::unsupported, "OpenSSL on this machine refuses MD5")
                             .with_hint("use SCRAM-SHA-256 secrets, or leave OpenSSL's FIPS mode"));
}

// The 32 digits that PostgreSQL stores after "md5": of the password followed by the user's name.
std::optional<std::string> stored_digits(std::string_view password, std::string_view user) {
  std::string both(password);
  both += user;
  return md5_hex(both);
}

}  // namespace

Result<Secret> Secret::parse(std::string_view text) {
  if (text.size() > kSecretBytesMax)
    return fail(Code::too_large, "a secret of {} bytes is over the limit of {}", text.size(),
                kSecretBytesMax);
  if (text.contains('\0')) return fail(Code::invalid_value, "a secret contains a zero byte");
  if (looks_like_md5(text)) return Secret(Kind::md5, std::string(text));
  if (!looks_like_scram(text)) return Secret(Kind::plain, std::string(text));
  PGW_TRY(verifier, parse_verifier(text));
  Secret secret(Kind::scram, std::string(text));
  secret.scram_ = std::move(verifier);
  return secret;
}

Secret Secret::mock(Kind kind, std::string_view user, const Key& process_secret,
                    std::uint32_t iterations) {
  const Key random = hmac_sha256(view(process_secret), {"password of ", user});
  Secret secret(kind, base64(view(random)));
  secret.mock_ = true;
  if (kind == Kind::scram) secret.scram_ = mock_verifier(user, process_secret, iterations);
  if (kind == Kind::md5)
    secret.text_ = std::string(kMd5Prefix) + md5_hex(secret.text_).value_or("");
  return secret;
}

Result<std::string> Secret::md5_answer(std::string_view user, const Md5Salt& salt) const {
  if (kind_ == Kind::scram)
    return std::unexpected(
        Error(Code::invalid_authorization, "a SCRAM secret cannot answer a request for md5")
            .with_hint("store the password as plain text or md5, or let the server ask for SCRAM"));
  std::string salted;
  if (kind_ == Kind::md5) {
    salted = text_.substr(kMd5Prefix.size());
  } else {
    auto digits = stored_digits(text_, user);
    if (!digits) return no_md5();
    salted = std::move(*digits);
  }
  salted.append(salt.data(), salt.size());
  const auto digits = md5_hex(salted);
  if (!digits) return no_md5();
  return std::string(kMd5Prefix) + *digits;
}

bool Secret::verify_md5(std::string_view user, const Md5Salt& salt, std::string_view answer) const {
  const auto expected = md5_answer(user, salt);
  return expected && same(*expected, answer) && !text_.empty() && !mock_;
}

bool Secret::verify_password(std::string_view user, std::string_view given) const {
  switch (kind_) {
    case Kind::plain:
      // Digests are compared, so that the time tells nothing about the length.
      return same(view(sha256(text_)), view(sha256(given))) && !text_.empty() && !mock_;
    case Kind::md5: {
      const auto digits = stored_digits(given, user);
      return digits && same(std::string_view(text_).substr(kMd5Prefix.size()), *digits) && !mock_;
    }
    case Kind::scram: {
      // As scram_verify_plain_password: StoredKey follows from ServerKey's password too.
      const ScramKeys keys = derive(given, scram_->challenge);
      return same(view(keys.server_key), view(scram_->server_key)) && !mock_ && !scram_->mock;
    }
  }
  std::unreachable();
}

}  // namespace pgw::auth

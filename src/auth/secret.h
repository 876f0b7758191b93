// What we know about a user's password: the text itself, PostgreSQL's md5 form, or a SCRAM
// verifier. A value; thread: any.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "auth/scram_keys.h"
#include "base/result.h"

namespace pgw::auth {

inline constexpr std::size_t kSecretBytesMax = 2048;  // PgBouncer's MAX_PASSWORD

using Md5Salt = std::array<char, 4>;

class Secret {
 public:
  enum class Kind : std::uint8_t { plain, md5, scram };

  // Decides as PostgreSQL does (get_password_type), except that a text that begins like a SCRAM
  // verifier and is none is refused: nobody means that as a password.
  static Result<Secret> parse(std::string_view text);
  // Stands in for the secret of a user who does not exist: the same work, and nothing passes it.
  static Secret mock(Kind kind, std::string_view user, const Key& process_secret,
                     std::uint32_t iterations = kScramIterationsDefault);

  Kind kind() const { return kind_; }
  bool is_mock() const { return mock_; }
  // The password, when it is plain; "md5…", when it is that.
  const std::string& text() const { return text_; }
  // Null unless kind() is scram.
  const ScramVerifier* scram() const { return scram_ ? &*scram_ : nullptr; }

  // The answer to AuthenticationMD5Password: "md5" and 32 digits. Fails for a SCRAM secret.
  Result<std::string> md5_answer(std::string_view user, const Md5Salt& salt) const;
  // Whether a client's answer to `salt` is right. Never for a SCRAM or an empty secret.
  bool verify_md5(std::string_view user, const Md5Salt& salt, std::string_view answer) const;
  // Whether a password in plain text is right. Slow for a SCRAM secret (derive). Never for an empty
  // secret.
  bool verify_password(std::string_view user, std::string_view given) const;

 private:
  Secret(Kind kind, std::string text) : kind_(kind), text_(std::move(text)) {}
  Kind kind_;
  bool mock_ = false;
  std::string text_;
  std::optional<ScramVerifier> scram_;
};

}  // namespace pgw::auth

#include "auth/scram_keys.h"

#include <gtest/gtest.h>

#include <set>

namespace pgw::auth {
namespace {

constexpr std::string_view kText =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
constexpr std::string_view kSalt = "W22ZaJ0SNY7soEsUEjb6gQ==";

TEST(Derive, Rfc7677) {
  const ScramKeys keys = derive("pencil", {*from_base64(kSalt), 4096});
  EXPECT_EQ(base64(view(keys.client_key)), "pg/JI9Z+hkSpLRa5btpe9GVrDHJcSEN0viVTVXaZbos=");
  EXPECT_EQ(base64(view(keys.stored_key)), "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
  EXPECT_EQ(base64(view(keys.server_key)), "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
  EXPECT_EQ(to_text(verifier_of(keys)), kText);
  EXPECT_EQ(verifier_of(keys_of(verifier_of(keys), keys.client_key)), verifier_of(keys));
}

TEST(ParseVerifier, TextComesBack) {
  const auto verifier = parse_verifier(kText);
  ASSERT_TRUE(verifier);
  EXPECT_EQ(verifier->challenge.iterations, 4096u);
  EXPECT_EQ(base64(verifier->challenge.salt), kSalt);
  EXPECT_EQ(to_text(*verifier), kText);
  EXPECT_FALSE(verifier->mock);
}

TEST(ParseVerifier, EveryPrefixFails) {
  for (std::size_t n = 0; n < kText.size(); ++n)
    EXPECT_FALSE(parse_verifier(kText.substr(0, n))) << n;
}

// A changed character either fails or shows in the result: nothing is ignored.
TEST(ParseVerifier, EveryMutationShows) {
  for (std::size_t n = 0; n < kText.size(); ++n) {
    for (int c = 0; c < 256; ++c) {
      std::string text(kText);
      text[n] = static_cast<char>(c);
      const auto verifier = parse_verifier(text);
      // Iterations may have gained a leading zero.
      if (verifier && !(c == '0' && n == 14)) EXPECT_EQ(to_text(*verifier), text);
    }
    EXPECT_FALSE(parse_verifier(std::string(kText).erase(n, 1)) &&
                 !(n >= 14 && n < 18))  // one digit fewer is still a number
        << n;
  }
  EXPECT_FALSE(parse_verifier(std::string(kText) + "x"));
  EXPECT_FALSE(parse_verifier(std::string(kText) + "="));
}

std::string with(std::string_view iterations, std::string_view salt) {
  return fmt::format("SCRAM-SHA-256${}:{}{}", iterations, salt, kText.substr(kText.find('$', 14)));
}

TEST(ParseVerifier, Bounds) {
  EXPECT_TRUE(parse_verifier(with("1", kSalt)));
  EXPECT_TRUE(parse_verifier(with("1000000", kSalt)));
  for (const char* bad : {"", "0", "-1", "+1", " 1", "1 ", "1000001", "4294967297", "x", "1e3"})
    EXPECT_FALSE(parse_verifier(with(bad, kSalt))) << bad;
  EXPECT_TRUE(parse_verifier(with("1", base64(std::string(kScramSaltBytesMax, 's')))));
  EXPECT_FALSE(parse_verifier(with("1", base64(std::string(kScramSaltBytesMax + 1, 's')))));
  EXPECT_FALSE(parse_verifier(with("1", "")));
}

// An unknown user must look the same on every attempt, and like nobody else.
TEST(Mock, SaltIsStableAndItsOwn) {
  const Key process{1};
  const Key other_process{2};
  EXPECT_EQ(mock_verifier("ghost", process), mock_verifier("ghost", process));
  EXPECT_TRUE(mock_verifier("ghost", process).mock);
  std::set<std::string> salts;
  for (const char* user : {"ghost", "ghosts", "", "Ghost"}) {
    salts.insert(user_salt(user, process));
    salts.insert(user_salt(user, other_process));
    EXPECT_EQ(mock_verifier(user, process).challenge.salt, user_salt(user, process));
  }
  EXPECT_EQ(salts.size(), 8u);
  for (const std::string& salt : salts) EXPECT_EQ(salt.size(), kScramSaltBytes);
}

}  // namespace
}  // namespace pgw::auth

#include "auth/secret.h"

#include <gtest/gtest.h>

namespace pgw::auth {
namespace {

// Made by PostgreSQL 15 for the role mm with the password "secret".
constexpr std::string_view kMd5 = "md58f17e819085d894388eec1c90d19409b";
constexpr std::string_view kScram =
    "SCRAM-SHA-256$4096:y+LTLP7YmO70Xu3FJIqNPw==$LxXBIDB/wzXO/txMsnfwzHXxRMns0vv6fLR0hCMY0Q4=:"
    "KAcYxVJIJfwraAeyq5c3ABBumioXeJFSlf2Pj+OPjRA=";  // "pencil"
constexpr Md5Salt kSalt = {'\x01', '\x02', '\x03', '\xff'};
constexpr std::string_view kAnswer = "md568f5071d0debe93553b8f2b926a32ec5";
constexpr Key kProcess = {1, 2, 3};

Secret secret(std::string_view text) {
  auto parsed = Secret::parse(text);
  EXPECT_TRUE(parsed) << text;
  return *parsed;
}

TEST(Secret, KindIsToldFromTheText) {
  EXPECT_EQ(secret("").kind(), Secret::Kind::plain);
  EXPECT_EQ(secret("md5").kind(), Secret::Kind::plain);
  EXPECT_EQ(secret(kMd5).kind(), Secret::Kind::md5);
  EXPECT_EQ(secret(kMd5.substr(0, 34)).kind(), Secret::Kind::plain);
  EXPECT_EQ(secret(std::string(kMd5) + "0").kind(), Secret::Kind::plain);
  // PostgreSQL takes lower-case digits only.
  EXPECT_EQ(secret("md58F17E819085D894388EEC1C90D19409B").kind(), Secret::Kind::plain);
  EXPECT_EQ(secret(kScram).kind(), Secret::Kind::scram);
  EXPECT_EQ(secret("SCRAM-SHA-256").kind(), Secret::Kind::plain);
}

TEST(Secret, RefusesWhatNobodyMeansAsAPassword) {
  EXPECT_EQ(Secret::parse("SCRAM-SHA-256$").error().code(), Code::invalid_value);
  EXPECT_EQ(Secret::parse(std::string("a\0b", 3)).error().code(), Code::invalid_value);
  EXPECT_TRUE(Secret::parse(std::string(kSecretBytesMax, 'x')));
  EXPECT_EQ(Secret::parse(std::string(kSecretBytesMax + 1, 'x')).error().code(), Code::too_large);
}

TEST(Secret, Md5AnswerFromPlainAndMd5) {
  for (const std::string_view text : {std::string_view("secret"), kMd5}) {
    const Secret known = secret(text);
    EXPECT_EQ(*known.md5_answer("mm", kSalt), kAnswer);
    EXPECT_TRUE(known.verify_md5("mm", kSalt, kAnswer));
    EXPECT_FALSE(known.verify_md5("mm", {'\x01', '\x02', '\x03', '\xfe'}, kAnswer));
    EXPECT_FALSE(known.verify_md5("mm", kSalt, kAnswer.substr(0, 34)));
    EXPECT_FALSE(known.verify_md5("mm", kSalt, ""));
  }
  EXPECT_FALSE(secret("secret").verify_md5("nn", kSalt, kAnswer));
}

TEST(Secret, ScramSecretHasNoMd5Answer) {
  const auto answer = secret(kScram).md5_answer("mm", kSalt);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::invalid_authorization);
  EXPECT_FALSE(secret(kScram).verify_md5("mm", kSalt, kAnswer));
}

TEST(Secret, PasswordAgainstEveryKind) {
  EXPECT_TRUE(secret("secret").verify_password("mm", "secret"));
  EXPECT_FALSE(secret("secret").verify_password("mm", "secret "));
  EXPECT_FALSE(secret("secret").verify_password("mm", ""));
  EXPECT_TRUE(secret(kMd5).verify_password("mm", "secret"));
  EXPECT_FALSE(secret(kMd5).verify_password("nn", "secret"));
  EXPECT_FALSE(secret(kMd5).verify_password("mm", kMd5));
  EXPECT_TRUE(secret(kScram).verify_password("any", "pencil"));
  EXPECT_FALSE(secret(kScram).verify_password("any", "pencils"));
  EXPECT_FALSE(secret(kScram).verify_password("any", ""));
  EXPECT_FALSE(secret(kScram).verify_password("any", kScram));
}

// An empty entry means "no password", never "the empty password".
TEST(Secret, EmptySecretLetsNobodyIn) {
  const Secret empty = secret("");
  EXPECT_FALSE(empty.verify_password("mm", ""));
  EXPECT_FALSE(empty.verify_md5("mm", kSalt, *empty.md5_answer("mm", kSalt)));
}

TEST(Secret, MockLetsNobodyInButLooksLikeItsKind) {
  for (const auto kind : {Secret::Kind::plain, Secret::Kind::md5, Secret::Kind::scram}) {
    const Secret mock = Secret::mock(kind, "ghost", kProcess, 5000);
    EXPECT_EQ(mock.kind(), kind);
    EXPECT_TRUE(mock.is_mock());
    EXPECT_FALSE(mock.verify_password("ghost", mock.text()));
    if (kind != Secret::Kind::scram) {
      EXPECT_FALSE(mock.verify_md5("ghost", kSalt, *mock.md5_answer("ghost", kSalt)));
    } else {
      EXPECT_EQ(mock.scram()->challenge.iterations, 5000u);
    }
  }
  EXPECT_EQ(secret(Secret::mock(Secret::Kind::md5, "ghost", kProcess).text()).kind(),
            Secret::Kind::md5);
}

}  // namespace
}  // namespace pgw::auth

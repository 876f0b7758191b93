#include "server/login.h"

#include <gtest/gtest.h>

#include "auth/digest.h"
#include "wire/frame.h"
#include "wire/read.h"
#include "wire/write.h"

namespace pgw::server {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using Next = Login::Next;

constexpr std::uint32_t kIterations = 16;
const auth::ScramChallenge kChallenge{"0123456789abcdef", kIterations};
constexpr std::string_view kMechanisms = "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv;

std::string u32(std::uint32_t value) {
  std::string out(4, '\0');
  put_u32(out.data(), value);
  return out;
}

Credentials nobody() { return {.user = "me", .password = {}, .secret = {}, .keys = {}}; }
Credentials with_password(std::string password) {
  auto out = nobody();
  out.password = std::move(password);
  return out;
}
Credentials with_secret(std::string_view text) {
  auto out = nobody();
  out.secret = auth::Secret::parse(text).value();
  return out;
}
Credentials with_keys(const auth::ScramKeys& keys) {
  auto out = nobody();
  out.keys = keys;
  return out;
}
std::string md5_secret() { return "md5" + auth::md5_hex("secretme").value(); }
std::string md5_answer(std::string_view salt) {
  return "md5" + auth::md5_hex(auth::md5_hex("secretme").value() + std::string(salt)).value();
}

// PostgreSQL's end of the wire: says messages, and takes what was sent back.
class Talk {
 public:
  explicit Talk(Credentials credentials) : login(std::move(credentials)) {}
  Login login;
  std::string out;

  Result<Next> say(char tag, Bytes body) { return login.message(tag, body, "ourNonce", out); }
  Result<Next> ask(std::uint32_t kind, Bytes data = {}) {
    return say('R', u32(kind) + std::string(data));
  }
  // The body of the one password message that was sent.
  std::string taken() {
    const auto sent = std::exchange(out, {});
    wire::Header header;
    EXPECT_EQ(wire::peek_header(sent, 10'000, header), wire::Peek::header);
    EXPECT_EQ(header.tag, 'p');
    EXPECT_EQ(header.body_bytes + wire::kHeaderBytes, sent.size());
    return sent.size() < wire::kHeaderBytes ? "" : sent.substr(wire::kHeaderBytes);
  }
  Code code(std::uint32_t kind, Bytes data = {}) {
    const auto got = ask(kind, data);
    EXPECT_EQ(out, "");
    return got ? Code::internal : got.error().code();
  }
};

TEST(Login, TrustThenWhatTheServerTells) {
  Talk t(nobody());
  EXPECT_EQ(t.ask(wire::kAuthOk), Next::more);
  EXPECT_EQ(t.say('S', "TimeZone\0UTC\0"sv), Next::more);
  EXPECT_EQ(t.say('S', "TimeZone\0CET\0"sv), Next::more);
  EXPECT_EQ(t.say('S', "DateStyle\0ISO\0"sv), Next::more);
  EXPECT_EQ(t.say('N', "Mhello\0\0"sv), Next::more);
  EXPECT_EQ(t.say('v', "\0\0\0\0\0\0\0\0"sv), Next::more);
  EXPECT_EQ(t.say('K', "\1\2\3\4keys"sv), Next::more);
  EXPECT_EQ(t.say('Z', "I"), Next::ready);
  EXPECT_EQ(t.out, "");
  EXPECT_EQ(t.login.pid, 0x01020304u);
  EXPECT_EQ(t.login.key, "keys");
  EXPECT_EQ(t.login.reported, (relay::Settings{{"TimeZone", "CET"}, {"DateStyle", "ISO"}}));
}

TEST(Login, KeysHaveFourTo256Bytes) {
  for (const std::size_t bytes : std::initializer_list<std::size_t>{0, 3, 4, 32, 256, 257}) {
    Talk t(nobody());
    const auto got = t.say('K', "\0\0\0\7"s + std::string(bytes, 'k'));
    EXPECT_EQ(got.has_value(), bytes >= 4 && bytes <= 256) << bytes;
  }
  Talk t(nobody());
  EXPECT_FALSE(t.say('K', "\0\0\0"sv));
}

TEST(Login, FailsOnWhatIsMalformedOrOutOfPlace) {
  for (const char tag : {'D', 'C', 'T', 'G', '1', '\0', '\xff'}) {
    Talk t(nobody());
    const auto got = t.say(tag, "");
    ASSERT_FALSE(got) << tag;
    EXPECT_EQ(got.error().code(), Code::protocol);
    EXPECT_FALSE(t.login.definite());
  }
  for (const std::size_t n : std::initializer_list<std::size_t>{0, 1, 2, 3}) {
    Talk t(nobody());
    EXPECT_FALSE(t.say('R', "\0\0\0\0"sv.substr(0, n))) << n;
  }
  Talk t(nobody());
  EXPECT_FALSE(t.say('S', "TimeZone\0UTC"sv));
}

TEST(Login, MethodsThatAreNotSpoken) {
  for (const std::uint32_t kind : {2u, 6u, 7u, 8u, 9u, 13u, 0xffffffffu}) {
    Talk t(with_password("secret"));
    EXPECT_EQ(t.code(kind), Code::unsupported) << kind;
    EXPECT_TRUE(t.login.definite());
  }
}

TEST(Login, Cleartext) {
  for (const auto& credentials : {with_password("secret"), with_secret("secret")}) {
    Talk t(credentials);
    EXPECT_EQ(t.ask(wire::kAuthPassword), Next::more);
    EXPECT_EQ(t.taken(), "secret\0"sv);
    EXPECT_EQ(t.ask(wire::kAuthOk), Next::more);
  }
  // The database's own password counts more than what a client brought.
  auto both = with_secret("other");
  both.password = "secret";
  Talk t(both);
  EXPECT_EQ(t.ask(wire::kAuthPassword), Next::more);
  EXPECT_EQ(t.taken(), "secret\0"sv);
}

TEST(Login, Md5) {
  for (const auto& credentials :
       {with_password("secret"), with_secret("secret"), with_secret(md5_secret())}) {
    for (const Bytes salt : {"abcd"sv, "\0\xff\0\1"sv}) {
      Talk t(credentials);
      EXPECT_EQ(t.ask(wire::kAuthMd5, salt), Next::more);
      EXPECT_EQ(t.taken(), md5_answer(salt) + '\0');
    }
  }
  for (const Bytes salt : {""sv, "abc"sv, "abcde"sv}) {
    Talk t(with_password("secret"));
    EXPECT_EQ(t.code(wire::kAuthMd5, salt), Code::protocol);
  }
}

// A retry would not help: the operator must say what to log in with.
TEST(Login, WithoutASecretThatServes) {
  const auto keys = auth::derive("secret", kChallenge);
  const auto refuses = [](Credentials credentials, std::uint32_t kind, Bytes data) {
    Talk t(std::move(credentials));
    const auto got = t.ask(kind, data);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code(), Code::invalid_password);
    EXPECT_TRUE(got.error().what().contains("\"me\""));
    EXPECT_FALSE(got.error().hint().empty());
    EXPECT_TRUE(t.login.definite());
    EXPECT_EQ(t.out, "");
  };
  refuses(nobody(), wire::kAuthPassword, "");
  refuses(with_secret(md5_secret()), wire::kAuthPassword, "");
  refuses(with_keys(keys), wire::kAuthPassword, "");
  refuses(nobody(), wire::kAuthMd5, "salt");
  refuses(with_secret(auth::to_text(auth::verifier_of(keys))), wire::kAuthMd5, "salt");
  refuses(with_keys(keys), wire::kAuthMd5, "salt");
}

// --- SCRAM

class Scram : public Talk {
 public:
  explicit Scram(Credentials credentials, std::string_view password = "secret")
      : Talk(std::move(credentials)),
        peer(auth::verifier_of(auth::derive(password, kChallenge)), "serverNonce") {}
  auth::ScramServer peer;

  // Up to server-first; what the login makes of that.
  Result<Next> begin() {
    EXPECT_EQ(ask(wire::kAuthSasl, kMechanisms), Next::more);
    const auto initial = taken();
    wire::Reader in(initial);
    EXPECT_EQ(in.text(), "SCRAM-SHA-256");
    EXPECT_EQ(in.u32(), in.rest().size());
    const auto first = peer.first(in.rest());
    EXPECT_TRUE(first);
    EXPECT_TRUE(first->contains("ourNonceserverNonce"));
    return ask(wire::kAuthSaslContinue, *first);
  }
  // The slow part.
  Done derive() {
    const auto [password, challenge] = login.to_derive();
    EXPECT_EQ(challenge, kChallenge);
    return login.derived(auth::derive(password, challenge), out);
  }
  void end() {
    const auto final = peer.final(taken());
    ASSERT_TRUE(final) << final.error().what();
    EXPECT_EQ(ask(wire::kAuthSaslFinal, *final), Next::more);
    EXPECT_EQ(ask(wire::kAuthOk), Next::more);
    EXPECT_EQ(say('Z', "I"), Next::ready);
  }
};

TEST(LoginScram, WithAPassword) {
  for (const auto& credentials : {with_password("secret"), with_secret("secret")}) {
    Scram t(credentials);
    ASSERT_EQ(t.begin(), Next::derive);
    EXPECT_EQ(t.out, "");
    EXPECT_EQ(t.login.to_derive().first, "secret");
    ASSERT_TRUE(t.derive());
    t.end();
  }
}

TEST(LoginScram, PassesAClientsKeysThrough) {
  Scram t(with_keys(auth::derive("secret", kChallenge)));
  ASSERT_EQ(t.begin(), Next::more);
  t.end();
}

TEST(LoginScram, KeysOfAnotherSecretAreRefusedForGood) {
  for (const auto& challenge : {auth::ScramChallenge{"another salt", kIterations},
                                auth::ScramChallenge{kChallenge.salt, kIterations + 1}}) {
    Scram t(with_keys(auth::derive("secret", challenge)));
    const auto got = t.begin();
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code(), Code::invalid_authorization);
    EXPECT_TRUE(t.login.definite());
    EXPECT_EQ(t.out, "");
  }
}

TEST(LoginScram, NothingElseServes) {
  for (const auto& credentials : {nobody(), with_secret(md5_secret())}) {
    Scram t(credentials);
    const auto got = t.begin();
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code(), Code::invalid_password);
    EXPECT_TRUE(t.login.definite());
  }
}

TEST(LoginScram, AWrongPasswordIsNoProof) {
  Scram t(with_password("wrong"));
  ASSERT_EQ(t.begin(), Next::derive);
  ASSERT_TRUE(t.derive());
  EXPECT_FALSE(t.peer.final(t.taken()));
}

// Whoever does not know the secret must not be taken for our server.
TEST(LoginScram, TheServerMustProveItselfToo) {
  for (const bool answered : {false, true}) {
    Scram t(with_password("secret"));
    ASSERT_EQ(t.begin(), Next::derive);
    if (answered) ASSERT_TRUE(t.derive());
    t.out.clear();
    EXPECT_EQ(t.code(wire::kAuthOk), Code::protocol);
  }
  for (const auto& final : {"v="s + auth::base64(std::string(32, 'x')), "e=other-error"s, "v=x"s}) {
    Scram t(with_password("secret"));
    ASSERT_EQ(t.begin(), Next::derive);
    ASSERT_TRUE(t.derive());
    t.out.clear();
    EXPECT_FALSE(t.ask(wire::kAuthSaslFinal, final)) << final;
  }
  // Nor by leaving the end of the exchange out.
  Scram t(with_password("secret"));
  ASSERT_EQ(t.begin(), Next::derive);
  EXPECT_FALSE(t.say('Z', "I"));
}

TEST(LoginScram, OnlyTheMechanismThatIsSpoken) {
  for (const Bytes offer : {"SCRAM-SHA-256\0\0"sv, "X\0SCRAM-SHA-256\0\0"sv}) {
    Talk t(with_password("secret"));
    EXPECT_EQ(t.ask(wire::kAuthSasl, offer), Next::more);
  }
  for (const Bytes offer : {""sv, "\0"sv, "SCRAM-SHA-256-PLUS\0\0"sv, "OAUTHBEARER\0\0"sv,
                            "SCRAM-SHA-256"sv, "X\0\0SCRAM-SHA-256\0\0"sv}) {
    Talk t(with_password("secret"));
    EXPECT_EQ(t.code(wire::kAuthSasl, offer), Code::unsupported) << offer;
    EXPECT_TRUE(t.login.definite());
  }
}

// A server may be broken or hostile: whatever it sends out of order is an error, never more.
TEST(LoginScram, StepsOutOfOrder) {
  for (const auto kind : {wire::kAuthSaslContinue, wire::kAuthSaslFinal}) {
    Talk t(with_password("secret"));
    EXPECT_EQ(t.code(kind, "v=x"), Code::protocol);
  }
  {
    Talk t(with_password("secret"));
    EXPECT_EQ(t.ask(wire::kAuthSasl, kMechanisms), Next::more);
    t.out.clear();
    EXPECT_EQ(t.code(wire::kAuthSaslFinal, "v=x"), Code::protocol);
  }
  for (const auto kind : {wire::kAuthSasl, wire::kAuthSaslContinue, wire::kAuthSaslFinal}) {
    Scram t(with_password("secret"));
    ASSERT_EQ(t.begin(), Next::derive);
    EXPECT_EQ(t.code(kind, kMechanisms), Code::protocol) << kind;
  }
  for (const auto kind : {wire::kAuthSasl, wire::kAuthSaslContinue}) {
    Scram t(with_password("secret"));
    ASSERT_EQ(t.begin(), Next::derive);
    ASSERT_TRUE(t.derive());
    t.out.clear();
    EXPECT_EQ(t.code(kind, kMechanisms), Code::protocol) << kind;
  }
  for (const auto kind : {wire::kAuthSasl, wire::kAuthSaslContinue, wire::kAuthSaslFinal}) {
    Scram t(with_password("secret"));
    ASSERT_EQ(t.begin(), Next::derive);
    ASSERT_TRUE(t.derive());
    t.end();
    EXPECT_EQ(t.code(kind, kMechanisms), Code::protocol) << kind;
  }
}

TEST(LoginScram, EveryPrefixOfServerFirstFails) {
  const auto first = "r=ourNonceserverNonce,s=" + auth::base64(kChallenge.salt) + ",i=16";
  for (std::size_t n = 0; n <= first.size(); ++n) {
    Talk t(with_password("secret"));
    EXPECT_EQ(t.ask(wire::kAuthSasl, kMechanisms), Next::more);
    t.out.clear();
    const auto got = t.ask(wire::kAuthSaslContinue, Bytes(first).substr(0, n));
    // "i=1" is a whole message, too.
    EXPECT_EQ(got.has_value(), n + 1 >= first.size()) << n;
    EXPECT_EQ(t.out, "");
  }
}

// --- refusals

TEST(LoginRefused, TellsWhatPostgresqlSaid) {
  Talk t(nobody());
  const auto got = t.say('E', "SFATAL\0VFATAL\0C3D000\0Mno such database\0Hmake it\0\0"sv);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().what(), "no such database");
  EXPECT_EQ(got.error().state(), "3D000");
  EXPECT_EQ(got.error().hint(), "make it");
}

TEST(LoginRefused, PassingOrDefinite) {
  const auto definite = [](std::string_view state) {
    Talk t(nobody());
    const auto got = t.say('E', "SFATAL\0C"s.append(state) + "\0Mno\0\0"s);
    EXPECT_FALSE(got);
    EXPECT_EQ(got.error().state(), state);
    EXPECT_EQ(got.error().code(),
              t.login.definite() ? Code::invalid_authorization : Code::cannot_connect);
    return t.login.definite();
  };
  for (const auto* state : {"53300", "53000", "53200", "53400", "57P01", "57P02", "57P03", "57P05",
                            "08006", "08P01", "58030", "58000"})
    EXPECT_FALSE(definite(state)) << state;
  for (const auto* state : {"28P01", "28000", "3D000", "42704", "22023", "42501", "0A000", "57P04",
                            "57014", "55000", "XX000", "5X300"})
    EXPECT_TRUE(definite(state)) << state;
}

TEST(LoginRefused, WithoutAStateItHasThatOfItsCode) {
  Talk t(nobody());
  const auto got = t.say('E', "SFATAL\0Mno\0\0"sv);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().state(), "28000");
}

}  // namespace
}  // namespace pgw::server

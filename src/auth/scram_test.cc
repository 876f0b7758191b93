#include "auth/scram.h"

#include <gtest/gtest.h>

namespace pgw::auth {
namespace {

// The exchange of RFC 7677 section 3.
constexpr std::string_view kClientNonce = "rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view kServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr std::string_view kClientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view kServerFirst =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr std::string_view kClientFinal =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr std::string_view kServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

// The same with an empty name, as libpq and ScramClient send it (computed with Python's hmac).
constexpr std::string_view kOurClientFirst = "n,,n=,r=rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view kOurClientFinal =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=qvT2SWdEH5Q06albL+hjSYuUhCG7VndFyzIb7CK4n9k=";
constexpr std::string_view kOurServerFinal = "v=3HO6Qt1M4MKJrmlKaoOqLAI0/0TV0HZe7J9H3MBtSOg=";
// And with the flag y.
constexpr std::string_view kUnusedBindingFinal =
    "c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=VpuC5DGQa5ro9tXE9MnKs69NH1nxnuregZZcclqIGfM=";

const ScramKeys& keys() {
  static const ScramKeys made = derive("pencil", {*from_base64("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096});
  return made;
}

ScramServer server() { return {verifier_of(keys()), std::string(kServerNonce)}; }

Code code_of_first(std::string_view message) {
  auto peer = server();
  const auto got = peer.first(message);
  return got ? Code::internal : got.error().code();
}

Code code_of_final(std::string_view message, std::string_view first = kClientFirst) {
  auto peer = server();
  EXPECT_TRUE(peer.first(first));
  const auto got = peer.final(message);
  return got ? Code::internal : got.error().code();
}

constexpr Code kAccepted = Code::internal;

TEST(ScramServer, Rfc7677) {
  auto peer = server();
  EXPECT_EQ(*peer.first(kClientFirst), kServerFirst);
  EXPECT_EQ(*peer.final(kClientFinal), kServerFinal);
  EXPECT_EQ(peer.client_key(), keys().client_key);
  EXPECT_EQ(peer.keys().challenge, keys().challenge);
  EXPECT_EQ(peer.keys().server_key, keys().server_key);
}

TEST(ScramServer, BindingFlags) {
  EXPECT_EQ(code_of_final(kUnusedBindingFinal, "y,,n=,r=rOprNGfwEbeRWgbNEkqO"), kAccepted);
  // c= must repeat the flag of the first message, or somebody in between changed it.
  EXPECT_EQ(code_of_final(kUnusedBindingFinal, kOurClientFirst), Code::protocol);
  EXPECT_EQ(code_of_final(kOurClientFinal, "y,,n=,r=rOprNGfwEbeRWgbNEkqO"), Code::protocol);
  auto peer = server();
  const auto bound = peer.first("p=tls-server-end-point,,n=,r=abc");
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().code(), Code::protocol);
  EXPECT_TRUE(bound.error().what().contains("channel binding"));
  EXPECT_FALSE(bound.error().hint().empty());
}

TEST(ScramServer, FirstMessage) {
  for (const char* good : {"n,,n=,r=a", "n,,n=*,r=a", "n,,n=a=2Cb,r=a", "y,,n=,r=~!",
                           "n,,n=,r=a,x=1", "n,,n=,r=a,x=,Y=2", "n,,n=\xc3\xa9,r=a"})
    EXPECT_EQ(code_of_first(good), kAccepted) << good;
  for (const char* bad : {"",
                          "n",
                          "n,",
                          "n,,",
                          "n,,n",
                          "n,,n=",
                          "n,,n=,",
                          "n,,n=,r",
                          "n,,n=,r=",
                          "n,,n=,r=a,",
                          "n,,n=,r=a,,",
                          "n,,n=,r=a,x",
                          "n,,n=,r=a,1=b",
                          "n,,r=a",
                          "n,,r=a,n=",
                          "x,,n=,r=a",
                          "n,b,n=,r=a",
                          ",,n=,r=a",
                          "n,,n=,r=a b",
                          "n,,n=,r=a\x7f",
                          "n,,n=,r=\xc3\xa9",
                          " n,,n=,r=a"})
    EXPECT_EQ(code_of_first(bad), Code::protocol) << bad;
  EXPECT_EQ(code_of_first("n,a=boss,n=,r=a"), Code::unsupported);
  EXPECT_EQ(code_of_first("n,,m=x,n=,r=a"), Code::unsupported);
  EXPECT_EQ(code_of_first(std::string("n,,n=,r=a\0", 10)), Code::protocol);
}

TEST(ScramServer, MessagesAreBounded) {
  const std::string first = "n,,n=,r=";
  EXPECT_EQ(code_of_first(first + std::string(kScramFromClientBytesMax - first.size(), 'a')),
            kAccepted);
  EXPECT_EQ(code_of_first(first + std::string(kScramFromClientBytesMax - first.size() + 1, 'a')),
            Code::protocol);
  EXPECT_EQ(code_of_final(std::string(kScramFromClientBytesMax + 1, 'a')), Code::protocol);
}

TEST(ScramServer, EveryPrefixFails) {
  // A shorter nonce is a nonce; before it there is no message.
  for (std::size_t n = 0; n < kClientFirst.size() - kClientNonce.size() + 1; ++n)
    EXPECT_EQ(code_of_first(kClientFirst.substr(0, n)), Code::protocol) << n;
  for (std::size_t n = 0; n < kClientFinal.size(); ++n)
    EXPECT_EQ(code_of_final(kClientFinal.substr(0, n)), Code::protocol) << n;
}

// Whatever one byte is turned into, the login fails, and never as anything but a bad message or
// proof.
TEST(ScramServer, EveryMutationFails) {
  for (std::size_t n = 0; n < kClientFinal.size(); ++n) {
    for (int c = 0; c < 256; ++c) {
      std::string message(kClientFinal);
      if (message[n] == static_cast<char>(c)) continue;
      message[n] = static_cast<char>(c);
      const Code code = code_of_final(message);
      EXPECT_TRUE(code == Code::protocol || code == Code::invalid_password) << message;
    }
    EXPECT_NE(code_of_final(std::string(kClientFinal).erase(n, 1)), kAccepted) << n;
  }
  for (std::size_t n = 3; n < kClientFirst.size(); ++n) {
    std::string first(kClientFirst);
    first[n] = first[n] == '#' ? '$' : '#';
    auto peer = server();
    if (peer.first(first)) EXPECT_FALSE(peer.final(kClientFinal)) << first;
  }
}

TEST(ScramServer, FinalMessage) {
  const std::string nonce = fmt::format("r={}{}", kClientNonce, kServerNonce);
  const std::string proof = base64(std::string(32, 'p'));
  EXPECT_EQ(code_of_final("c=biws," + nonce + ",p=" + proof), Code::invalid_password);
  EXPECT_EQ(code_of_final("c=biws," + nonce + ",x=1,p=" + proof), Code::invalid_password);
  for (const std::string& bad :
       {"c=biws," + nonce, "c=biws," + nonce + ",", "c=biws," + nonce + ",x=1",
        "c=biws," + nonce + ",p=", "c=biws," + nonce + ",p=" + proof + ",",
        "c=biws," + nonce + ",p=" + proof + ",x=1", "c=biws," + nonce + "x,p=" + proof,
        "c=biws,r=" + std::string(kClientNonce) + ",p=" + proof, nonce + ",c=biws,p=" + proof,
        "c=," + nonce + ",p=" + proof, "c=biws,p=" + proof,
        "c=biws," + nonce + ",p=" + base64(std::string(31, 'p')),
        "c=biws," + nonce + ",p=" + base64(std::string(33, 'p'))})
    EXPECT_EQ(code_of_final(bad), Code::protocol) << bad;
}

// An unknown user gets the messages of a known one, and the same last answer as for a wrong
// password.
TEST(ScramServer, MockAnswersLikeAWrongPassword) {
  const ScramVerifier mock = mock_verifier("ghost", Key{7});
  ScramServer peer(mock, std::string(kServerNonce));
  const auto server_first = peer.first(kClientFirst);
  ASSERT_TRUE(server_first);
  EXPECT_EQ(server_first->size(), kServerFirst.size());
  const auto refused = peer.final(kClientFinal);
  auto known = server();
  ASSERT_TRUE(known.first(kClientFirst));
  std::string wrong(kClientFinal);
  wrong[wrong.size() - 5] = 'A';
  const auto wrong_password = known.final(wrong);
  ASSERT_FALSE(refused);
  ASSERT_FALSE(wrong_password);
  EXPECT_EQ(refused.error().code(), wrong_password.error().code());
  EXPECT_EQ(refused.error().what(), wrong_password.error().what());

  // Even the right proof for a mock's keys does not pass.
  ScramVerifier known_keys = verifier_of(keys());
  known_keys.mock = true;
  ScramServer doomed(known_keys, std::string(kServerNonce));
  ASSERT_TRUE(doomed.first(kClientFirst));
  EXPECT_EQ(doomed.final(kClientFinal).error().code(), Code::invalid_password);
}

ScramClient client_at_challenge() {
  ScramClient client;
  EXPECT_EQ(client.first(std::string(kClientNonce)), kOurClientFirst);
  return client;
}

ScramClient client_at_verify() {
  ScramClient client = client_at_challenge();
  EXPECT_TRUE(client.challenge(kServerFirst));
  EXPECT_TRUE(client.final(keys()));
  return client;
}

bool takes_challenge(std::string_view message) {
  ScramClient client = client_at_challenge();
  const auto got = client.challenge(message);
  if (!got)
    EXPECT_TRUE(got.error().code() == Code::protocol || got.error().code() == Code::unsupported);
  return got.has_value();
}

TEST(ScramClient, KnownExchange) {
  ScramClient client = client_at_challenge();
  const auto challenge = client.challenge(kServerFirst);
  ASSERT_TRUE(challenge);
  EXPECT_EQ(*challenge, keys().challenge);
  EXPECT_EQ(*client.final(derive("pencil", *challenge)), kOurClientFinal);
  EXPECT_TRUE(client.verify(kOurServerFinal));
}

TEST(ScramClient, Challenge) {
  const std::string nonce = fmt::format("r={}x", kClientNonce);
  EXPECT_TRUE(takes_challenge(nonce + ",s=c2FsdA==,i=1"));
  EXPECT_TRUE(takes_challenge(nonce + ",s=c2FsdA==,i=1000000"));
  EXPECT_TRUE(takes_challenge(nonce + ",s=c2FsdA==,i=1,x=y"));
  for (const std::string& bad :
       {std::string(), nonce, nonce + ",s=c2FsdA==", nonce + ",s=c2FsdA==,i=", nonce + ",s=,i=1",
        nonce + ",s=c2FsdA=,i=1", nonce + ",s=c2FsdA==,i=0", nonce + ",s=c2FsdA==,i=-1",
        nonce + ",s=c2FsdA==,i=1000001", nonce + ",s=c2FsdA==,i=99999999999999999999",
        nonce + ",s=c2FsdA==,i=1x", nonce + ",s=c2FsdA==,i=1,", std::string("s=c2FsdA==,i=1"),
        "m=x," + nonce + ",s=c2FsdA==,i=1", fmt::format("r={},s=c2FsdA==,i=1", kClientNonce),
        std::string("r=elsewhere,s=c2FsdA==,i=1"), nonce + " ,s=c2FsdA==,i=1",
        nonce + ",s=" + base64(std::string(kScramSaltBytesMax + 1, 's')) + ",i=1",
        nonce + std::string(kScramFromServerBytesMax, 'x') + ",s=c2FsdA==,i=1"})
    EXPECT_FALSE(takes_challenge(bad)) << bad;
}

TEST(ScramClient, EveryPrefixAndMutationFails) {
  const std::size_t count_at = kServerFirst.size() - 3;  // a shorter number is a number
  for (std::size_t n = 0; n < count_at; ++n)
    EXPECT_FALSE(takes_challenge(kServerFirst.substr(0, n))) << n;
  for (std::size_t n = 0; n < kOurServerFinal.size(); ++n) {
    ScramClient client = client_at_verify();
    EXPECT_FALSE(client.verify(kOurServerFinal.substr(0, n))) << n;
    std::string message(kOurServerFinal);
    message[n] = message[n] == 'B' ? 'C' : 'B';
    ScramClient again = client_at_verify();
    EXPECT_FALSE(again.verify(message)) << message;
  }
  for (std::size_t n = 0; n < kServerFirst.size(); ++n) {
    for (int c = 0; c < 256; ++c) {
      std::string message(kServerFirst);
      message[n] = static_cast<char>(c);
      takes_challenge(message);
    }
  }
}

TEST(ScramClient, LastMessage) {
  const auto code = [](std::string_view message) {
    ScramClient client = client_at_verify();
    const auto got = client.verify(message);
    return got ? kAccepted : got.error().code();
  };
  EXPECT_EQ(code(kOurServerFinal), kAccepted);
  EXPECT_EQ(code(std::string(kOurServerFinal) + ",x=1"), kAccepted);
  EXPECT_EQ(code(kServerFinal), Code::invalid_authorization);
  EXPECT_EQ(code("e=invalid-proof"), Code::invalid_password);
  EXPECT_EQ(code(""), Code::protocol);
  EXPECT_EQ(code("x=1"), Code::protocol);
  EXPECT_EQ(code(std::string(kOurServerFinal) + ","), Code::protocol);
  EXPECT_EQ(code("v=" + base64(std::string(31, 'v'))), Code::protocol);
}

// Pass-through: the keys recovered from a client's proof log in elsewhere with the same secret.
TEST(ScramClient, PassThrough) {
  auto peer = server();
  ASSERT_TRUE(peer.first(kClientFirst));
  ASSERT_TRUE(peer.final(kClientFinal));

  ScramServer upstream(verifier_of(keys()), "upstream");
  ScramClient client;
  const auto server_first = upstream.first(client.first("ours"));
  ASSERT_TRUE(server_first);
  ASSERT_TRUE(client.challenge(*server_first));
  const auto client_final = client.final(peer.keys());
  ASSERT_TRUE(client_final);
  const auto server_final = upstream.final(*client_final);
  ASSERT_TRUE(server_final);
  EXPECT_TRUE(client.verify(*server_final));
}

TEST(ScramClient, PassThroughSaysWhatDiffers) {
  const auto refusal = [](ScramChallenge challenge) {
    ScramKeys other = keys();
    other.challenge = std::move(challenge);
    ScramClient client = client_at_challenge();
    EXPECT_TRUE(client.challenge(kServerFirst));
    const auto got = client.final(other);
    EXPECT_FALSE(got);
    EXPECT_EQ(got.error().code(), Code::invalid_authorization);
    EXPECT_FALSE(got.error().hint().empty());
    return got.error().what();
  };
  EXPECT_TRUE(refusal({"other", 4096}).contains("salt"));
  EXPECT_TRUE(refusal({keys().challenge.salt, 5000}).contains("5000 iterations"));
}

// Both ends agree for names, nonces and passwords of all sorts; a wrong password never passes.
TEST(Scram, BothEnds) {
  for (const char* password : {"x", "pa,ss=word", "I\302\255X", "\377\376", "p\303\266ncil"}) {
    const ScramChallenge challenge{"salt of ours", 2};
    for (const bool right : {true, false}) {
      ScramServer peer(verifier_of(derive(password, challenge)), "theirs");
      ScramClient client;
      const auto server_first = peer.first(client.first("+/=ours"));
      ASSERT_TRUE(server_first);
      const auto asked = client.challenge(*server_first);
      ASSERT_TRUE(asked);
      const auto client_final = client.final(derive(right ? password : "wrong", *asked));
      ASSERT_TRUE(client_final);
      const auto server_final = peer.final(*client_final);
      ASSERT_EQ(server_final.has_value(), right);
      if (right) EXPECT_TRUE(client.verify(*server_final));
    }
  }
}

}  // namespace
}  // namespace pgw::auth

// Both messages of a server that we log in to by SCRAM: server-first, a newline, server-final.
#include "auth/scram.h"
#include "fuzz.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  std::string_view rest = in;
  auth::ScramClient client;
  client.first("ours");
  const auto challenge = client.challenge(fuzz::take_line(rest));
  if (!challenge) return 0;
  PGW_ASSERT(challenge->iterations >= 1 && challenge->iterations <= auth::kScramIterationsMax);
  PGW_ASSERT(!challenge->salt.empty() && challenge->salt.size() <= auth::kScramSaltBytesMax);
  // Keys that fit, without PBKDF2: a hostile server must not slow the fuzzer down.
  auth::ScramKeys keys{.challenge = *challenge};
  const auto last = client.final(keys);
  PGW_ASSERT(last.has_value());
  PGW_ASSERT(last->size() < auth::kScramFromServerBytesMax + 64);
  static_cast<void>(client.verify(rest));
  return 0;
}

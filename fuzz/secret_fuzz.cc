// One secret of a file of users, and base64, which it is made of.
#include "auth/secret.h"

#include "fuzz.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  PGW_ASSERT(auth::from_base64(auth::base64(in)) == in);
  if (const auto bytes = auth::from_base64(in)) PGW_ASSERT(auth::base64(*bytes) == in);

  const auto secret = auth::Secret::parse(in);
  if (!secret) return 0;
  if (const auth::ScramVerifier* verifier = secret->scram()) {
    const auto again = auth::parse_verifier(auth::to_text(*verifier));
    PGW_ASSERT(again && *again == *verifier);
    return 0;
  }
  const auth::Md5Salt salt = {1, 2, 3, 4};
  const auto answer = secret->md5_answer("user", salt);
  PGW_ASSERT(answer.has_value());
  PGW_ASSERT(secret->verify_md5("user", salt, *answer) == !in.empty());
  PGW_ASSERT(!secret->verify_md5("user", salt, in));
  if (secret->kind() == auth::Secret::Kind::plain)
    PGW_ASSERT(secret->verify_password("user", in) == !in.empty());
  return 0;
}

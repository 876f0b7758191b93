// Both messages of a client that logs in by SCRAM: client-first, a newline, client-final.
#include "auth/scram.h"
#include "fuzz.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auth::ScramKeys keys = auth::derive("pencil", {"0123456789abcdef", 4096});
  const std::string in = fuzz::copy(data, size);
  std::string_view rest = in;
  auth::ScramServer server(auth::verifier_of(keys), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
  if (!server.first(fuzz::take_line(rest))) return 0;
  if (server.final(rest)) PGW_ASSERT(server.client_key() == keys.client_key);
  return 0;
}

// A password on its way to SCRAM: the tables are libidn's, the bytes are a client's.
#include "auth/saslprep.h"

#include "fuzz.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  PGW_ASSERT(auth::saslprep(in).empty() == in.empty());
  return 0;
}

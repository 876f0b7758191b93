// The text of a statement and the tag of its completion: what they give away about the session.
#include "fuzz.h"
#include "relay/scan.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  const relay::Scan scan = relay::scan(in);
  static_cast<void>(relay::effect_of(in));
  // A statement that frees a name can never pass for one that does not.
  if (relay::deallocated_name(in)) PGW_ASSERT(scan.unsettles);
  return 0;
}

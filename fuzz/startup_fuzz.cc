// The first packet of a connection, whole and with its length.
#include "fuzz.h"
#include "wire/read.h"
#include "wire/write.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  const auto startup = wire::read_startup(in);
  if (!startup) return 0;
  fuzz::assert_inside(in, startup->cancel_key);
  if (startup->code != 3u << 16) return 0;
  // What was understood can be written and is understood the same.
  std::string out;
  wire::write_startup(out, startup->parameters);
  const auto again = wire::read_startup(out);
  PGW_ASSERT(again && again->parameters == startup->parameters);
  return 0;
}

// The front of a Bind message, as it arrives byte by byte.
#include "fuzz.h"
#include "wire/read.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  const auto bind = wire::read_bind_front(in);
  if (!bind) return 0;
  PGW_ASSERT(bind->bytes <= in.size());
  PGW_ASSERT(bind->bytes == bind->portal.size() + bind->statement.size() + 2);
  fuzz::assert_inside(in, bind->portal);
  fuzz::assert_inside(in, bind->statement);
  PGW_ASSERT(!wire::read_bind_front(Bytes(in).substr(0, bind->bytes - 1)));
  const auto least = wire::read_bind_front(Bytes(in).substr(0, bind->bytes));
  PGW_ASSERT(least && least->statement == bind->statement && least->portal == bind->portal);
  return 0;
}

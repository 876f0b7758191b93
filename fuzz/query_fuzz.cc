// The body of a Query message.
#include "fuzz.h"
#include "wire/read.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  const auto text = wire::read_query(in);
  if (!text) return 0;
  fuzz::assert_inside(in, *text);
  PGW_ASSERT(text->size() + 1 == in.size() && !text->contains('\0'));
  return 0;
}

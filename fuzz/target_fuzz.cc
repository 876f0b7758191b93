// The body of a Describe or Close message.
#include "fuzz.h"
#include "wire/read.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  const auto target = wire::read_target(in);
  if (!target) return 0;
  PGW_ASSERT(target->kind == 'S' || target->kind == 'P');
  fuzz::assert_inside(in, target->name);
  PGW_ASSERT(target->name.size() + 2 == in.size());
  return 0;
}

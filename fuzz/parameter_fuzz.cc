// The body of a ParameterStatus message.
#include "fuzz.h"
#include "wire/read.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  const auto parameter = wire::read_parameter(in);
  if (!parameter) return 0;
  fuzz::assert_inside(in, parameter->first);
  fuzz::assert_inside(in, parameter->second);
  return 0;
}

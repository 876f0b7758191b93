// The start-up parameter `options`.
#include "fuzz.h"
#include "wire/read.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  const auto settings = wire::read_options(in);
  if (!settings) return 0;
  std::size_t bytes = 0;
  for (const auto& [name, value] : *settings) bytes += name.size() + value.size();
  PGW_ASSERT(bytes <= in.size());
  return 0;
}

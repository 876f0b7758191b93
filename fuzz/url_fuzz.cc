// A PostgreSQL connection URL.
#include "config/url.h"

#include "fuzz.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  const auto url = config::parse_url(in);
  if (!url) PGW_ASSERT(!url.error().what().empty());
  return 0;
}

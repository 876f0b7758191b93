// What the fuzz targets share. A target includes this, decodes its input, and asserts what must
// hold.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace pgw::fuzz {

// A copy of exactly this size, so that AddressSanitizer sees a read behind its end.
inline std::string copy(const std::uint8_t* data, std::size_t size) { return {data, data + size}; }

// Takes the text up to the next '\n', or all that is left.
inline std::string_view take_line(std::string_view& rest) {
  const std::string_view line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(line.size() < rest.size() ? line.size() + 1 : line.size());
  return line;
}

// Decoders give views into their input and nothing else. Empty views may point anywhere.
inline void assert_inside(Bytes in, Bytes view) {
  const std::less_equal<const char*> ordered{};
  PGW_ASSERT(view.empty() || (ordered(in.data(), view.data()) &&
                              ordered(view.data() + view.size(), in.data() + in.size())));
}

}  // namespace pgw::fuzz

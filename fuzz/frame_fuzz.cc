// A stream of messages, cut at every place: a header is seen as soon as it is there, and never
// changes.
#include "wire/frame.h"

#include "fuzz.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint32_t kBodyBytesMax = 1 << 20;
  const std::string in = fuzz::copy(data, size);
  Bytes rest = in;
  for (;;) {
    wire::Header header;
    const auto peek = wire::peek_header(rest, kBodyBytesMax, header);
    for (std::size_t n = 0; n < rest.size() && n <= 2 * wire::kHeaderBytes; ++n) {
      wire::Header early;
      const auto part = wire::peek_header(rest.substr(0, n), kBodyBytesMax, early);
      PGW_ASSERT(part == (n < wire::kHeaderBytes ? wire::Peek::need_more : peek));
      if (part == wire::Peek::header)
        PGW_ASSERT(early.tag == header.tag && early.body_bytes == header.body_bytes);
    }
    if (peek == wire::Peek::broken)
      PGW_ASSERT(!wire::broken_header(rest, kBodyBytesMax).what().empty());
    if (peek != wire::Peek::header) return 0;
    PGW_ASSERT(header.body_bytes <= kBodyBytesMax);
    const std::size_t whole = wire::kHeaderBytes + header.body_bytes;
    if (whole > rest.size()) return 0;
    rest.remove_prefix(whole);
  }
}

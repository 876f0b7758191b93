// Cutting the byte stream into PostgreSQL messages. Pure: no I/O, no allocation, no copies.
// Format: "Message Flow" and "Message Formats" in PostgreSQL's protocol chapter: a tag byte, then a
// length that counts itself, then the body.
#pragma once
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace pgw::wire {

inline constexpr std::size_t kHeaderBytes = 5;

struct Header {
  char tag = 0;
  std::uint32_t body_bytes = 0;
};

enum class Peek : std::uint8_t { header, need_more, broken };

// Reads the header at the front of `in`. broken: the length is below 4 or the body exceeds
// `body_bytes_max`.
inline Peek peek_header(Bytes in, std::uint32_t body_bytes_max, Header& out) {
  if (in.size() < kHeaderBytes) return Peek::need_more;
  const std::uint32_t length = get_u32(in.data() + 1);
  if (length < 4 || length - 4 > body_bytes_max) return Peek::broken;
  out = Header{in[0], length - 4};
  return Peek::header;
}

// The error for a header that is broken, with its numbers.
Error broken_header(Bytes in, std::uint32_t body_bytes_max);

}  // namespace pgw::wire

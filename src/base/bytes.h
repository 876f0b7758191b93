// Bytes as they travel. They are kept as char, not std::byte: most of PostgreSQL's protocol is
// text, and string_view brings the searches and comparisons that a decoder needs.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace pgw {

using Bytes = std::string_view;

// Big-endian integers, as the protocol has them. The caller has checked that the bytes are there.
inline std::uint32_t get_u32(const char* at) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return std::byteswap(value);
}
inline std::uint16_t get_u16(const char* at) {
  std::uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return std::byteswap(value);
}
inline void put_u32(char* at, std::uint32_t value) {
  value = std::byteswap(value);
  std::memcpy(at, &value, sizeof value);
}
inline void put_u16(char* at, std::uint16_t value) {
  value = std::byteswap(value);
  std::memcpy(at, &value, sizeof value);
}

// Lower case of ASCII letters only: PostgreSQL folds the names of settings and keywords so.
inline char lowered(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
inline std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lowered(c);
  return out;
}

}  // namespace pgw

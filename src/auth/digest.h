// Digests and encodings that the login methods are made of. Values only; thread: any.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace pgw::auth {

// A SHA-256 value or a key of that length.
using Key = std::array<std::uint8_t, 32>;

std::string_view view(const Key& key);
Key sha256(std::string_view data);
Key hmac_sha256(std::string_view key, std::initializer_list<std::string_view> parts);

// MD5 as 32 lower-case hexadecimal digits. Empty where the machine's OpenSSL refuses MD5 (FIPS).
std::optional<std::string> md5_hex(std::string_view data);

// RFC 4648 section 4, padded, on one line. Decoding accepts exactly what encoding produces.
std::string base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);
std::optional<Key> key_from_base64(std::string_view text);

// Takes the same time wherever the texts differ (but not for different lengths).
bool same(std::string_view a, std::string_view b);

}  // namespace pgw::auth

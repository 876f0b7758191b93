// Text as JSON strings.
#pragma once
#include <string>
#include <string_view>

namespace pgw::http {

// Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so that
// the result is valid whatever a client called itself.
void append_json(std::string& out, std::string_view text);

}  // namespace pgw::http

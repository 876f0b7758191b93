// The beginning of a text of a client's, fit to be shown to it.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace pgw {

// At most `bytes_max` bytes of it, and "..." if there is more. One line: each run of blanks and
// control characters is one space. Valid UTF-8, never cut inside a character; where the text is
// something else, '?' stands for each byte beyond ASCII.
std::string excerpt(std::string_view text, std::size_t bytes_max);

}  // namespace pgw

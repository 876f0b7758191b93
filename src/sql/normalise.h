// A statement's text without anybody's data: so that it can be logged and counted. Literals of all
// kinds and parameters become `?`, white space and comments collapse, words that are not quoted are
// folded to lower case, elements of a list that look the same become one, and so do the rows of
// VALUES. By tokens (sql/lexer.h): what cannot be read for certain is left out with all that
// follows it, and "..." stands for it. Pure; for what is rare, it allocates.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace pgw::sql {

inline constexpr std::size_t kNormalisedMost = 1024;  // bytes

// At most kNormalisedMost bytes; of a longer text its beginning. `cut`: `text` itself is only the
// beginning of one. Normalised again it is the same.
std::string normalise(std::string_view text, bool cut = false);
// The same for texts that differ in their values only; a number that does not change from one
// process to the next.
std::uint64_t fingerprint(std::string_view normalised);

}  // namespace pgw::sql

// The words of a text of the little language, and the statements about what a session keeps.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sql.h"

namespace pgw::sim {

// A token of the text: word, number, 'string', "name", or one sign.
struct Word {
  char sort = 0;  // w n s q p
  std::string text;
  bool is(std::string_view lower) const { return sort == 'w' && text == lower; }
  bool sign(char c) const { return sort == 'p' && text[0] == c; }
};
using Words = std::vector<Word>;

std::optional<Words> words(std::string_view text);  // none: something does not end
std::uint32_t number(const Word& w);

std::string render_session(const Statement& statement);
std::optional<Statement> parse_session(const Words& words);
// The query that begins with the comment "/* pgweir: what is in this session? */".
// ... and the one that begins with "/* pgweir: what may functions leave in a session? */".
std::optional<Statement> parse_inspection(std::string_view text);
// The SELECT that begins with the comment "/* pgweir: refill */".
std::optional<Statement> parse_refill(std::string_view text);

}  // namespace pgw::sim

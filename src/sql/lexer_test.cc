#include "sql/lexer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

using pgw::sql::Lexer;
using pgw::sql::Token;

namespace {

// Each token with a letter for its kind.
std::string tokens(std::string_view text, bool* reliable = nullptr) {
  static constexpr char kLetters[] = "?wqsnp.";
  Lexer lexer(text);
  std::string out;
  for (Token token = lexer.next(); token.kind != Token::Kind::end; token = lexer.next()) {
    if (!out.empty()) out += ' ';
    out += kLetters[static_cast<int>(token.kind)];
    out += ':';
    out += token.value();
  }
  if (reliable) *reliable = lexer.reliable();
  return out;
}

}  // namespace

TEST(Lexer, KindsOfTokens) {
  const std::pair<const char*, const char*> table[] = {
      {"", ""},
      {" \t\n", ""},
      {"SELECT a1_$", "w:select w:a1_$"},
      {"\"Aa\"\"b\"", "q:Aa\"b"},
      {"'it''s'", "s:it's"},
      {"a.b", "w:a .:. w:b"},
      {"12.5,$2", "n:12.5 .:, p:$2"},
      {"a--x\nb", "w:a w:b"},
      {"a--x", "w:a"},
      {"a/* /* x */ y */b", "w:a w:b"},
      {"$$a'b$$c", "s:a'b w:c"},
      {"$t$a$$b$t$", "s:a$$b"},
      {"a$b$c", "w:a$b$c"},
      {"$1$2", "p:$1 p:$2"},
      {"e'a\\'b' c", "s:a\\'b w:c"},
      {"N'x' b'01' X'ff'", "s:x s:01 s:ff"},
      {"set_config('a.b','',false)", "w:set_config .:( s:a.b .:, s: .:, w:false .:)"},
      {"t\xc3\xa9mp", "w:t\xc3\xa9mp"},
      {"a;;b", "w:a .:; .:; w:b"}};
  for (const auto& [text, wanted] : table) {
    bool reliable = false;
    EXPECT_EQ(tokens(text, &reliable), wanted) << text;
    EXPECT_TRUE(reliable) << text;
  }
}

TEST(Lexer, SaysWhenItCannotBeTrusted) {
  for (const char* text : {"'", "'a", "\"", "\"a", "/*", "/* /* */", "$$a", "$t$ $$", "'a\\'b",
                           "U&\"a\"", "u&'a'", "e'a\\"}) {
    bool reliable = true;
    tokens(text, &reliable);
    EXPECT_FALSE(reliable) << text;
  }
}

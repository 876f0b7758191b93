// SQL in tokens, by PostgreSQL's lexical rules ("Lexical Structure" in its manual): comments are
// left out, quoted and dollar-quoted strings are one token each. A parser is not needed to know
// what a text may leave behind in its session, and this one allocates nothing and looks at each
// byte once. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace pgw::sql {

struct Token {
  enum class Kind : std::uint8_t {
    end,
    word,    // unquoted: a keyword or a name
    name,    // "quoted"
    string,  // '...', E'...', $$...$$ and the like
    number,
    parameter,  // $1
    sign        // one character of anything else
  };
  Kind kind = Kind::end;
  // value() is what PostgreSQL reads: no escapes were used.
  bool plain = true;
  bool escapes = false;   // a string with backslash escapes: E'...'
  std::string_view text;  // as written, without quotes; `sign`: the character

  bool is(std::string_view lower) const;  // the word, in any case
  bool sign(char c) const { return kind == Kind::sign && text[0] == c; }
  // Of a word or a name: as PostgreSQL folds it. Of a string: its value, when plain() says so.
  std::string value() const;
  bool identifier() const { return kind == Kind::word || kind == Kind::name; }
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  Token next();
  // What was read so far can be trusted. False once something does not end, and where PostgreSQL's
  // reading depends on a setting (a backslash in '...') or on escapes (U&"...").
  bool reliable() const { return reliable_; }

 private:
  void skip_blanks();
  bool skip_comment();
  Token quoted(Token::Kind kind, bool escapes);
  bool dollar(Token& out);

  std::string_view text_;
  std::size_t at_ = 0;
  bool reliable_ = true;
};

}  // namespace pgw::sql

#include "sql/lexer.h"

#include <algorithm>

#include "base/bytes.h"

namespace pgw::sql {
namespace {

bool blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool word_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool word_part(char c) { return word_start(c) || digit(c) || c == '$'; }

}  // namespace

bool Token::is(std::string_view lower) const {
  return kind == Kind::word &&
         std::ranges::equal(text, lower, [](char a, char b) { return lowered(a) == b; });
}

std::string Token::value() const {
  if (kind == Kind::word) return lowered(text);
  std::string out;
  const char quote = kind == Kind::name ? '"' : '\'';
  for (std::size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] == quote && i + 1 < text.size() && text[i + 1] == quote) ++i;
  }
  return out;
}

void Lexer::skip_blanks() {
  while (at_ < text_.size()) {
    if (blank(text_[at_])) {
      ++at_;
    } else if (!skip_comment()) {
      return;
    }
  }
}

bool Lexer::skip_comment() {
  const auto rest = text_.substr(at_);
  if (rest.starts_with("--")) {
    const auto end = rest.find_first_of("\r\n");
    at_ = end == std::string_view::npos ? text_.size() : at_ + end;
    return true;
  }
  if (!rest.starts_with("/*")) return false;
  std::size_t depth = 0;  // comments nest
  while (at_ < text_.size()) {
    const auto here = text_.substr(at_, 2);
    if (here == "/*") {
      ++depth;
      at_ += 2;
    } else if (here == "*/") {
      at_ += 2;
      if (--depth == 0) return true;
    } else {
      ++at_;
    }
  }
  reliable_ = false;
  return true;
}

// The opening quote is at at_. A doubled quote is a quote; with `escapes` a backslash takes what
// follows.
Token Lexer::quoted(Token::Kind kind, bool escapes) {
  const char quote = text_[at_++];
  Token out;
  out.kind = kind;
  out.escapes = escapes;
  const std::size_t from = at_;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '\\' && kind == Token::Kind::string) {
      out.plain = false;
      if (escapes) {
        ++at_;
      } else {
        reliable_ = false;  // standard_conforming_strings may be off
      }
    } else if (c == quote) {
      if (at_ + 1 >= text_.size() || text_[at_ + 1] != quote) {
        out.text = text_.substr(from, at_ - from);
        ++at_;
        return out;
      }
      ++at_;
    }
  }
  at_ = text_.size();
  out.text = text_.substr(std::min(from, at_));
  reliable_ = false;
  return out;
}

// $tag$...$tag$; false: none begins here.
bool Lexer::dollar(Token& out) {
  std::size_t end = at_ + 1;
  if (end < text_.size() && digit(text_[end])) return false;
  while (end < text_.size() && word_part(text_[end]) && text_[end] != '$') ++end;
  if (end >= text_.size() || text_[end] != '$') return false;
  const auto tag = text_.substr(at_, end + 1 - at_);
  const auto close = text_.find(tag, end + 1);
  out.kind = Token::Kind::string;
  if (close == std::string_view::npos) {
    out.text = text_.substr(end + 1);
    at_ = text_.size();
    reliable_ = false;
  } else {
    out.text = text_.substr(end + 1, close - end - 1);
    at_ = close + tag.size();
  }
  out.plain = out.text.find('\'') == std::string_view::npos;
  return true;
}

Token Lexer::next() {
  skip_blanks();
  if (at_ >= text_.size()) return {};
  const char c = text_[at_];
  const char after = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
  if (c == '\'') return quoted(Token::Kind::string, false);
  if (c == '"') return quoted(Token::Kind::name, false);
  if (after == '\'' &&
      (lowered(c) == 'e' || lowered(c) == 'n' || lowered(c) == 'b' || lowered(c) == 'x')) {
    ++at_;
    return quoted(Token::Kind::string, lowered(c) == 'e');
  }
  if (lowered(c) == 'u' && after == '&' && at_ + 2 < text_.size() &&
      (text_[at_ + 2] == '\'' || text_[at_ + 2] == '"')) {
    reliable_ = false;
    at_ += 2;
    return quoted(text_[at_] == '"' ? Token::Kind::name : Token::Kind::string, false);
  }
  Token out;
  if (c == '$') {
    if (dollar(out)) return out;
    std::size_t end = at_ + 1;
    while (end < text_.size() && digit(text_[end])) ++end;
    out.kind = end > at_ + 1 ? Token::Kind::parameter : Token::Kind::sign;
    out.text = text_.substr(at_, end - at_);
    at_ = end;
    return out;
  }
  std::size_t end = at_ + 1;
  if (word_start(c)) {
    while (end < text_.size() && word_part(text_[end])) ++end;
    out.kind = Token::Kind::word;
  } else if (digit(c)) {
    while (end < text_.size() && (digit(text_[end]) || text_[end] == '.')) ++end;
    out.kind = Token::Kind::number;
  } else {
    out.kind = Token::Kind::sign;
  }
  out.text = text_.substr(at_, end - at_);
  at_ = end;
  return out;
}

}  // namespace pgw::sql

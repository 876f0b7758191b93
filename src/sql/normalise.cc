#include "sql/normalise.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "sql/lexer.h"

namespace pgw::sql {
namespace {

using Kind = Token::Kind;

constexpr std::size_t kReadMost = 8 * 1024;  // of a text
constexpr int kRoundsMost = 8;
constexpr std::string_view kValue = "?";
constexpr std::string_view kMore = "...";
constexpr std::string_view kOperator = "+-*/<>=~!@#%^&|`:";

// Words behind which something new begins, rather than what one could be applied to.
constexpr auto kBeginners = std::to_array<std::string_view>(
    {"all",   "and",       "any",    "as",        "between", "by",    "case", "distinct",
     "else",  "except",    "exists", "from",      "having",  "ilike", "in",   "interval",
     "into",  "intersect", "is",     "join",      "like",    "limit", "not",  "offset",
     "on",    "or",        "over",   "returning", "select",  "set",   "some", "then",
     "union", "using",     "values", "when",      "where",   "with"});

bool begins(std::string_view word) {
  return std::ranges::find(kBeginners, word) != kBeginners.end();
}

bool is_operator(std::string_view piece) { return kOperator.contains(piece[0]); }

// Whether backslashes leave open where it ends: that depends on standard_conforming_strings.
bool ambiguous(const Token& token) {
  if (token.kind != Kind::string || token.plain || token.escapes) return false;
  return token.text.ends_with('\\') || token.text.contains("\\'");
}

class Writer {
 public:
  explicit Writer(std::string_view text, bool cut)
      : rest_(text.substr(0, kReadMost)), cut_(cut || text.size() > kReadMost), lexer_(rest_) {}

  std::string write() {
    for (Token token = next(); token.kind != Kind::end && !over_; token = next()) take(token);
    if (!cut_) settle();
    return joined();
  }

 private:
  // A list: where its current element begins, and where the one before is.
  struct List {
    std::size_t begin = 0;
    std::size_t last = 0;
    std::size_t last_end = 0;  // 0: there is none
    bool row = false;          // of VALUES
  };

  Token next() {
    if (held_) return *std::exchange(held_, {});
    return lexer_.next();
  }
  void take(const Token& token);
  void take_sign(const Token& token);
  void word(std::string text);
  void value();
  void number(const Token& token);
  void operators(const Token& first);
  void open(char bracket);
  void close(char bracket);
  void comma();
  void skip_rows();
  void settle();
  void fresh_list() { lists_.back() = {.begin = pieces_.size(), .row = lists_.back().row}; }
  void push(std::string piece) {
    after_row_ = false;
    pieces_.push_back(std::move(piece));
  }
  bool ends_here(const Token& token) const {
    return token.text.data() + token.text.size() >= rest_.data() + rest_.size();
  }
  std::string joined() const;
  bool parted(std::string_view before, std::string_view after) const;

  std::string_view rest_;
  bool cut_;
  bool over_ = false;
  bool after_row_ = false;
  Lexer lexer_;
  std::optional<Token> held_;
  std::vector<std::string> pieces_;
  std::vector<List> lists_{List{}};
};

void Writer::take(const Token& token) {
  switch (token.kind) {
    case Kind::word:
      return word(token.value());
    case Kind::name:
      if (ends_here(token)) {  // its quote is missing: it may be anything
        cut_ = over_ = true;
        return;
      }
      return push('"' + std::string(token.text) + '"');
    case Kind::string:
      value();
      if (ambiguous(token)) cut_ = over_ = true;
      return;
    case Kind::parameter:
      return value();
    case Kind::number:
      return number(token);
    default:
      return take_sign(token);
  }
}

void Writer::take_sign(const Token& token) {
  const char c = token.text[0];
  if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') return;
  if (c == '(' || c == '[') return open(c);
  if (c == ')' || c == ']') return close(c);
  if (c == ',') return comma();
  if (c == '?') return value();
  if (kOperator.contains(c)) return operators(token);
  if (c == '.') {
    held_ = lexer_.next();
    const bool adjacent = held_->text.data() == token.text.data() + 1;
    const bool of_name = !pieces_.empty() && pieces_.back() != "(" && pieces_.back() != "[" &&
                         pieces_.back() != "," && !is_operator(pieces_.back()) &&
                         !begins(pieces_.back());
    if (held_->kind == Kind::number && adjacent && !of_name) return;  // .5
  }
  if (c == ';') settle();
  push(std::string(1, c));
  if (c == ';') fresh_list();
}

void Writer::word(std::string text) {
  const bool boundary = begins(text);
  if (boundary) settle();
  push(std::move(text));
  if (boundary) fresh_list();
}

void Writer::value() {
  const auto n = pieces_.size();
  if (n > 0 && (pieces_[n - 1] == "-" || pieces_[n - 1] == "+")) {
    const bool sign = n == 1 || pieces_[n - 2] == "(" || pieces_[n - 2] == "[" ||
                      pieces_[n - 2] == "," || is_operator(pieces_[n - 2]) ||
                      begins(pieces_[n - 2]);
    if (sign) pieces_.pop_back();
  }
  // Several in a row are one, as 'a' 'b' over two lines is.
  after_row_ = false;
  if (pieces_.empty() || pieces_.back() != kValue) push(std::string(kValue));
}

// The lexer's number ends before an exponent, a base's digits and underscores.
void Writer::number(const Token& token) {
  const char* const end = rest_.data() + rest_.size();
  const char* at = token.text.data() + token.text.size();
  const auto letter = [](char c) {
    return (lowered(c) >= 'a' && lowered(c) <= 'z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
  };
  bool letters = false;
  while (at < end) {
    const bool exponent = (*at == '+' || *at == '-') && lowered(at[-1]) == 'e' && at + 1 < end &&
                          at[1] >= '0' && at[1] <= '9';
    const bool digit = *at >= '0' && *at <= '9';
    if (!letter(*at) && !digit && *at != '.' && !exponent) break;
    letters |= letter(*at);
    ++at;
  }
  lexer_ = Lexer(std::string_view(at, static_cast<std::size_t>(end - at)));
  value();
  // Of a name behind the number, or of a string: versions of PostgreSQL differ.
  if (letters && at < end && *at == '$') cut_ = over_ = true;
}

// Signs that stand together are one operator; a sign at its end may be a number's.
void Writer::operators(const Token& first) {
  std::string piece(first.text);
  const char* at = first.text.data() + 1;
  held_ = lexer_.next();
  while (held_->kind == Kind::sign && held_->text.data() == at &&
         kOperator.contains(held_->text[0])) {
    piece += held_->text[0];
    ++at;
    held_ = lexer_.next();
  }
  const bool signed_number = piece.size() > 1 && (piece.back() == '-' || piece.back() == '+') &&
                             piece.find_first_of("~!@#%^&|`") == piece.npos;
  std::string sign;
  if (signed_number) {
    sign = piece.back();
    piece.pop_back();
  }
  push(std::move(piece));
  if (!sign.empty()) push(std::move(sign));
}

void Writer::open(char bracket) {
  const bool row = bracket == '(' && !pieces_.empty() && pieces_.back() == "values";
  push(std::string(1, bracket));
  lists_.push_back({.begin = pieces_.size(), .row = row});
}

// The element that ends here goes if it looks like the one before.
void Writer::settle() {
  List& list = lists_.back();
  const auto begin = pieces_.begin();
  const auto at = [&](std::size_t i) { return begin + static_cast<std::ptrdiff_t>(i); };
  if (list.last_end > 0 &&
      std::equal(at(list.last), at(list.last_end), at(list.begin), pieces_.end()) &&
      std::find(at(list.last), at(list.last_end), kValue) != at(list.last_end)) {
    pieces_.resize(list.last_end);
    return;
  }
  list.last = list.begin;
  list.last_end = pieces_.size();
}

void Writer::close(char bracket) {
  settle();
  const bool row = lists_.back().row;
  if (lists_.size() > 1) {
    lists_.pop_back();
  } else {
    fresh_list();
  }
  push(std::string(1, bracket));
  after_row_ = row;
}

void Writer::comma() {
  if (after_row_) {
    skip_rows();
    if (!held_) return;
  }
  settle();
  push(",");
  lists_.back().begin = pieces_.size();
}

// Behind a row's comma: the next one is left out. If none comes, what does is held.
void Writer::skip_rows() {
  Token token = next();
  if (!token.sign('(')) {
    held_ = token;
    after_row_ = false;
    return;
  }
  for (std::size_t depth = 1; depth > 0;) {
    token = next();
    if (token.kind == Kind::end) return;
    if (ambiguous(token) || (token.kind == Kind::name && ends_here(token))) {
      cut_ = over_ = true;
      return;
    }
    depth += token.sign('(');
    depth -= token.sign(')');
  }
}

// Whether a blank stands between the two.
bool Writer::parted(std::string_view before, std::string_view after) const {
  const auto glued = [](std::string_view piece) { return piece == "." || piece == "::"; };
  if (glued(before) || glued(after)) return false;
  if (before == "(" || before == "[") return false;
  if (after == ")" || after == "]" || after == "," || after == ";") return false;
  if (after != "(" && after != "[") return true;
  const bool applied = before[0] == '"' || before[0] == '_' || before == "]" ||
                       (lowered(before[0]) >= 'a' && lowered(before[0]) <= 'z') ||
                       static_cast<unsigned char>(before[0]) >= 0x80;
  return !applied || begins(before);
}

std::string Writer::joined() const {
  std::string out;
  bool more = cut_;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const bool blank = i > 0 && parted(pieces_[i - 1], pieces_[i]);
    const bool last = i + 1 == pieces_.size() && !more;
    const std::size_t room = kNormalisedMost - (last ? 0 : kMore.size());
    if (out.size() + (blank ? 1 : 0) + pieces_[i].size() > room) {
      more = true;
      break;
    }
    if (blank) out += ' ';
    out += pieces_[i];
  }
  if (more && !out.ends_with(kMore)) out += kMore;
  return out;
}

}  // namespace

// What one round brings together may be brought further together by another; nearly always the
// second changes nothing.
std::string normalise(std::string_view text, bool cut) {
  std::string out = Writer(text, cut).write();
  for (int round = 0; round < kRoundsMost; ++round) {
    std::string again = Writer(out, false).write();
    if (again == out) return out;
    out = std::move(again);
  }
  return std::string(kMore);
}

std::uint64_t fingerprint(std::string_view normalised) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : normalised) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return hash;
}

}  // namespace pgw::sql

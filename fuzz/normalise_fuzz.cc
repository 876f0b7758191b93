// Normalised texts: no literal of four or more letters and digits survives, by our own lexer's
// reading and by PostgreSQL's scanner (libpg_query's); normalised again they are the same.
#include <fmt/format.h>
#include <pg_query.h>

#include <array>
#include <set>
#include <string>
#include <string_view>

#include "fuzz.h"
#include "sql/lexer.h"
#include "sql/normalise.h"

using namespace pgw;

namespace {

// Random bytes are hardly ever SQL: so most inputs choose from these, a byte each.
constexpr auto kPieces = std::to_array<std::string_view>({" ",
                                                          "\n",
                                                          "--",
                                                          "/*",
                                                          "*/",
                                                          ";",
                                                          ",",
                                                          ", ",
                                                          "(",
                                                          ")",
                                                          "(",
                                                          ")",
                                                          "[",
                                                          "]",
                                                          "'",
                                                          "''",
                                                          "'",
                                                          "\"",
                                                          "$$",
                                                          "$q$",
                                                          "$",
                                                          "E'",
                                                          "e'",
                                                          "\\'",
                                                          "\\",
                                                          "\\\\",
                                                          "U&'",
                                                          "U&\"",
                                                          "B'0101'",
                                                          "X'",
                                                          "N'",
                                                          ".",
                                                          "..",
                                                          "*",
                                                          "=",
                                                          "<",
                                                          ">",
                                                          "-",
                                                          "+",
                                                          "::",
                                                          ":",
                                                          "||",
                                                          "?",
                                                          "->>",
                                                          "1",
                                                          "12345",
                                                          "0x1f2e3d",
                                                          "1e1000",
                                                          "1.5e-1234",
                                                          "1_000_000",
                                                          ".5555",
                                                          "$1",
                                                          "$12345",
                                                          "secret1",
                                                          "secret2",
                                                          "Secret",
                                                          "values ",
                                                          "values(",
                                                          "),(",
                                                          "select ",
                                                          "insert into t ",
                                                          " in (",
                                                          "from ",
                                                          "where ",
                                                          "and ",
                                                          "a",
                                                          "bcde",
                                                          "\"quoted\"",
                                                          "\xc3\xa9",
                                                          "null",
                                                          "now()",
                                                          "#",
                                                          "@",
                                                          "%",
                                                          "{",
                                                          "}",
                                                          "\t",
                                                          "uescape '!'",
                                                          "between ",
                                                          "limit "});

std::string text_of(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || data[0] % 4 == 0) return fuzz::copy(data, size);
  std::string out;
  for (std::size_t i = 1; i < size; ++i) out += kPieces[data[i] % kPieces.size()];
  return out;
}

bool alnum(char c) { return (c >= '0' && c <= '9') || (lowered(c) >= 'a' && lowered(c) <= 'z'); }

using Runs = std::set<std::string>;

// Letters and digits in a row, four and more.
void collect(Runs& runs, std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && alnum(text[end])) ++end;
    if (end - at >= 4) runs.insert(lowered(text.substr(at, end - at)));
    at = end + 1;
  }
}

void none_survives(const std::string& out, const Runs& literals, const std::string& others) {
  Runs said, elsewhere;
  collect(said, out);
  collect(elsewhere, others);
  for (const auto& run : literals)
    if (!elsewhere.contains(run)) PGW_ASSERT(!said.contains(run));
}

void by_own_lexer(const std::string& in, const std::string& out) {
  Runs literals;
  std::string others = in;
  sql::Lexer lexer(in);
  for (auto token = lexer.next(); token.kind != sql::Token::Kind::end; token = lexer.next()) {
    using Kind = sql::Token::Kind;
    if (token.kind != Kind::string && token.kind != Kind::number && token.kind != Kind::parameter)
      continue;
    collect(literals, token.text);
    const auto at = static_cast<std::size_t>(token.text.data() - in.data());
    others.replace(at, token.text.size(), token.text.size(), ' ');
  }
  none_survives(out, literals, others);
}

// The scanner's answer is a protobuf: each token a field 2, with its start, end and kind in fields
// 1, 2 and 4.
std::uint64_t varint(std::string_view& in) {
  std::uint64_t out = 0;
  for (unsigned shift = 0; !in.empty() && shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    out |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) break;
  }
  return out;
}

struct Scanned {
  std::size_t start = 0, end = 0, kind = 0;
};

Scanned token_of(std::string_view in) {
  Scanned out;
  while (!in.empty()) {
    const auto field = varint(in) >> 3;
    const auto value = static_cast<std::size_t>(varint(in));
    if (field == 1) out.start = value;
    if (field == 2) out.end = value;
    if (field == 4) out.kind = value;
  }
  return out;
}

// FCONST, SCONST, USCONST, BCONST, XCONST, ICONST, PARAM in pg_query.proto.
bool is_value(std::size_t kind) { return kind >= 260 && kind <= 267 && kind != 265; }

void by_scanner_of_postgres(const std::string& in, const std::string& out) {
  if (in.contains('\0')) return;
  PgQueryScanResult scanned = pg_query_scan(in.c_str());
  if (!scanned.error) {
    std::string_view rest(scanned.pbuf.data, scanned.pbuf.len);
    Runs literals;
    std::string others = in;
    while (!rest.empty()) {
      const auto key = varint(rest);
      const auto value = static_cast<std::size_t>(varint(rest));
      if (key != (2 << 3 | 2)) continue;
      const Scanned token = token_of(rest.substr(0, value));
      rest.remove_prefix(value);
      if (!is_value(token.kind)) continue;
      PGW_ASSERT(token.start <= token.end && token.end <= in.size());
      const auto size = token.end - token.start;
      collect(literals, std::string_view(in).substr(token.start, size));
      others.replace(token.start, size, size, ' ');
    }
    none_survives(out, literals, others);
  }
  pg_query_free_scan_result(scanned);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = text_of(data, size);
  const std::string out = sql::normalise(in);
  PGW_ASSERT(out.size() <= sql::kNormalisedMost);
  PGW_ASSERT(sql::normalise(out) == out);
  // Of a beginning, cut anywhere, no more than that is known.
  const std::string front = in.substr(0, in.size() / 2);
  const std::string front_out = sql::normalise(front, true);
  by_own_lexer(front, front_out);
  by_own_lexer(in, out);
  by_scanner_of_postgres(in, out);
  return 0;
}

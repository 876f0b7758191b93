// Normalised texts: no literal of four or more letters and digits survives, by our own lexer's
// reading and by PostgreSQL's scanner (libpg_query's); normalised again they are the same.
#include <fmt/format.h>
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

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

void none_survives(const std::string& in, const std::string& out, const Runs& literals,
                   const std::string& others) {
  static_cast<void>(in);
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
    if (token.kind != sql::Token::Kind::string && token.kind != sql::Token::Kind::number) continue;
    collect(literals, token.text);
    const auto at = static_cast<std::size_t>(token.text.data() - in.data());
    others.replace(at, token.text.size(), token.text.size(), ' ');
  }
  none_survives(in, out, literals, others);
}

void by_scanner_of_postgres(const std::string& in, const std::string& out) {
  if (in.contains('\0')) return;
  PgQueryScanResult scanned = pg_query_scan(in.c_str());
  if (!scanned.error) {
    auto* result = pg_query__scan_result__unpack(
        nullptr, scanned.pbuf.len, reinterpret_cast<const std::uint8_t*>(scanned.pbuf.data));
    Runs literals;
    std::string others = in;
    for (std::size_t i = 0; i < result->n_tokens; ++i) {
      const auto& token = *result->tokens[i];
      switch (token.token) {
        case PG_QUERY__TOKEN__SCONST:
        case PG_QUERY__TOKEN__USCONST:
        case PG_QUERY__TOKEN__BCONST:
        case PG_QUERY__TOKEN__XCONST:
        case PG_QUERY__TOKEN__FCONST:
        case PG_QUERY__TOKEN__ICONST:
        case PG_QUERY__TOKEN__PARAM:
          break;
        default:
          continue;
      }
      const auto from = static_cast<std::size_t>(token.start);
      const auto size = static_cast<std::size_t>(token.end - token.start);
      collect(literals, std::string_view(in).substr(from, size));
      others.replace(from, size, size, ' ');
    }
    none_survives(in, out, literals, others);
    pg_query__scan_result__free_unpacked(result, nullptr);
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

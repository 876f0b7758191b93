// What a text may leave behind in its session: the quick scan may say "look closer" wrongly, but
// where the tokens show something, never "nothing special".
#include "fuzz.h"
#include "relay/scan.h"
#include "sql/analysis.h"
#include "sql/lexer.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  sql::Lexer lexer(in);
  for (sql::Token token = lexer.next(); token.kind != sql::Token::Kind::end; token = lexer.next()) {
    fuzz::assert_inside(in, token.text);
    static_cast<void>(token.value());
  }
  const sql::Analysis found = sql::analyze(in);
  // What cannot be read PostgreSQL refuses as a whole, or the scan says so by itself.
  if (!lexer.reliable()) return 0;
  if (found.leaves || found.sets || found.indelible || found.opaque || found.reads_sequences ||
      !found.custom.empty() || !found.resets.empty())
    PGW_ASSERT(relay::scan(in).closer);
  const relay::Scan scan = relay::scan(in);
  if (found.shows != 0) PGW_ASSERT(scan.closer || scan.takes_sequences);
  return 0;
}

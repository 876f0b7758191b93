// The scan and the analysis against PostgreSQL's own parser (libpg_query): of what leaves something
// in its session they may say "look closer" wrongly, never "nothing special" wrongly. The parser is
// for this test alone: it redirects stderr at each call, which a server with threads cannot have.
#include <fmt/format.h>
#include <pg_query.h>

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "fuzz.h"
#include "relay/scan.h"
#include "sql/analysis.h"

using namespace pgw;

namespace {

// Random bytes are hardly ever SQL: so most inputs choose from these, a byte each.
constexpr auto kPieces = std::to_array<std::string_view>(
    {" ",
     "\n",
     "\t",
     "--x\n",
     "/**/",
     "/*'*/",
     ";",
     ";",
     ",",
     "(",
     ")",
     "'",
     "''",
     "\"",
     "$$",
     "$x$",
     "E'\\'",
     "U&'",
     "U&\"\\0074",
     ".",
     "*",
     "=",
     "1",
     "1.5",
     "x",
     "Y",
     "\"q\"",
     "\"set\"",
     "\xc3\xa9",
     "::text",
     "select ",
     "SELECT ",
     "set ",
     "SET ",
     "Set",
     "set session ",
     "set local ",
     "local ",
     "session ",
     " to ",
     " TO ",
     "default",
     "reset ",
     "reset all",
     "all",
     "search_path",
     "work_mem",
     "time zone ",
     "names ",
     "role ",
     "none",
     "authorization ",
     "session characteristics as transaction read only",
     "transaction isolation level serializable",
     "constraints all deferred",
     "app.x",
     "listen ",
     "unlisten ",
     "notify ",
     "prepare ",
     "execute ",
     "deallocate ",
     "as ",
     "declare ",
     "cursor ",
     "with hold ",
     "for ",
     "close ",
     "fetch ",
     "discard ",
     "load 'x'",
     "do ",
     "call f()",
     "call ",
     "create ",
     "temp ",
     "temporary ",
     "local temp ",
     "global temporary ",
     "unlogged ",
     "table t (a int)",
     "table ",
     "view v as ",
     "sequence s",
     "recursive ",
     "or replace ",
     "if not exists ",
     "into ",
     "into temp t ",
     "into temporary table t ",
     "from t",
     " from ",
     "where ",
     "with c as (",
     "insert into t values (1)",
     "update t set a = 1",
     "delete from t ",
     "returning ",
     "values (1)",
     "begin",
     "begin;",
     "commit;",
     "rollback;",
     "savepoint a;",
     "rollback to a;",
     "explain ",
     "analyze ",
     "explain (analyze) ",
     "set_config",
     "set_config('a','b',false)",
     "set_config('a','b',true)",
     "pg_catalog.",
     "pg_advisory_lock(1)",
     "pg_try_advisory_lock(1)",
     "pg_advisory_lock_shared(1)",
     "pg_advisory_xact_lock(1)",
     "pg_advisory_unlock(1)",
     "setseed(0.5)",
     "currval('s')",
     "lastval()",
     "nextval('s')",
     "pg_temp.t",
     "pg_temp",
     "case when true then 1 end",
     "create function f() returns int language sql set work_mem = 1 as 'select 1'",
     "create function f() returns int language sql begin atomic select 1; end",
     "alter role x set work_mem = 1",
     "copy (",
     ") to stdout",
     "union all ",
     "limit 1",
     "order by 1",
     "pg_settings",
     "update pg_settings set setting = 1",
     "create rule r as on insert to t do instead ",
     "also ",
     "nothing"});

std::string compose(Bytes choice) {
  std::string out;
  for (const char c : choice) out += kPieces[static_cast<unsigned char>(c) % kPieces.size()];
  return out;
}

bool has(std::string_view tree, std::string_view part) {
  return tree.find(part) != std::string_view::npos;
}

// Calls of PostgreSQL's own function of this name.
bool calls(std::string_view tree, std::string_view name) {
  const std::string last = fmt::format(R"({{"String":{{"sval":"{}"}}}}])", name);
  return has(tree, R"("funcname":[)" + last) ||
         has(tree, R"("funcname":[{"String":{"sval":"pg_catalog"}},)" + last);
}

// Whether a statement of the text, as PostgreSQL reads it, leaves something by itself.
bool leaves(std::string_view tree) {
  static constexpr auto kStatements = std::to_array<std::string_view>(
      {"ListenStmt", "PrepareStmt", "DoStmt", "CallStmt", "LoadStmt"});
  for (const auto name : kStatements)
    if (has(tree, fmt::format(R"({{"stmt":{{"{}":)", name))) return true;
  for (std::size_t at = 0; (at = tree.find(R"({"stmt":{"VariableSetStmt":{)", at)) != tree.npos;
       ++at) {
    const auto one = tree.substr(at, tree.find(R"({"stmt":)", at + 1) - at);
    if (!has(one, R"("is_local":true)") && !has(one, R"("name":"TRANSACTION")")) return true;
  }
  static constexpr std::string_view kOptions = R"("options":)";
  static constexpr int kHold = 0x20;
  for (std::size_t at = 0; (at = tree.find(R"("DeclareCursorStmt":)", at)) != tree.npos; ++at) {
    const auto options = tree.find(kOptions, at);
    if (options != tree.npos && (std::atoi(tree.data() + options + kOptions.size()) & kHold) != 0)
      return true;
  }
  return has(tree, R"("relpersistence":"t")") || has(tree, R"("ExecuteStmt":{)");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string in = fuzz::copy(data + 1, std::min<std::size_t>(size - 1, 512));
  const std::string text = data[0] % 8 == 0 ? in : compose(in);
  if (text.find('\0') != std::string::npos) return 0;
  const PgQueryParseResult parsed = pg_query_parse(text.c_str());
  if (!parsed.error) {
    const std::string_view tree = parsed.parse_tree;
    const auto scan = relay::scan(text);
    const auto found = sql::analyze(text);
    if (leaves(tree)) PGW_ASSERT(scan.closer && (found.leaves || found.sets));
    for (const char* name : {"pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock",
                             "pg_try_advisory_lock_shared", "setseed"})
      if (calls(tree, name)) PGW_ASSERT(scan.closer && found.leaves);
    if (calls(tree, "set_config")) PGW_ASSERT(scan.closer);
    for (const char* name : {"currval", "lastval"})
      if (calls(tree, name)) PGW_ASSERT(scan.closer && found.reads_sequences);
    if (has(tree, R"("ExecuteStmt":{)") || has(tree, R"("DeallocateStmt":{)"))
      PGW_ASSERT(scan.names);
    if (has(tree, R"({"stmt":{"DiscardStmt":{)")) PGW_ASSERT(scan.frees && found.frees);
  }
  pg_query_free_parse_result(parsed);
  return 0;
}

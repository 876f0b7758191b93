#include "server/inspection.h"

#include <fmt/format.h>

#include <algorithm>

#include "wire/read.h"

namespace pgw::server {
namespace {

constexpr std::size_t kStatementsMost = 10'000;  // of SQL PREPARE, whose names are of interest

// Each name is PostgreSQL's own, whatever search_path says. What is asked here is the same since
// PostgreSQL 10. All that is in the temporary schema depends on it, and pg_depend has an index.
constexpr std::string_view kQuery =
    "SELECT 'set', name, setting FROM pg_catalog.pg_settings"
    " WHERE source OPERATOR(pg_catalog.=) 'session'"
    " AND (pg_catalog.left(name, 12) OPERATOR(pg_catalog.<>) 'transaction_'"
    " OR name OPERATOR(pg_catalog.=) 'transaction_timeout')"
    " UNION ALL SELECT 'set', 'role', pg_catalog.current_setting('role')"
    " WHERE pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none'"
    " UNION ALL SELECT 'set', 'session_authorization', session_user::pg_catalog.text"
    " FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a"
    " WHERE pg_catalog.pg_get_userbyid(a.usesysid) OPERATOR(pg_catalog.<>) session_user"
    " UNION ALL SELECT 'lock', '', pg_catalog.count(*)::pg_catalog.text FROM pg_catalog.pg_locks"
    " WHERE locktype OPERATOR(pg_catalog.=) 'advisory'"
    " AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()"
    " HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0"
    " UNION ALL SELECT 'temporary', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_depend"
    " WHERE refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass"
    " AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())"
    " UNION ALL SELECT 'cursor', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_cursors"
    " WHERE is_holdable)"
    " UNION ALL SELECT 'prepared', name, '' FROM pg_catalog.pg_prepared_statements WHERE from_sql"
    " UNION ALL SELECT 'listen', c, '' FROM pg_catalog.pg_listening_channels() c";

constexpr std::string_view kSays = "/* pgweir: what is in this session? */ ";
constexpr int kTransactionTimeoutSince = 17;

std::string body(const std::vector<std::string>& custom, bool statements) {
  std::string out(kQuery);
  if (statements)
    out +=
        " UNION ALL SELECT 'statement', name, '' FROM pg_catalog.pg_prepared_statements"
        " WHERE NOT from_sql";
  if (custom.empty()) return out;
  std::string names;
  for (const auto& name : custom) {
    if (!names.empty()) names += ',';
    names += relay::quoted(name);
  }
  return out + fmt::format(
                   " UNION ALL SELECT 'set', n, pg_catalog.current_setting(n, true)"
                   " FROM pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]) n"
                   " WHERE pg_catalog.current_setting(n, true) IS NOT NULL",
                   names);
}

}  // namespace

std::string inspection_query(const std::vector<std::string>& custom, bool statements) {
  return std::string(kSays) + body(custom, statements);
}

// One query string is one transaction, so what is SET LOCAL ends with it. PostgreSQL writes limits
// as '5ms', and lists them in milliseconds.
std::string patient_inspection_query(const std::vector<std::string>& custom, bool statements,
                                     int major) {
  std::vector<std::string_view> names = {"statement_timeout", "lock_timeout"};
  if (major >= kTransactionTimeoutSince) names.emplace_back("transaction_timeout");
  std::string values;
  std::string set;
  for (const auto name : names) {
    values += fmt::format("{}('{}')", values.empty() ? "" : ", ", name);
    set += fmt::format("SET LOCAL {} = 0; ", name);
  }
  return fmt::format(
      "{}SELECT 'limit', n, (1000 OPERATOR(pg_catalog.*) pg_catalog.date_part('epoch',"
      " pg_catalog.current_setting(n)::pg_catalog.interval))::pg_catalog.int8::pg_catalog.text"
      " FROM (VALUES {}) v (n); {}{}"
      " UNION ALL SELECT 'first limit', name, reset_val FROM pg_catalog.pg_settings"
      " WHERE name OPERATOR(pg_catalog.~) '^(statement|lock|transaction)_timeout$'",
      kSays, values, set, body(custom, statements));
}

void keep_limits(Inspection& found, const relay::Settings& before) {
  for (const auto& [name, value] : found.limits) {
    const auto* first = relay::look_up(found.limits_at_first, name);
    const bool differs = !first || *first != value;
    const bool had = relay::look_up(before, name) != nullptr;
    if (!differs && had) found.maybe_reset.push_back(name);
    if (differs || had) relay::put(found.settings, name, value);
  }
}

bool beyond_ascii(const std::pair<std::string, std::string>& setting) {
  return std::ranges::any_of(setting.second,
                             [](char c) { return static_cast<signed char>(c) < 0; });
}

bool take_row(Bytes row, Inspection& into) {
  wire::Reader reader(row);
  if (reader.u16() != 3) return false;
  Bytes fields[3];
  for (Bytes& field : fields) {
    const auto length = reader.u32();
    if (length != ~0u) field = reader.take(length);  // else NULL
  }
  if (!reader.done()) return false;
  const auto& [kind, name, value] = fields;
  if (kind == "limit" || kind == "first limit") {
    relay::put(kind == "limit" ? into.limits : into.limits_at_first, std::string(name), value);
    return true;
  }
  if (kind == "set" && relay::look_up(into.limits, name)) return true;
  if (kind == "set") {
    relay::put(into.settings, lowered(name), value);
    if (lowered(name) == "search_path" && value.find("pg_temp") != Bytes::npos)
      into.pins |= Pin::temporary;
    return true;
  }
  if (kind == "statement") {
    if (const auto it = into.lost_statements.find(name); it != into.lost_statements.end())
      into.lost_statements.erase(it);
    return true;
  }
  if (kind == "prepared" && into.sql_statements.size() < kStatementsMost)
    into.sql_statements.emplace(name);
  const auto kinds = pin_kinds();
  const auto found = std::ranges::find(kinds, kind, &PinKind::word);
  if (found == kinds.end()) return false;
  if (found->pin == Pin::listen) into.channels.emplace_back(name);
  into.pins |= found->pin;
  return true;
}

}  // namespace pgw::server

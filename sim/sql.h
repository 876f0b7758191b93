// The little language of the scripted PostgreSQL. Its texts look like SQL, so that a pooler which
// scans them sees realistic words; clients render statements, the scripted PostgreSQL parses the
// text.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgw::sim {

enum class Kind : std::uint8_t {
  empty,
  echo,
  big,
  sleep,
  error,
  notice,
  table,
  insert,
  update,
  begin,
  commit,
  rollback,
  savepoint,
  rollback_to,
  release,
  prepare_transaction,
  set,
  set_local,
  reset,
  reset_all,
  show,
  deallocate,
  deallocate_all,
  discard_all,
  copy_in,
  copy_out,
  alter,
  set_config,
  nothing,
  replicate,
  // What a session keeps: sql_session.cc.
  current_setting,
  do_set,  // a DO block that calls set_config
  lock,
  try_lock,
  unlock,
  unlock_all,
  lock_here,  // for this transaction
  try_lock_here,
  create_temp,
  insert_temp,
  count,
  drop,
  declare,
  fetch,
  close_cursor,
  close_all,
  prepare,
  execute,
  listen,
  unlisten,
  unlisten_all,
  notify,
  notify_call,
  channels,
  nextval,
  currval,
  lastval,
  discard_temp,
  discard_sequences,
  discard_plans,
  state,    // all that the session holds, as a client sees it
  inspect,  // the pooler asks what the session holds
  survey,   // ... and which functions may leave something
  numbers,  // ... and how many connections there are
};

struct Assignment {
  std::string name;
  std::optional<std::string> value;  // none: NULL, which resets it
  bool local = false;
  int parameter = 0;  // the value is $1, $2, ...; 0: it is not
  bool operator==(const Assignment&) const = default;
};

// A set_config in a function: SELECT keeps_v1('x') sets app.v1, and its text does not say so.
inline constexpr std::string_view kHidden = "keeps_";
std::string keeper_of(std::string_view setting);

struct Statement {
  Kind kind = Kind::empty;
  std::string token{};  // "c17.42": who asked, and its which request
  std::string name{};  // set_config: kHidden or empty; of a setting, savepoint, prepared statement,
                       // table, channel, lock, ...
  std::string value{};     // of a setting; the argument of execute
  std::uint32_t rows = 0;  // big, copy_out, replicate, declare, fetch; milliseconds of sleep
  std::uint32_t size = 0;  // bytes per row of big and declare
  int params = 0;          // $1 .. of echo, prepare, execute; create_temp: 1 is ON COMMIT DROP;
                           // commit, rollback: 1 is AND CHAIN
  // set_config: all calls of the list (params 1: only what the session has not set); inspect: names
  std::vector<Assignment> sets{};
  bool operator==(const Statement&) const = default;
};

std::string render(const Statement& statement);
std::string render(const std::vector<Statement>& statements);

// The query behind a DECLARE or PREPARE.
Statement inner(const Statement& statement);

// Empty optional: a syntax error. An empty list: an empty query.
std::optional<std::vector<Statement>> parse(std::string_view text);

bool ends_transaction(Kind kind);  // what an aborted transaction block still takes
bool returns_rows(Kind kind);
int placeholders(const Statement& statement);  // $1 .. in its text, outside of another statement
bool is_of_session(Kind kind);                 // from current_setting on

// The settings that the scripted PostgreSQL knows.
struct Setting {
  const char* name;
  const char* initial;
  bool reported;
};
extern const std::vector<Setting> kSettings;
const Setting* find_setting(std::string_view name);  // role, too, which is none of kSettings
// The name as PostgreSQL writes it, also of a custom setting; empty: there is no such setting.
std::string setting_name(std::string_view name);
bool is_custom(std::string_view setting);
using Values = std::map<std::string, std::string>;

// What a row of a big result looks like.
std::string big_row(const Statement& statement, std::uint32_t index);
std::string copy_row(const Statement& statement, std::uint32_t index);

}  // namespace pgw::sim

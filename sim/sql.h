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
};

struct Statement {
  Kind kind = Kind::empty;
  std::string token{};     // "c17.42": who asked, and its which request
  std::string name{};      // of a setting, savepoint, prepared statement or table
  std::string value{};     // of a setting
  std::uint32_t rows = 0;  // big, copy_out, replicate; milliseconds of sleep
  std::uint32_t size = 0;  // bytes per row of big
  int params = 0;          // $1 .. of echo
  // set_config: all calls of the list; no value: as RESET
  std::vector<std::pair<std::string, std::optional<std::string>>> sets{};
  bool operator==(const Statement&) const = default;
};

std::string render(const Statement& statement);
std::string render(const std::vector<Statement>& statements);

// Empty optional: a syntax error. An empty list: an empty query.
std::optional<std::vector<Statement>> parse(std::string_view text);

bool ends_transaction(Kind kind);  // what an aborted transaction block still takes
bool returns_rows(Kind kind);

// The settings that the scripted PostgreSQL knows.
struct Setting {
  const char* name;
  const char* initial;
  bool reported;
};
extern const std::vector<Setting> kSettings;
const Setting* find_setting(std::string_view name);
using Values = std::map<std::string, std::string>;

// What a row of a big result looks like.
std::string big_row(const Statement& statement, std::uint32_t index);
std::string copy_row(const Statement& statement, std::uint32_t index);

}  // namespace pgw::sim

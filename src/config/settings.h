// Typed settings, and the same rows as data. Both come from config/settings.def.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "base/time.h"

namespace pgw::config {

using Count = std::uint32_t;
using Size = std::uint64_t;  // bytes
using Span = Duration;
using Text = std::string;
using Flag = bool;
using Address = std::string;  // where to listen, in the form of config/address.h; empty: nowhere

enum Scope : std::uint8_t { GLOBAL = 1, DATABASE = 2, USER = 4, APP = 8, EACH = 16, HOST = 32 };
enum class OnReload : std::uint8_t { live, restart };
enum class Kind : std::uint8_t { Count, Size, Span, Text, Address, Flag };

struct Settings {
#define SETTING(name, type, dflt, least, most, scopes, on_reload, help) type name{dflt};
#include "config/settings.def"
#undef SETTING
  bool operator==(const Settings&) const = default;
};

using Field = std::variant<Count Settings::*, Size Settings::*, Span Settings::*,
                           std::string Settings::*, bool Settings::*>;

// One row of config/settings.def. The default is the field's value in `Settings{}`.
struct Row {
  std::string_view name;
  Kind kind;
  Field field;
  std::uint64_t least;  // bounds of a number; a span's are microseconds
  std::uint64_t most;
  std::string_view words;  // what a Text may be, separated by '|'; empty: anything
  std::uint8_t scopes;
  OnReload on_reload;
  std::string_view help;
};

std::span<const Row> rows();
const Row* find_row(std::string_view name);

// What a file may say for this setting, as the end of a sentence: "a time from 10ms to 1h, ...".
std::string expected(const Row& row);
// The setting's value as a file would have it: 20, "30s", "64MB", "info".
std::string value_text(const Row& row, const Settings& settings);
// Whether the setting has the same value in both.
bool same(const Row& row, const Settings& a, const Settings& b);
void copy(const Row& row, const Settings& from, Settings& to);

// Set a setting to what a file says: an integer, or text ("30s", "64MB", "info", "true"). Outside
// its bounds or of another type: an error that says what was expected, and no change.
Done set_number(const Row& row, Settings& settings, std::int64_t number);
Done set_text(const Row& row, Settings& settings, std::string_view text);
// The same from a command line, where everything is text: "4" is an integer if the setting is a
// number.
Done set_any(const Row& row, Settings& settings, std::string_view text);

}  // namespace pgw::config

// Known names: the keys of the file that are not settings, and the known name nearest to a wrong
// one.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace pgw::config {

// A key with a fixed place in the file: [[listen]], [auth], [databases.NAME].
struct Key {
  std::string_view section;  // "listen", "auth", "databases"
  std::string_view name;
  std::string_view values;
  std::string_view fallback;
  OnReload on_reload;
  std::string_view help;
};
std::span<const Key> keys();

// The known name with the fewest changed letters, if that is few enough to be meant; else empty.
std::string_view nearest(std::string_view wrong, std::span<const std::string_view> known);

// What `name` is called here if it is a setting of PgBouncer or SQLAlchemy; else empty.
std::string_view known_elsewhere(std::string_view name);

// Splits "a|b|c".
std::vector<std::string_view> split_words(std::string_view words);
// "a, b or c".
std::string one_of(std::span<const std::string_view> words);

}  // namespace pgw::config

#include "config/values.h"

#include <array>
#include <charconv>
#include <limits>
#include <span>

#include "base/bytes.h"

namespace pgw::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// The first name of a factor is the one that is printed; from large to small.
constexpr auto kTimes = std::to_array<Unit>({{"d", 86'400'000'000},
                                             {"h", 3'600'000'000},
                                             {"m", 60'000'000},
                                             {"min", 60'000'000},
                                             {"s", 1'000'000},
                                             {"", 1'000'000},
                                             {"ms", 1'000},
                                             {"us", 1}});
// PostgreSQL's unit is kB; upper and lower case mean the same here.
constexpr auto kSizes = std::to_array<Unit>({{"TB", 1ULL << 40},
                                             {"TiB", 1ULL << 40},
                                             {"GB", 1ULL << 30},
                                             {"GiB", 1ULL << 30},
                                             {"MB", 1ULL << 20},
                                             {"MiB", 1ULL << 20},
                                             {"kB", 1ULL << 10},
                                             {"KiB", 1ULL << 10},
                                             {"", 1},
                                             {"B", 1}});

Result<std::uint64_t> parse(std::string_view text, std::span<const Unit> units, bool fold) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{}) return fail(Code::configuration, "not a number with a unit");
  std::string_view name(rest, static_cast<std::size_t>(end - rest));
  while (name.starts_with(' ')) name.remove_prefix(1);
  for (const Unit& unit : units) {
    if (fold ? lowered(unit.name) != lowered(name) : unit.name != name) continue;
    // No bound of a setting is near: a number that does not fit is as wrong as one a little
    // smaller.
    const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (number > most / unit.factor) return most;
    return number * unit.factor;
  }
  return fail(Code::configuration, "unknown unit");
}

std::string print(std::uint64_t number, std::span<const Unit> units, std::string_view zero) {
  if (number == 0) return std::string(zero);
  for (const Unit& unit : units)
    if (number % unit.factor == 0) return fmt::format("{}{}", number / unit.factor, unit.name);
  return std::to_string(number);
}

}  // namespace

Result<Span> parse_span(std::string_view text) {
  PGW_TRY(number, parse(text, kTimes, false));
  return Span{static_cast<std::int64_t>(number)};
}

Result<Size> parse_size(std::string_view text) { return parse(text, kSizes, true); }

std::string span_text(Span span) {
  return print(static_cast<std::uint64_t>(span.count()), kTimes, "0s");
}

std::string size_text(Size size) { return print(size, kSizes, "0"); }

}  // namespace pgw::config

#include "config/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <type_traits>

#include "config/address.h"
#include "config/names.h"
#include "config/values.h"

namespace pgw::config {
namespace {

template <class T>
constexpr std::uint64_t bound(T value) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<std::uint64_t>(value);
  else if constexpr (std::is_convertible_v<T, std::string_view>)
    return 0;
  else
    return static_cast<std::uint64_t>(Span{value}.count());
}

template <class T>
constexpr std::string_view words(T value) {
  if constexpr (std::is_convertible_v<T, std::string_view>)
    return value;
  else
    return {};
}

constexpr auto kRows = std::to_array<Row>({
#define SETTING(name, type, dflt, least, most, scopes, on_reload, help)      \
  {#name,        Kind::type, &Settings::name,     bound(least), bound(most), \
   words(least), scopes,     OnReload::on_reload, help},
#include "config/settings.def"
#undef SETTING
});

std::string number_text(Kind kind, std::uint64_t number) {
  if (kind == Kind::Span) return span_text(Span{static_cast<std::int64_t>(number)});
  if (kind == Kind::Size) return size_text(number);
  return std::to_string(number);
}

// `number` is in the row's own unit: microseconds, bytes, or ones.
Done store(const Row& row, Settings& settings, std::uint64_t number, std::string_view given) {
  if (number < row.least || number > row.most)
    return fail(Code::configuration, "{} is {}; expected {}", row.name, given, expected(row));
  if (row.kind == Kind::Count)
    settings.*std::get<Count Settings::*>(row.field) = static_cast<Count>(number);
  else if (row.kind == Kind::Size)
    settings.*std::get<Size Settings::*>(row.field) = number;
  else
    settings.*std::get<Span Settings::*>(row.field) = Span{static_cast<std::int64_t>(number)};
  return {};
}

Done store_address(const Row& row, Settings& settings, std::string_view given) {
  std::string canonical;
  if (!given.empty()) {
    PGW_TRY(address, canonical_address(given));
    canonical = std::move(address);
  }
  settings.*std::get<std::string Settings::*>(row.field) = std::move(canonical);
  return {};
}

Done store_flag(const Row& row, Settings& settings, std::string_view given) {
  if (given != "true" && given != "false")
    return fail(Code::configuration, "{} is \"{}\"; expected {}", row.name, given, expected(row));
  settings.*std::get<bool Settings::*>(row.field) = given == "true";
  return {};
}

Done store_word(const Row& row, Settings& settings, std::string_view given) {
  const auto allowed = split_words(row.words);
  if (!allowed.empty() && std::ranges::find(allowed, given) == allowed.end()) {
    std::string text = fmt::format("{} is \"{}\"; expected {}", row.name, given, expected(row));
    const auto meant = nearest(given, allowed);
    if (!meant.empty()) text += fmt::format("; did you mean \"{}\"?", meant);
    return std::unexpected(Error(Code::configuration, std::move(text)));
  }
  settings.*std::get<std::string Settings::*>(row.field) = given;
  return {};
}

// With a unit it is text, without one an integer.
std::string size_value(Size size) {
  const std::string text = size_text(size);
  return text.ends_with('B') ? fmt::format("\"{}\"", text) : text;
}

}  // namespace

std::span<const Row> rows() { return kRows; }

const Row* find_row(std::string_view name) {
  const auto* found = std::ranges::find(kRows, name, &Row::name);
  return found == kRows.end() ? nullptr : found;
}

std::string expected(const Row& row) {
  switch (row.kind) {
    case Kind::Count:
      return fmt::format("an integer from {} to {}", row.least, row.most);
    case Kind::Size:
      return fmt::format("a size from {} to {}, such as \"64MB\" or an integer (bytes)",
                         size_text(row.least), size_text(row.most));
    case Kind::Span:
      return fmt::format("a time from {} to {}, such as \"30s\" or an integer (seconds)",
                         number_text(row.kind, row.least), number_text(row.kind, row.most));
    case Kind::Text:
      return row.words.empty() ? "text in quotes" : one_of(split_words(row.words));
    case Kind::Address:
      return "an address such as \"127.0.0.1:8080\", or \"\" for nowhere";
    case Kind::Flag:
      return "true or false";
  }
  return {};
}

std::string value_text(const Row& row, const Settings& settings) {
  return std::visit(
      [&](auto field) -> std::string {
        const auto& value = settings.*field;
        using T = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::string>)
          return fmt::format("\"{}\"", value);
        else if constexpr (std::is_same_v<T, Span>)
          return fmt::format("\"{}\"", span_text(value));
        else if constexpr (std::is_same_v<T, Size>)
          return size_value(value);
        else if constexpr (std::is_same_v<T, bool>)
          return value ? "true" : "false";
        else
          return std::to_string(value);
      },
      row.field);
}

bool same(const Row& row, const Settings& a, const Settings& b) {
  return std::visit([&](auto field) { return a.*field == b.*field; }, row.field);
}

void copy(const Row& row, const Settings& from, Settings& to) {
  std::visit([&](auto field) { to.*field = from.*field; }, row.field);
}

Done set_number(const Row& row, Settings& settings, std::int64_t number) {
  const bool counts = row.kind == Kind::Count || row.kind == Kind::Size || row.kind == Kind::Span;
  if (!counts || number < 0)
    return fail(Code::configuration, "{} is {}; expected {}", row.name, number, expected(row));
  auto value = static_cast<std::uint64_t>(number);
  constexpr std::uint64_t kSecond = 1'000'000;
  if (row.kind == Kind::Span) value = value > row.most / kSecond ? row.most + 1 : value * kSecond;
  return store(row, settings, value, std::to_string(number));
}

Done set_text(const Row& row, Settings& settings, std::string_view text) {
  if (row.kind == Kind::Text) return store_word(row, settings, text);
  if (row.kind == Kind::Address) return store_address(row, settings, text);
  if (row.kind == Kind::Flag) return store_flag(row, settings, text);
  const std::string given = fmt::format("\"{}\"", text);
  if (row.kind == Kind::Span) {
    if (const auto span = parse_span(text))
      return store(row, settings, static_cast<std::uint64_t>(span->count()), given);
  } else if (row.kind == Kind::Size) {
    if (const auto size = parse_size(text)) return store(row, settings, *size, given);
  }
  return fail(Code::configuration, "{} is {}; expected {}", row.name, given, expected(row));
}

Done set_any(const Row& row, Settings& settings, std::string_view text) {
  if (row.kind == Kind::Text || row.kind == Kind::Address) return set_text(row, settings, text);
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc{} && rest == end) return set_number(row, settings, number);
  return set_text(row, settings, text);
}

}  // namespace pgw::config

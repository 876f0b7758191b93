#include "config/plan_file.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "config/file.h"
#include "config/names.h"
#include "config/toml.h"
#include "config/url.h"

namespace pgw::config {
namespace {

struct Number {
  std::string_view name;
  Count PlannedApp::* field;
  Count least;
  Count most;
};

// The bounds keep products of them below 2^64.
constexpr auto kNumbers = std::to_array<Number>({
    {"instances", &PlannedApp::instances, 1, 100'000},
    {"workers", &PlannedApp::workers, 1, 10'000},
    {"pool", &PlannedApp::pool, 0, 100'000},
    {"overflow", &PlannedApp::overflow, 0, 100'000},
    {"weight", &PlannedApp::weight, 1, 1'000},
});
constexpr Count kLimitMost = 100'000;
constexpr std::size_t kAppsMost = 200;

Result<Count> number_in(std::string_view name, std::string_view text, Count least, Count most) {
  Count number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end || number < least || number > most)
    return fail(Code::configuration, "{} is {}; expected an integer from {} to {}", name, text,
                least, most);
  return number;
}

// Whether `text` is the second of two words.
Result<bool> second_of(std::string_view name, std::string_view text,
                       const std::array<std::string_view, 2>& words) {
  if (text == words[0]) return false;
  if (text == words[1]) return true;
  return fail(Code::configuration, "{} is \"{}\"; expected {}", name, text, one_of(words));
}

Done set_field(PlannedApp& app, std::string_view key, std::string_view text) {
  std::vector<std::string_view> known = {"priority", "mode"};
  for (const Number& number : kNumbers) {
    known.push_back(number.name);
    if (number.name != key) continue;
    PGW_TRY(value, number_in(key, text, number.least, number.most));
    app.*number.field = value;
    return {};
  }
  if (key == "priority") {
    PGW_TRY(background, second_of(key, text, {"normal", "background"}));
    app.background = background;
    return {};
  }
  if (key == "mode") {
    PGW_TRY(session, second_of(key, text, {"transaction", "session"}));
    app.mode = session ? Mode::session : Mode::transaction;
    return {};
  }
  return fail(Code::configuration, "unknown key \"{}\"; expected {}", key, one_of(known));
}

// A value as a command line has it. Of another type than integer and text: what set_field and its
// like refuse.
std::string value_of(const toml::node& node) {
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* text = node.as_string()) return text->get();
  return "not an integer or text";
}

std::unexpected<Error> at(const std::string& file, const toml::source_region& place,
                          const Error& error) {
  return fail(Code::configuration, "{}:{}:{}: {}", file, place.begin.line, place.begin.column,
              error.what());
}

Done read_apps(Demand& demand, const toml::node& node, const std::string& file) {
  const auto* table = node.as_table();
  const Error expected(Code::configuration, "expected [apps.NAME] with what is known of it");
  if (!table) return at(file, node.source(), expected);
  for (const auto& [name, value] : *table) {
    const auto* one = value.as_table();
    if (!one) return at(file, value.source(), expected);
    if (demand.apps.size() == kAppsMost)
      return fail(Code::configuration, "{}: more than {} applications", file, kAppsMost);
    PlannedApp app{.name = std::string(name.str())};
    for (const auto& [key, field] : *one)
      if (const auto done = set_field(app, key.str(), value_of(field)); !done)
        return at(file, key.source(), done.error());
    demand.apps.push_back(std::move(app));
  }
  return {};
}

}  // namespace

Done set_demand(Demand& demand, std::string_view key, std::string_view text) {
  if (key == "limit") {
    PGW_TRY(limit, number_in(key, text, 1, kLimitMost));
    demand.limit = limit;
  } else if (key == "reserved") {
    PGW_TRY(reserved, number_in(key, text, 0, kLimitMost));
    demand.reserved = reserved;
  } else if (key == "host") {
    PGW_TRY(host, canonical_host(text));
    demand.host = std::move(host);
  } else if (key == "database") {
    if (text.empty())
      return fail(Code::configuration, "database is empty; expected a name or \"*\"");
    demand.database = text;
  } else {
    static constexpr std::array<std::string_view, 5> kKnown = {"limit", "reserved", "host",
                                                               "database", "[apps.NAME]"};
    return fail(Code::configuration, "unknown key \"{}\"; expected {}", key, one_of(kKnown));
  }
  return {};
}

Result<PlannedApp> parse_app(std::string_view text) {
  const auto colon = text.rfind(':');
  PlannedApp app{.name = std::string(text.substr(0, colon))};
  if (app.name.empty())
    return fail(Code::configuration,
                "\"{}\": expected NAME:KEY=VALUE,..., such as worker:instances=2,pool=20", text);
  std::string_view rest = colon == text.npos ? std::string_view{} : text.substr(colon + 1);
  while (!rest.empty()) {
    const std::string_view field = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), field.size() + 1));
    const auto equals = field.find('=');
    if (equals == field.npos)
      return fail(Code::configuration, "\"{}\": \"{}\" is not KEY=VALUE", text, field);
    if (const auto done = set_field(app, field.substr(0, equals), field.substr(equals + 1)); !done)
      return fail(Code::configuration, "\"{}\": {}", text, done.error().what());
  }
  return app;
}

Result<Demand> parse_demand(std::string_view text, const std::string& file_name) {
  const toml::parse_result result = toml::parse(text, file_name);
  if (!result)
    return at(file_name, result.error().source(),
              Error(Code::configuration, std::string(result.error().description())));
  Demand demand;
  for (const auto& [key, node] : result.table()) {
    if (key == "apps") {
      PGW_DO(read_apps(demand, node, file_name));
      continue;
    }
    if (const auto done = set_demand(demand, key.str(), value_of(node)); !done)
      return at(file_name, key.source(), done.error());
  }
  return demand;
}

Result<Demand> load_demand(const std::string& path) {
  const auto text = contents(path);
  if (!text) return fail(Code::configuration, "{}: {}", path, text.error().what());
  return parse_demand(*text, path);
}

Result<std::string> canonical_host(std::string_view text) {
  const auto url = parse_url(fmt::format("postgresql://{}", text));
  if (text.empty() || text.find_first_of("@/?") != text.npos || !url)
    return fail(Code::configuration, "host is \"{}\"; expected one such as db.example:5432", text);
  const std::string& host = url->upstream.host;
  return fmt::format(fmt::runtime(host.contains(':') ? "[{}]:{}" : "{}:{}"), host,
                     url->upstream.port);
}

}  // namespace pgw::config

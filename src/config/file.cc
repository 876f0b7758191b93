#include "config/file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <tuple>
#include <utility>

#include "config/address.h"
#include "config/names.h"
#include "config/presets.h"
#include "config/toml.h"
#include "config/url.h"

namespace pgw::config {
namespace {

// Nobody writes such a file by hand; /dev/zero is one.
constexpr std::size_t kFileBytesMax = 16 * 1024 * 1024;

class Reader {
 public:
  Reader(std::string file, std::vector<Problem>& problems, std::string_view preset)
      : file_(std::move(file)),
        problems_(problems),
        preset_(preset),
        snapshot_(std::make_shared<Snapshot>()) {}

  SnapshotPtr read(std::string_view text);

 private:
  using Place = toml::source_region;

  template <class... Args>
  void wrong(const Place& place, fmt::format_string<Args...> text, Args&&... args) {
    problems_.push_back({file_, place.begin.line, place.begin.column,
                         fmt::format(text, std::forward<Args>(args)...)});
  }
  void read_top(const toml::table& top);
  void read_preset(const toml::table& top);
  void read_setting(Settings& settings, const Row& row, const toml::node& node);
  void read_listeners(const toml::node& node);
  void read_listener(const toml::table& table);
  void read_auth(const toml::node& node);
  void read_databases(const toml::node& node);
  void read_database(std::string_view name, const toml::table& table);
  void read_overlays(const toml::node& node, std::string_view section, Overlays& into);
  void read_overlay(std::string_view name, const toml::table& table, std::string_view section,
                    Overlays& into);
  void read_url(Database& database, const toml::node& node, bool has_timeout);
  void read_hosts(const toml::node& node);
  void unknown(const toml::key& key, std::string_view section);
  // The text of a node, or a problem.
  std::optional<std::string> text_of(const toml::node& node, std::string_view name,
                                     std::string_view expected);
  template <class Enum>
  std::optional<Enum> word_of(const toml::node& node, std::string_view name,
                              std::initializer_list<Enum> all);

  std::string file_;
  std::vector<Problem>& problems_;
  std::string_view preset_;  // instead of the file's; empty: the file's
  std::shared_ptr<Snapshot> snapshot_;
};

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "text";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

// The scope of the settings that a section may hold.
std::uint8_t scope_of(std::string_view section) {
  if (section.empty()) return GLOBAL;
  if (section == "databases") return DATABASE;
  if (section == "users") return USER;
  if (section == "hosts") return HOST;
  return section == "apps" ? APP : 0;
}

// A section as it is written in the file.
std::string header(std::string_view section) {
  if (section == "listen") return "[[listen]]";
  return scope_of(section) != 0 ? fmt::format("[{}.NAME]", section) : fmt::format("[{}]", section);
}

// Where a setting may stand, as the end of a sentence.
std::string places_of(const Row& row) {
  static constexpr std::pair<Scope, std::string_view> kPlaces[] = {
      {GLOBAL, "at the top of the file"},
      {DATABASE, "in [databases.NAME]"},
      {USER, "in [users.NAME]"},
      {APP, "in [apps.NAME]"},
      {HOST, "in [hosts.\"HOST:PORT\"]"}};
  std::vector<std::string_view> places;
  for (const auto& [scope, place] : kPlaces)
    if ((row.scopes & scope) != 0) places.push_back(place);
  return one_of(places);
}

SnapshotPtr Reader::read(std::string_view text) {
  const toml::parse_result result = toml::parse(text, file_);
  if (!result) {
    const toml::parse_error& error = result.error();
    problems_.push_back({file_, error.source().begin.line, error.source().begin.column,
                         std::string(error.description())});
    return nullptr;
  }
  read_top(result.table());
  std::ranges::sort(problems_, {}, [](const Problem& problem) {
    return std::tie(problem.line, problem.column, problem.text);
  });
  return problems_.empty() ? snapshot_ : nullptr;
}

void Reader::read_top(const toml::table& top) {
  // Settings first: databases start from them, wherever in the file they are.
  read_preset(top);
  const auto general = [](std::string_view name) {
    const Row* row = find_row(name);
    return row && (row->scopes & GLOBAL) != 0 ? row : nullptr;
  };
  for (const auto& [key, node] : top)
    if (const Row* row = general(key.str()); row && key != "preset")
      read_setting(snapshot_->settings, *row, node);
  for (const Loop loop : {Loop::automatic, Loop::io_uring, Loop::epoll})
    if (snapshot_->settings.loop == text(loop)) snapshot_->loop = loop;
  for (const auto& [key, node] : top) {
    if (general(key.str())) continue;
    if (key == "listen")
      read_listeners(node);
    else if (key == "auth")
      read_auth(node);
    else if (key == "databases")
      read_databases(node);
    else if (key == "users")
      read_overlays(node, "users", snapshot_->users);
    else if (key == "apps")
      read_overlays(node, "apps", snapshot_->apps);
    else if (key == "hosts")
      read_hosts(node);
    else if (const Row* row = find_row(key.str()))
      wrong(key.source(), "{} is not a setting of everything; expected it {}", row->name,
            places_of(*row));
    else
      unknown(key, "");
  }
  limit_hosts(*snapshot_);
  if (!top.contains("listen")) snapshot_->listen = default_listeners();
  if (!top.contains("databases"))
    problems_.push_back({file_, 0, 0,
                         "there is no database; expected [databases.NAME] with url = "
                         "\"postgresql://host/dbname\", at least for \"*\" (any name)"});
}

// Before all other settings, which win over it.
void Reader::read_preset(const toml::table& top) {
  Settings& settings = snapshot_->settings;
  if (const auto* node = top.get("preset")) read_setting(settings, *find_row("preset"), *node);
  if (!preset_.empty()) settings.preset = preset_;
  apply_preset(settings);
}

void Reader::read_setting(Settings& settings, const Row& row, const toml::node& node) {
  Done done;
  if (const auto* number = node.as_integer())
    done = set_number(row, settings, number->get());
  else if (const auto* text = node.as_string())
    done = set_text(row, settings, text->get());
  else if (const auto* flag = node.as_boolean(); flag && row.kind == Kind::Flag)
    done = set_text(row, settings, flag->get() ? "true" : "false");
  else
    done = fail(Code::configuration, "{} is {}; expected {}", row.name, type_name(node),
                expected(row));
  if (!done) wrong(node.source(), "{}", done.error().what());
}

std::optional<std::string> Reader::text_of(const toml::node& node, std::string_view name,
                                           std::string_view what) {
  if (const auto* text = node.as_string()) return text->get();
  wrong(node.source(), "{} is {}; expected {}", name, type_name(node), what);
  return {};
}

template <class Enum>
std::optional<Enum> Reader::word_of(const toml::node& node, std::string_view name,
                                    std::initializer_list<Enum> all) {
  std::vector<std::string_view> words;
  for (const Enum one : all) words.push_back(text(one));
  const auto given = text_of(node, name, one_of(words));
  if (!given) return {};
  for (const Enum one : all)
    if (*given == text(one)) return one;
  const auto meant = nearest(*given, words);
  wrong(node.source(), "{} is \"{}\"; expected {}{}", name, *given, one_of(words),
        meant.empty() ? "" : fmt::format("; did you mean \"{}\"?", meant));
  return {};
}

void Reader::read_listeners(const toml::node& node) {
  const auto* array = node.as_array();
  if (!array || array->empty()) {
    wrong(node.source(), "listen is {}; expected [[listen]] with address and mode",
          type_name(node));
    return;
  }
  for (const toml::node& one : *array) {
    if (const auto* table = one.as_table())
      read_listener(*table);
    else
      wrong(one.source(), "listen is {}; expected [[listen]] with address and mode",
            type_name(one));
  }
}

void Reader::read_listener(const toml::table& table) {
  Listen listen;
  for (const auto& [key, node] : table) {
    if (key == "address") {
      const auto given = text_of(node, "address", "an address such as \"127.0.0.1:5432\"");
      if (!given) continue;
      auto address = canonical_address(*given);
      if (!address) {
        wrong(node.source(), "{}", address.error().what());
        continue;
      }
      // Port 0 means "any free one", of which there may be several.
      const bool taken = !address->ends_with(":0") &&
                         std::ranges::find(snapshot_->listen, *address, &Listen::address) !=
                             snapshot_->listen.end();
      if (taken) wrong(node.source(), "address {} is in the file twice", *address);
      listen.address = std::move(*address);
    } else if (key == "mode") {
      const auto mode = word_of(node, "mode", {Mode::session, Mode::transaction});
      if (mode) listen.mode = *mode;
    } else if (key == "app") {
      listen.app = text_of(node, "app", "the name of an app").value_or("");
    } else {
      unknown(key, "listen");
    }
  }
  for (const std::string_view name : {"address", "mode"})
    if (!table.contains(name)) wrong(table.source(), "[[listen]] has no {}", name);
  snapshot_->listen.push_back(std::move(listen));
}

void Reader::read_auth(const toml::node& node) {
  const auto* table = node.as_table();
  if (!table) {
    wrong(node.source(), "auth is {}; expected [auth] with method and file", type_name(node));
    return;
  }
  Auth& auth = snapshot_->auth;
  bool method_wrong = false;
  for (const auto& [key, value] : *table) {
    if (key == "method") {
      using enum AuthMethod;
      const auto method = word_of(value, "method", {trust, password, md5, scram_sha_256});
      method_wrong = !method;
      auth.method = method.value_or(trust);
    } else if (key == "file") {
      const auto given = text_of(value, "file", "the path of a file of users and secrets");
      if (!given) continue;
      if (given->empty())
        wrong(value.source(), "file is empty; expected a path");
      else
        auth.file = (std::filesystem::path(file_).parent_path() / *given).string();
    } else {
      unknown(key, "auth");
    }
  }
  if (!table->contains("method"))
    wrong(table->source(), "[auth] has no method; expected trust, password, md5 or scram-sha-256");
  // Without secrets nobody could ever log in.
  else if (!method_wrong && auth.method != AuthMethod::trust && !table->contains("file"))
    wrong(table->get("method")->source(),
          "method \"{}\" needs secrets; expected file = \"users.txt\"", text(auth.method));
}

void Reader::read_databases(const toml::node& node) {
  const auto* table = node.as_table();
  if (!table || table->empty()) {
    wrong(node.source(), "databases is {}; expected [databases.NAME] with url",
          table ? "empty" : type_name(node));
    return;
  }
  for (const auto& [key, value] : *table) {
    if (key.str().empty())
      wrong(key.source(), "a database has a name, or is \"*\"");
    else if (const auto* one = value.as_table())
      read_database(key.str(), *one);
    else
      wrong(value.source(), "databases.{} is {}; expected [databases.{}] with url", key.str(),
            type_name(value), key.str());
  }
}

void Reader::read_database(std::string_view name, const toml::table& table) {
  Database database{std::string(name), {}, snapshot_->settings};
  for (const auto& [key, node] : table) {
    const Row* row = find_row(key.str());
    if (key == "url") continue;
    if (row && (row->scopes & DATABASE) != 0)
      read_setting(database.settings, *row, node);
    else if (row)
      wrong(key.source(), "{} is not a setting of one database; expected it {}", key.str(),
            places_of(*row));
    else
      unknown(key, "databases");
  }
  // Last: its connect_timeout gives way to the key of that name.
  if (const auto* url = table.get("url"))
    read_url(database, *url, table.contains("connect_timeout"));
  else
    wrong(table.source(), "database \"{}\" has no url", name);
  snapshot_->databases.insert_or_assign(std::string(name), std::move(database));
}

void Reader::read_url(Database& database, const toml::node& node, bool has_timeout) {
  const auto given = text_of(node, "url", "\"postgresql://user:password@host:port/dbname\"");
  if (!given) return;
  auto url = parse_url(*given);
  if (!url) {
    wrong(node.source(), "url: {}", url.error().what());
    return;
  }
  database.upstream = std::move(url->upstream);
  if (url->connect_timeout && !has_timeout)
    database.settings.connect_timeout = *url->connect_timeout;
}

// One who is spoken of: [users.NAME] is of a user.
std::string_view one_of_section(std::string_view section) {
  return section.substr(0, section.size() - 1);
}

void Reader::read_overlays(const toml::node& node, std::string_view section, Overlays& into) {
  const auto* table = node.as_table();
  if (!table) {
    wrong(node.source(), "{} is {}; expected {} with settings", section, type_name(node),
          header(section));
    return;
  }
  for (const auto& [key, value] : *table) {
    if (key.str().empty() && section == "users")
      wrong(key.source(), "a user has a name, or is \"*\"");
    else if (const auto* one = value.as_table())
      read_overlay(key.str(), *one, section, into);
    else
      wrong(value.source(), "{}.{} is {}; expected [{}.{}] with settings", section, key.str(),
            type_name(value), section, key.str());
  }
}

void Reader::read_overlay(std::string_view name, const toml::table& table, std::string_view section,
                          Overlays& into) {
  Overlay overlay;
  for (const auto& [key, node] : table) {
    const Row* row = find_row(key.str());
    if (row && (row->scopes & scope_of(section)) != 0) {
      read_setting(overlay.values, *row, node);
      overlay.given.push_back(row);
    } else if (row) {
      wrong(key.source(), "{} is not a setting of one {}; expected it {}", key.str(),
            one_of_section(section), places_of(*row));
    } else {
      unknown(key, section);
    }
  }
  if (overlay.gives("max_overflow") && !overlay.gives("pool_size"))
    wrong(table.get("max_overflow")->source(),
          "max_overflow of an app is beyond its pool_size; expected that, too");
  into.insert_or_assign(std::string(name), std::move(overlay));
}

// By host and port as databases' URLs have them; without a port it is 5432.
void Reader::read_hosts(const toml::node& node) {
  Overlays read;
  read_overlays(node, "hosts", read);
  for (auto& [name, overlay] : read) {
    const auto colon = name.rfind(':');
    const bool port = colon != std::string::npos && colon + 1 > name.rfind(']') + 1 &&
                      name.find_first_not_of("0123456789", colon + 1) == std::string::npos;
    std::string place = name == "*" || port ? name : name + ":5432";
    const Settings& own = overlay.values;
    Settings here = snapshot_->settings;
    overlay.apply(here);
    if (own.max_connections != 0 && own.max_connections <= here.reserve)
      wrong(
          node.source(),
          "hosts.\"{}\": max_connections {} leaves nothing for servers beside reserve {}; expected "
          "at least {}",
          name, own.max_connections, here.reserve, here.reserve + 1);
    if (!snapshot_->hosts.emplace(std::move(place), std::move(overlay)).second)
      wrong(node.source(), "hosts.\"{}\" is in the file twice, with and without its port", name);
  }
}

void Reader::unknown(const toml::key& key, std::string_view section) {
  const std::string_view name = key.str();
  std::vector<std::string_view> here;
  std::string elsewhere(known_elsewhere(name));
  for (const Row& row : rows()) {
    if ((row.scopes & scope_of(section)) != 0)
      here.push_back(row.name);
    else if (row.name == name)
      elsewhere = fmt::format("{} {}", name, places_of(row));
  }
  for (const Key& known : keys()) {
    if (known.section == section)
      here.push_back(known.name);
    else if (known.name == name)
      elsewhere = fmt::format("{} in {}", name, header(known.section));
  }
  if (section.empty())
    here.insert(here.end(), {"listen", "auth", "databases", "users", "apps", "hosts"});
  const auto near = nearest(name, here);
  const std::string meant = near.empty() || !elsewhere.empty() ? elsewhere : std::string(near);
  wrong(key.source(), "unknown key \"{}\"{}{}", name,
        section.empty() ? "" : " in " + header(section),
        meant.empty() ? "" : fmt::format("; did you mean {}?", meant));
}

}  // namespace

Result<std::string> contents(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return fail(Code::configuration, "it is a folder; expected a file");
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Code::configuration, "cannot open it: {}", std::strerror(errno));
  std::string text(kFileBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return fail(Code::configuration, "cannot read it: {}", std::strerror(errno));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kFileBytesMax)
    return fail(Code::configuration, "it is larger than {} MiB", kFileBytesMax / 1024 / 1024);
  return text;
}

namespace {

Result<SnapshotPtr> outcome(SnapshotPtr snapshot, const std::vector<Problem>& found,
                            std::vector<Problem>* problems) {
  if (problems) *problems = found;
  if (found.empty()) return snapshot;
  std::string text;
  for (const Problem& problem : found) text += (text.empty() ? "" : "\n") + problem.full();
  return std::unexpected(Error(Code::configuration, std::move(text)));
}

}  // namespace

std::string Problem::full() const {
  if (line == 0) return fmt::format("{}: {}", file, text);
  return fmt::format("{}:{}:{}: {}", file, line, column, text);
}

Result<SnapshotPtr> parse(std::string_view toml, const std::string& file_name,
                          std::vector<Problem>* problems, std::string_view preset) {
  std::vector<Problem> found;
  auto snapshot = Reader(file_name, found, preset).read(toml);
  return outcome(std::move(snapshot), found, problems);
}

Result<SnapshotPtr> load(const std::string& path, std::vector<Problem>* problems,
                         std::string_view preset) {
  const auto text = contents(path);
  if (!text) return outcome(nullptr, {{path, 0, 0, text.error().what()}}, problems);
  return parse(*text, path, problems, preset);
}

}  // namespace pgw::config

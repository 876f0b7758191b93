#include "config/print.h"

#include <fmt/format.h>

#include <vector>

#include "config/names.h"
#include "config/presets.h"
#include "config/values.h"

namespace pgw::config {
namespace {

std::string_view unit(const Row& row) {
  switch (row.kind) {
    case Kind::Count:
      return "count";
    case Kind::Size:
      return "bytes";
    case Kind::Span:
      return "time";
    case Kind::Text:
      return "text";
    case Kind::Address:
      return "address";
    case Kind::Flag:
      return "flag";
  }
  return {};
}

std::string bounds(const Row& row) {
  switch (row.kind) {
    case Kind::Count:
      return fmt::format("{} to {}", row.least, row.most);
    case Kind::Size:
      return fmt::format("{} to {}", size_text(row.least), size_text(row.most));
    case Kind::Span:
      return fmt::format("{} to {}", span_text(Span{static_cast<std::int64_t>(row.least)}),
                         span_text(Span{static_cast<std::int64_t>(row.most)}));
    case Kind::Text:
      return one_of(split_words(row.words));
    case Kind::Address:
      return "any";
    case Kind::Flag:
      return "true or false";
  }
  return {};
}

std::string scopes(const Row& row) {
  static constexpr std::pair<Scope, std::string_view> kNames[] = {
      {GLOBAL, "global"}, {DATABASE, "database"}, {USER, "user"}, {APP, "app"}, {HOST, "host"}};
  std::string out;
  for (const auto& [scope, name] : kNames)
    if ((row.scopes & scope) != 0) out += (out.empty() ? "" : ", ") + std::string(name);
  return out;
}

// " `a`, `b`": the settings of a scope.
std::string list_of(Scope scope) {
  std::string out;
  for (const Row& row : rows())
    if ((row.scopes & scope) != 0) out += fmt::format("{} `{}`", out.empty() ? "" : ",", row.name);
  return out;
}

std::string_view reload(OnReload on_reload) {
  return on_reload == OnReload::live ? "live" : "restart";
}

// A cell of a table in Markdown: a bar would end it.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string presets_text() {
  std::string out = "\n# preset = ...\n\n";
  for (std::size_t i = 0; i < kPresets; ++i) {
    const Preset& preset = presets()[i];
    out +=
        fmt::format("{} (a PostgreSQL with {} connections)\n   ", preset.name, preset.connections);
    for (const PresetRow& row : preset_rows())
      out += fmt::format(" {} {};", row.setting, row.values[i]);
    out.back() = '\n';
  }
  return out;
}

std::string presets_markdown() {
  std::string out =
      "\n## Presets\n\n"
      "`preset = \"small\"` at the top of the file (or `--set preset=small`) sets what follows, "
      "for "
      "a PostgreSQL whose `max_connections` is about what the first row says. It leaves "
      "connections "
      "for others. Whatever the file says itself, at the top or in a section, wins; `pgweir check` "
      "shows what came of it. `pgweir plan` works out sizes for given applications instead.\n\n"
      "| |";
  for (const Preset& preset : presets()) out += fmt::format(" `{}` |", preset.name);
  out += "\n|---|---|---|---|---|\n| connections of PostgreSQL |";
  for (const Preset& preset : presets()) out += fmt::format(" {} |", preset.connections);
  out += '\n';
  for (const PresetRow& row : preset_rows())
    out += fmt::format("| `{}` | {} |\n", row.setting, fmt::join(row.values, " | "));
  out += "| `max_connections` of `[hosts.\"*\"]` |";
  for (const Preset& preset : presets()) out += fmt::format(" {} |", preset.host);
  return out + '\n';
}

constexpr std::string_view kSections[][2] = {
    {"listen", "[[listen]]"}, {"auth", "[auth]"}, {"databases", "[databases.NAME]"}};

}  // namespace

std::string print_settings() {
  const Settings defaults;
  std::string out =
      "# At the top of the file; those of scope database also in [databases.NAME], of scope user "
      "in\n"
      "# [users.NAME], of scope app in [apps.NAME] (the client's application_name). The app's "
      "wins\n"
      "# over the user's, that over the database's. NAME \"*\": every one without a section.\n"
      "# Scope host: in [hosts.\"HOST:PORT\"], as the databases' URLs have them.\n\n";
  for (const Row& row : rows())
    out += fmt::format("{} = {}\n    {}\n    {}: {}; scope: {}; on reload: {}\n", row.name,
                       value_text(row, defaults), row.help, unit(row), bounds(row), scopes(row),
                       reload(row.on_reload));
  for (const auto& [section, title] : kSections) {
    out += fmt::format("\n# {}\n\n", title);
    for (const Key& key : keys())
      if (key.section == section)
        out += fmt::format("{}\n    {}\n    {}; default: {}; on reload: {}\n", key.name, key.help,
                           key.values, key.fallback, reload(key.on_reload));
  }
  return out + presets_text();
}

std::string print_markdown() {
  const Settings defaults;
  std::string out =
      "# Settings\n\n"
      "Written by `tools/docs.py` from `pgweir config --markdown`; change "
      "`src/config/settings.def` "
      "or `src/config/names.cc` instead.\n\n"
      "One TOML file, given by `pgweir serve --config FILE`; `pgweir check FILE` says what is "
      "wrong in "
      "it, and SIGHUP reads it again. A time is text with a unit (`\"100ms\"`, `\"30s\"`, "
      "`\"5m\"`, "
      "`\"1h\"`, `\"2d\"`) or an integer (seconds). A size is an integer (bytes) or text with a "
      "unit "
      "(`\"64kB\"`, `\"64MB\"`, `\"1GiB\"`; all 1024-based).\n\n"
      "## At the top of the file\n\n"
      "Settings of scope database are the default of all databases here, and may be set for one in "
      "`[databases.NAME]`; those of scope user in `[users.NAME]`, of scope app in `[apps.NAME]`, "
      "of scope host in `[hosts.NAME]`, see "
      "the end. \"restart\": a reload does not change it.\n\n"
      "| setting | default | values | scope | on reload | what it does |\n"
      "|---|---|---|---|---|---|\n";
  for (const Row& row : rows())
    out += fmt::format("| `{}` | `{}` | {}: {} | {} | {} | {} |\n", row.name,
                       value_text(row, defaults), unit(row), bounds(row), scopes(row),
                       reload(row.on_reload), cell(row.help));
  for (const auto& [section, title] : kSections) {
    out += fmt::format("\n## `{}`\n\n", title);
    if (section == "listen")
      out +=
          "Any number of them. With none, `127.0.0.1:5432` is session and `127.0.0.1:6543` is "
          "transaction: only this machine can connect until an address says otherwise.\n\n";
    if (section == "databases")
      out +=
          "One per name that clients ask for; `[databases.\"*\"]` is for every other name. A "
          "reload that removes one disconnects its clients (57P01), those in a transaction when "
          "it is over.\n\n";
    out += "| key | default | values | on reload | what it does |\n|---|---|---|---|---|\n";
    for (const Key& key : keys())
      if (key.section == section)
        out += fmt::format("| `{}` | {} | {} | {} | {} |\n", key.name, key.fallback, key.values,
                           reload(key.on_reload), cell(key.help));
  }
  out +=
      "\n## `[users.NAME]`, `[apps.NAME]`\n\n"
      "Any number of them, for the clients of one user, and for those of one application: of one "
      "`application_name`, as the client gives it when it connects (`[apps.\"\"]`: those that give "
      "none). `[users.\"*\"]` and `[apps.\"*\"]` are for everybody who has no section. Where a "
      "setting is given more than once, the app's wins over the user's, that over the database's, "
      "that over the one at the top. A reload changes them for clients that are connected, too.\n\n"
      "Limits stand by themselves at each level, and all of them hold: `max_clients` of an app "
      "does "
      "not take the place of the one at the top. An app's `pool_size` and `max_overflow` limit "
      "what "
      "its clients hold, in all pools together; they are not the size of a pool. `[apps.\"*\"]` "
      "limits each app that has no section, not all of them together.\n\n"
      "Which app a client belongs to: `app` in `[users.NAME]`, else in `[databases.NAME]`, else in "
      "its `[[listen]]`, else its `application_name` when it connects (the first 63 bytes). A "
      "later "
      "`SET application_name` changes what is displayed, not the app.\n\n"
      "Users may have:" +
      list_of(USER) + ". Apps:" + list_of(APP) +
      ".\n\n## `[hosts.\"HOST:PORT\"]`\n\n"
      "Any number of them, for one PostgreSQL each: host and port as the databases' URLs have them "
      "(5432 without a port; the folder of a Unix socket and its port). Two names of one machine "
      "are "
      "two hosts. `[hosts.\"*\"]` is for every other one, each on its own. They may have:" +
      list_of(HOST) + ".\n";
  return out + presets_markdown();
}

}  // namespace pgw::config

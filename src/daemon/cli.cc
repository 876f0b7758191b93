#include "daemon/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "auth/userlist.h"
#include "config/address.h"
#include "config/file.h"
#include "config/plan_file.h"
#include "config/presets.h"
#include "config/print.h"
#include "config/zero.h"
#include "daemon/plan.h"

namespace pgw::daemon {
namespace {

using config::Mode;

struct Options {
  std::string url;
  std::string file;
  std::vector<std::string> session;
  std::vector<std::string> transaction;
  std::vector<std::string> set;
  std::vector<std::pair<std::string, std::string>> settings;
  bool markdown = false;
  // plan
  std::vector<std::string> apps;
  std::string limit;
  std::string reserved;
  std::string host;
  std::string database;
  bool json = false;
  bool toml = false;
};

Command answer(std::string text, int exit_code) {
  Command command;
  command.text = std::move(text);
  if (!command.text.ends_with('\n')) command.text += '\n';
  command.exit_code = exit_code;
  return command;
}

Command wrong(std::string_view text) {
  return answer(fmt::format("pgweir: {}", text), kWrongUsage);
}

void add_serve(CLI::App& serve, Options& options) {
  serve
      .add_option("url", options.url,
                  "postgresql://user:password@host:port/dbname, instead of a file")
      ->type_name("URL");
  serve.add_option("--config", options.file, "the configuration file")->type_name("FILE");
  serve.add_option("--session", options.session, "listen here in session mode, may be repeated")
      ->type_name("ADDR:PORT")
      ->take_all()
      ->expected(1);
  serve
      .add_option("--transaction", options.transaction,
                  "listen here in transaction mode, may be repeated")
      ->type_name("ADDR:PORT")
      ->take_all()
      ->expected(1);
  static constexpr const char* kSettings[][3] = {
      {"http", "ADDR:PORT", "serve /health here; \"\": nowhere"},
      {"workers", "N", "threads with an event loop each; 0: one per core"},
      {"loop", "LOOP", "auto, io_uring or epoll"},
      {"log_level", "LEVEL", "trace, debug, info, warning or error"},
      {"log_format", "FORMAT", "text or json"},
  };
  for (const auto& [name, type, help] : kSettings) {
    std::string flag = std::string("--") + name;
    std::ranges::replace(flag, '_', '-');
    serve
        .add_option_function<std::string>(
            flag,
            [&options, key = std::string(name)](const std::string& value) {
              options.settings.emplace_back(key, value);
            },
            help)
        ->type_name(type);
  }
  serve
      .add_option("--set", options.set, "any other setting of `pgweir config`; wins over the file")
      ->type_name("NAME=VALUE")
      ->take_all()
      ->expected(1);
}

void add_plan(CLI::App& plan, Options& options) {
  plan.add_option("file", options.file,
                  "TOML with limit, reserved, host, database and [apps.NAME]; options win over it")
      ->type_name("FILE");
  plan.add_option("--app", options.apps,
                  "NAME:instances=2,workers=4,pool=20,overflow=0,priority=background,weight=1,"
                  "mode=session; what is left out is 1 instance and worker, SQLAlchemy's 5 + 10, "
                  "normal, 1, transaction; may be repeated")
      ->type_name("APP")
      ->take_all()
      ->expected(1);
  plan.add_option("--limit", options.limit, "max_connections of PostgreSQL")->type_name("N");
  plan.add_option("--reserved", options.reserved,
                  "those that applications cannot have, default 3 "
                  "(superuser_reserved_connections)")
      ->type_name("N");
  plan.add_option("--host", options.host, "where PostgreSQL is, default localhost:5432")
      ->type_name("HOST:PORT");
  plan.add_option("--database", options.database, "a name, default * (any)")->type_name("NAME");
  auto* json = plan.add_flag("--json", options.json, "as JSON");
  plan.add_flag("--toml", options.toml, "the file for it alone")->excludes(json);
}

Done add_listeners(const std::vector<std::string>& given, Mode mode, Overrides& overrides) {
  for (const std::string& one : given) {
    auto address = config::canonical_address(one);
    if (!address) return fail(Code::configuration, "--{}: {}", text(mode), address.error().what());
    overrides.listen.push_back({std::move(*address), mode});
  }
  return {};
}

// Settings are tried here, so that they can be applied later without failing.
Result<Overrides> read_overrides(const Options& options) {
  Overrides overrides;
  PGW_DO(add_listeners(options.session, Mode::session, overrides));
  PGW_DO(add_listeners(options.transaction, Mode::transaction, overrides));
  overrides.settings = options.settings;
  for (const std::string& one : options.set) {
    const auto equals = one.find('=');
    if (equals == one.npos)
      return fail(Code::configuration, "--set {}: expected NAME=VALUE, such as pool_size=10", one);
    overrides.settings.emplace_back(one.substr(0, equals), one.substr(equals + 1));
  }
  config::Settings scratch;
  for (const auto& [name, value] : overrides.settings) {
    const config::Row* row = config::find_row(name);
    if (!row)
      return fail(Code::configuration, "--set {}: no such setting; `pgweir config` lists them",
                  name);
    if ((row->scopes & config::GLOBAL) == 0)
      return fail(Code::configuration, "--set {}: it is a setting of single sections of a file",
                  name);
    PGW_DO(set_any(*row, scratch, value));
  }
  return overrides;
}

// The one setting that other settings follow: it cannot wait until the file is read.
std::string_view preset_of(const Overrides& overrides) {
  std::string_view preset;
  for (const auto& [name, value] : overrides.settings)
    if (name == "preset") preset = value;
  return preset;
}

Result<config::SnapshotPtr> read_source(const Command& command) {
  const auto preset = preset_of(command.overrides);
  if (command.url.empty()) return config::load(command.config_path, nullptr, preset);
  auto snapshot = config::from_url(command.url, preset);
  if (snapshot) return snapshot;
  return fail(Code::configuration, "the URL: {}", snapshot.error().what());
}

Command serve_command(const Options& options) {
  if (!options.url.empty() && !options.file.empty())
    return wrong("serve takes a URL or --config FILE, not both");
  if (options.url.empty() && options.file.empty())
    return wrong("serve needs a URL (postgresql://user:password@host/dbname) or --config FILE");
  Command command;
  command.url = options.url;
  command.config_path = options.file;
  auto overrides = read_overrides(options);
  if (!overrides) return wrong(overrides.error().what());
  command.overrides = std::move(*overrides);
  auto snapshot = read_again(command);
  if (!snapshot) return answer(snapshot.error().what(), kWrongUsage);
  command.kind = Command::Kind::serve;
  command.snapshot = std::move(*snapshot);
  return command;
}

// What the file says, with the options on top. An app of the command line comes in addition, or in
// place of the file's of that name.
Result<config::Demand> read_demand(const Options& options) {
  config::Demand demand;
  if (!options.file.empty()) {
    PGW_TRY(read, config::load_demand(options.file));
    demand = std::move(read);
  }
  const std::pair<std::string_view, const std::string&> top[] = {{"limit", options.limit},
                                                                 {"reserved", options.reserved},
                                                                 {"host", options.host},
                                                                 {"database", options.database}};
  for (const auto& [name, value] : top)
    if (!value.empty()) PGW_DO(config::set_demand(demand, name, value));
  std::vector<config::PlannedApp> given;
  for (const std::string& one : options.apps) {
    PGW_TRY(app, config::parse_app(one));
    std::erase_if(demand.apps, [&](const auto& other) { return other.name == app.name; });
    given.push_back(std::move(app));
  }
  demand.apps.insert(demand.apps.end(), given.begin(), given.end());
  PGW_DO(check_demand(demand));
  return demand;
}

Command plan_command(const Options& options) {
  const auto demand = read_demand(options);
  if (!demand) return wrong(demand.error().what());
  const auto plan = make_plan(*demand);
  const int code = plan.through ? kOk : kFailed;
  if (options.json) return answer(plan_json(*demand, plan), code);
  if (options.toml && plan.through) return answer(plan_toml(*demand, plan), code);
  return answer(plan_text(*demand, plan), code);
}

Command check_command(const Options& options) {
  const auto snapshot = config::load(options.file);
  if (!snapshot) return answer(snapshot.error().what(), kWrongUsage);
  const auto& users = (*snapshot)->auth.file;
  if (!users.empty()) {
    const auto read = auth::load_userlist(users);
    if (!read)
      return answer(fmt::format("{}: [auth] file: {}", options.file, read.error().what()),
                    kWrongUsage);
  }
  std::string text = options.file + ": OK";
  if (const std::string preset = config::explain_preset(**snapshot); !preset.empty())
    text += "\n" + preset;
  for (const std::string& warning : warnings(**snapshot)) text += "\nwarning: " + warning;
  return answer(std::move(text), kOk);
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv) {
  Options options;
  CLI::App app("A PostgreSQL connection pooler: session semantics at transaction-mode density.",
               "pgweir");
  app.set_version_flag("--version", "pgweir " PGW_VERSION);
  app.require_subcommand(1);
  CLI::App* serve = app.add_subcommand("serve", "Accept clients and pass them on to PostgreSQL.");
  add_serve(*serve, options);
  CLI::App* check = app.add_subcommand("check", "Say what is wrong in a configuration file.");
  check->add_option("file", options.file, "the configuration file")->required()->type_name("FILE");
  CLI::App* config = app.add_subcommand("config", "Print all settings with their documentation.");
  config->add_flag("--markdown", options.markdown, "as docs/settings.md");
  CLI::App* plan = app.add_subcommand("plan", "Divide the connections of a PostgreSQL among apps.");
  add_plan(*plan, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, err;
    const bool asked = app.exit(error, out, err) == 0;
    return answer(asked ? out.str() : "pgweir: " + err.str(), asked ? kOk : kWrongUsage);
  }
  if (serve->parsed()) return serve_command(options);
  if (check->parsed()) return check_command(options);
  if (plan->parsed()) return plan_command(options);
  return answer(options.markdown ? config::print_markdown() : config::print_settings(), kOk);
}

config::SnapshotPtr overridden(const Overrides& overrides, const config::SnapshotPtr& snapshot) {
  auto next = std::make_shared<config::Snapshot>(*snapshot);
  for (const Mode mode : {Mode::session, Mode::transaction}) {
    const auto same = [&](const config::Listen& listen) { return listen.mode == mode; };
    if (std::ranges::any_of(overrides.listen, same)) std::erase_if(next->listen, same);
  }
  next->listen.insert(next->listen.end(), overrides.listen.begin(), overrides.listen.end());
  for (const auto& [name, value] : overrides.settings) {
    const config::Row& row = *config::find_row(name);
    // They were tried when the command line was read.
    (void)set_any(row, next->settings, value);
    for (auto& [key, database] : next->databases) (void)set_any(row, database.settings, value);
    for (auto* overlays : {&next->users, &next->apps, &next->hosts})
      for (auto& [key, overlay] : *overlays)
        if ((row.scopes & config::EACH) == 0) std::erase(overlay.given, &row);
  }
  for (const config::Loop loop :
       {config::Loop::automatic, config::Loop::io_uring, config::Loop::epoll})
    if (next->settings.loop == text(loop)) next->loop = loop;
  return next;
}

Result<config::SnapshotPtr> read_again(const Command& command) {
  PGW_TRY(snapshot, read_source(command));
  auto next = overridden(command.overrides, snapshot);
  // The kernel would let both listen (SO_REUSEPORT) and give each client to either.
  for (std::size_t i = 0; i < next->listen.size(); ++i) {
    const auto& [address, mode, app] = next->listen[i];
    for (std::size_t k = 0; k < i && !address.ends_with(":0"); ++k)
      if (next->listen[k].address == address)
        return fail(
            Code::configuration,
            "{} is listened on twice ({} and {}); pass another with --session or --transaction",
            address, text(next->listen[k].mode), text(mode));
  }
  return next;
}

}  // namespace pgw::daemon

#include "daemon/cli.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace pgw::daemon {
namespace {

using config::Listen;
using config::Mode;

Command run(std::vector<const char*> words) {
  words.insert(words.begin(), "pgweir");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

// A configuration file that is gone when the test ends.
class File {
 public:
  explicit File(std::string_view text)
      : path_(std::filesystem::temp_directory_path() / fmt::format("pgweir-cli-{}", ::getpid())) {
    write(text);
  }
  ~File() { std::filesystem::remove(path_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  void write(std::string_view text) const { std::ofstream(path_) << text; }
  const char* path() const { return path_.c_str(); }

 private:
  std::filesystem::path path_;
};

constexpr std::string_view kFile =
    "pool_size = 5\n[databases.a]\nurl = \"postgresql://h\"\npool_size = 6\n";

TEST(CommandLine, ServesAUrl) {
  const Command command = run({"serve", "postgresql://u:p@h/d"});
  ASSERT_EQ(command.kind, Command::Kind::serve) << command.text;
  EXPECT_EQ(command.snapshot->listen, config::default_listeners());
  EXPECT_EQ(command.snapshot->find("d")->upstream.host, "h");
  EXPECT_EQ(command.snapshot->auth.users.size(), 1u);
  EXPECT_EQ(command.config_path, "");
}

TEST(CommandLine, OverridesWinOverSectionsOfUsersAndApps) {
  const File file(
      std::string(kFile) +
      "[apps.w]\non_lock = \"warn\"\non_listen = \"warn\"\n[users.u]\non_cursor = \"warn\"\n");
  const Command command = run({"serve", "--config", file.path(), "--set", "on_lock=error"});
  ASSERT_EQ(command.kind, Command::Kind::serve) << command.text;
  const config::Snapshot& snapshot = *command.snapshot;
  const config::Settings settings = snapshot.settings_for(*snapshot.find("a"), "u", "w");
  EXPECT_EQ(settings.on_lock, "error");
  EXPECT_EQ(settings.on_listen, "warn");
  EXPECT_EQ(settings.on_cursor, "warn");
}

TEST(CommandLine, OverridesWin) {
  const Command command =
      run({"serve", "postgresql://h/d", "--transaction", "7000", "--transaction", "[::1]:7000",
           "--http", ":9000", "--workers", "3", "--loop", "epoll", "--log-level", "debug", "--set",
           "pool_size=4", "--set=pool_timeout=5s"});
  ASSERT_EQ(command.kind, Command::Kind::serve) << command.text;
  const std::vector<Listen> listen = {{"127.0.0.1:5432", Mode::session},
                                      {"127.0.0.1:7000", Mode::transaction},
                                      {"[::1]:7000", Mode::transaction}};
  EXPECT_EQ(command.snapshot->listen, listen);
  const config::Settings& settings = command.snapshot->settings;
  EXPECT_EQ(settings.http, "*:9000");
  EXPECT_EQ(settings.workers, 3u);
  EXPECT_EQ(command.snapshot->loop, config::Loop::epoll);
  EXPECT_EQ(settings.log_level, "debug");
  EXPECT_EQ(settings.pool_size, 4u);
  EXPECT_EQ(command.snapshot->find("x")->settings.pool_size, 4u);
  EXPECT_EQ(command.snapshot->find("x")->settings.pool_timeout, std::chrono::seconds(5));
  EXPECT_EQ(run({"serve", "postgresql://h/d", "--http", ""}).snapshot->settings.http, "");
}

TEST(CommandLine, OverridesOutliveAReload) {
  const File file(kFile);
  const Command command = run(
      {"serve", "--config", file.path(), "--session", "127.0.0.1:7000", "--set", "max_overflow=2"});
  ASSERT_EQ(command.kind, Command::Kind::serve) << command.text;
  EXPECT_EQ(command.config_path, file.path());
  EXPECT_EQ(command.snapshot->find("a")->settings.pool_size, 6u);
  file.write("[databases.b]\nurl = \"postgresql://h\"\npool_size = 8\nmax_overflow = 1\n");
  const auto again = read_again(command);
  ASSERT_TRUE(again) << again.error().what();
  EXPECT_EQ((*again)->find("a"), nullptr);
  EXPECT_EQ((*again)->find("b")->settings.pool_size, 8u);
  EXPECT_EQ((*again)->find("b")->settings.max_overflow, 2u);
  EXPECT_EQ((*again)->listen[1], (Listen{"127.0.0.1:7000", Mode::session}));
  file.write("x = 1\n");
  EXPECT_FALSE(read_again(command));
}

TEST(CommandLine, PresetComesBeforeWhatIsSetBesidesIt) {
  const Command command =
      run({"serve", "postgresql://h/d", "--set", "max_overflow=1", "--set", "preset=small"});
  ASSERT_EQ(command.kind, Command::Kind::serve) << command.text;
  EXPECT_EQ(command.snapshot->find("d")->settings.pool_size, 25u);
  EXPECT_EQ(command.snapshot->find("d")->settings.max_overflow, 1u);
  const File file("preset = \"free-tier\"\n" + std::string(kFile));
  const Command other = run({"serve", "--config", file.path(), "--set", "preset=production"});
  ASSERT_EQ(other.kind, Command::Kind::serve) << other.text;
  EXPECT_EQ(other.snapshot->settings.pool_size, 5u);
  EXPECT_EQ(other.snapshot->settings.max_clients, 10'000u);
  EXPECT_EQ(other.snapshot->settings.max_overflow, 70u);
  EXPECT_TRUE(run({"check", file.path()}).text.contains("\n  pool_size = 6 (the file: 5, "));
  // A reload reads the file's preset anew.
  const Command plain = run({"serve", "--config", file.path()});
  file.write("preset = \"small\"\n" + std::string(kFile));
  EXPECT_EQ((*read_again(plain))->settings.max_overflow, 20u);
  EXPECT_EQ((*read_again(other))->settings.max_overflow, 70u);
}

TEST(CommandLine, AnswersAndLeaves) {
  const File file(kFile);
  const Command version = run({"--version"});
  EXPECT_EQ(version.text, "pgweir 0.1.0\n");
  EXPECT_EQ(version.exit_code, kOk);
  EXPECT_TRUE(run({"--help"}).text.contains("serve"));
  EXPECT_EQ(run({"serve", "--help"}).exit_code, kOk);
  EXPECT_TRUE(run({"config"}).text.contains("pool_size = 20"));
  EXPECT_TRUE(run({"config", "--markdown"}).text.starts_with("# Settings\n"));
  EXPECT_EQ(run({"check", file.path()}).text, fmt::format("{}: OK\n", file.path()));
  for (const Command& command : {version, run({"config"}), run({"check", file.path()})})
    EXPECT_EQ(command.kind, Command::Kind::answer);
  file.write("x = 1\n[databases.a]\nurl = \"postgresql://h\"\n");
  const Command wrong = run({"check", file.path()});
  EXPECT_EQ(wrong.exit_code, kWrongUsage);
  EXPECT_EQ(wrong.text, fmt::format("{}:1:1: unknown key \"x\"\n", file.path()));
}

TEST(CommandLine, PlansFromOptionsAndAFile) {
  const File file("limit = 15\n[apps.a]\npool = 3\n[apps.b]\npool = 4\noverflow = 0\n");
  const Command plan = run({"plan", file.path(), "--app", "a:pool=6,overflow=0", "--limit", "30",
                            "--reserved", "2", "--host", "db", "--database", "shop"});
  EXPECT_EQ(plan.exit_code, kOk) << plan.text;
  EXPECT_TRUE(plan.text.starts_with("PostgreSQL at db:5432: 30 connections, 2 of them reserved"));
  EXPECT_TRUE(plan.text.contains("together  10 against 28: fits\n")) << plan.text;
  EXPECT_TRUE(plan.text.contains("\n[databases.shop]\n")) << plan.text;
  const Command json = run({"plan", "--app", "a", "--app", "b", "--limit", "30", "--json"});
  EXPECT_TRUE(json.text.starts_with("{\"host\": ")) << json.text;
}

TEST(CommandLine, RefusesWrongUsage) {
  const File file(kFile);
  const std::vector<std::vector<const char*>> all = {
      {},
      {"dance"},
      {"serve"},
      {"serve", "h/d"},
      {"serve", "postgresql://h/d", "--config", file.path()},
      {"serve", "--config", "/nonexistent"},
      {"serve", "postgresql://h/d", "--sesion", "7000"},
      {"serve", "postgresql://h/d", "--session"},
      {"serve", "postgresql://h/d", "--session", "x"},
      {"serve", "postgresql://h/d", "--session", "6543"},  // the default of --transaction
      {"serve", "postgresql://h/d", "--workers", "257"},
      {"serve", "postgresql://h/d", "--workers", "many"},
      {"serve", "postgresql://h/d", "--loop", "kqueue"},
      {"serve", "postgresql://h/d", "--log-level", "loud"},
      {"serve", "postgresql://h/d", "--http", "8080x"},
      {"serve", "postgresql://h/d", "--set", "pool_size"},
      {"serve", "postgresql://h/d", "--set", "pool_sise=3"},
      {"serve", "postgresql://h/d", "--set", "pool_size=0"},
      {"plan"},
      {"plan", "--limit", "15"},
      {"plan", "--app", "a"},
      {"plan", "--app", "a:pool=x", "--limit", "15"},
      {"plan", "--app", "a", "--app", "a", "--limit", "15"},
      {"plan", "--app", "a", "--limit", "many"},
      {"plan", "--app", "a", "--limit", "15", "--reserved", "15"},
      {"plan", "--app", "a", "--limit", "15", "--host", "h:x"},
      {"plan", "/nonexistent", "--app", "a", "--limit", "15"},
      {"check"},
      {"check", "/nonexistent"},
  };
  for (const auto& words : all) {
    const Command command = run(words);
    const std::string shown = words.empty() ? "(nothing)" : words.back();
    EXPECT_EQ(command.kind, Command::Kind::answer) << shown;
    EXPECT_EQ(command.exit_code, kWrongUsage) << shown;
    EXPECT_FALSE(command.text.empty()) << shown;
    EXPECT_FALSE(command.snapshot) << shown;
  }
}

}  // namespace
}  // namespace pgw::daemon

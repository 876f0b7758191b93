#include "config/file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/print.h"
#include "config/reload.h"
#include "config/zero.h"

namespace pgw::config {
namespace {

constexpr std::string_view kSample = R"(workers = 2                      # default: one per core
loop = "auto"                    # auto | io_uring | epoll

[[listen]]
address = "127.0.0.1:5432"
mode = "session"
[[listen]]
address = "127.0.0.1:6543"
mode = "transaction"

[auth]
method = "scram-sha-256"         # trust | password | md5 | scram-sha-256
file = "users.txt"               # PgBouncer's userlist.txt format: )"
                                     R"(plain, md5 and SCRAM-SHA-256 secrets

[databases.shop]
url = "postgresql://postgres:secret@127.0.0.1:5433/shop"   )"
                                     R"(# user and password optional: then the client's own
pool_size = 10
max_overflow = 5
pool_timeout = "30s"
pool_recycle = "5m"
[databases."*"]                  # any other name, same name upstream
url = "postgresql://127.0.0.1:5433"
)";

const std::string kAny = "[databases.\"*\"]\nurl = \"postgresql://h\"\n";

SnapshotPtr good(std::string_view text) {
  auto snapshot = parse(text, "pgweir.toml");
  EXPECT_TRUE(snapshot) << snapshot.error().what();
  return snapshot ? *snapshot : nullptr;
}

// The one problem of a text that has one, as it is shown.
std::string problem(std::string_view text) {
  std::vector<Problem> problems;
  const auto snapshot = parse(text, "f", &problems);
  EXPECT_FALSE(snapshot) << text;
  EXPECT_EQ(problems.size(), 1u) << text << "\n" << (snapshot ? "" : snapshot.error().what());
  return problems.empty() ? "" : problems.front().full();
}

TEST(File, ReadsTheSample) {
  const auto snapshot = good(kSample);
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->settings.workers, 2u);
  EXPECT_EQ(snapshot->loop, Loop::automatic);
  const std::vector<Listen> listen = {{"127.0.0.1:5432", Mode::session},
                                      {"127.0.0.1:6543", Mode::transaction}};
  EXPECT_EQ(snapshot->listen, listen);
  EXPECT_EQ(snapshot->auth.method, AuthMethod::scram_sha_256);
  EXPECT_EQ(snapshot->auth.file, "users.txt");
  ASSERT_EQ(snapshot->databases.size(), 2u);
  const Database& shop = *snapshot->find("shop");
  EXPECT_EQ(shop.name, "shop");
  EXPECT_EQ(shop.upstream, (Upstream{"127.0.0.1", 5433, "shop", "postgres", "secret", {}}));
  EXPECT_EQ(shop.settings.pool_size, 10u);
  EXPECT_EQ(shop.settings.max_overflow, 5u);
  EXPECT_EQ(shop.settings.pool_timeout, 30s);
  EXPECT_EQ(shop.settings.pool_recycle, 5min);
  const Database& any = *snapshot->find("anything");
  EXPECT_EQ(any.name, "*");
  EXPECT_EQ(any.upstream, (Upstream{"127.0.0.1", 5433, "", "", {}, {}}));
  EXPECT_EQ(any.settings.pool_size, Settings{}.pool_size);
}

TEST(File, HasSafeDefaults) {
  const auto snapshot = good(kAny);
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->listen, default_listeners());
  EXPECT_EQ(snapshot->auth, Auth{});
  EXPECT_EQ(snapshot->settings, Settings{});
  EXPECT_TRUE(warnings(*snapshot).empty());
}

TEST(File, TopSettingsAreDefaultsOfDatabases) {
  const auto snapshot = good(
      "pool_size = 7\nmax_message = \"64MB\"\n[databases.a]\nurl = \"postgresql://h\"\n"
      "[databases.b]\npool_size = 9\nurl = \"postgresql://h\"\n");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->find("a")->settings.pool_size, 7u);
  EXPECT_EQ(snapshot->find("b")->settings.pool_size, 9u);
  EXPECT_EQ(snapshot->find("b")->settings.max_message, Size{64} << 20);
  EXPECT_EQ(snapshot->find("c"), nullptr);
}

TEST(File, KeyWinsOverTheTimeoutOfTheUrl) {
  const auto snapshot = good(
      "connect_timeout = 1\n[databases.a]\nurl = \"postgresql://h?connect_timeout=3\"\n"
      "[databases.b]\nconnect_timeout = \"2s\"\nurl = \"postgresql://h?connect_timeout=3\"\n");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->find("a")->settings.connect_timeout, 3s);
  EXPECT_EQ(snapshot->find("b")->settings.connect_timeout, 2s);
}

TEST(File, SaysWhereAndWhatWasExpected) {
  const std::pair<std::string_view, std::string_view> all[] = {
      {"pool_sise = 3\n", "f:1:1: unknown key \"pool_sise\"; did you mean pool_size?"},
      {"  colour = 3\n", "f:1:3: unknown key \"colour\""},
      {"default_pool_size = 3\n",
       "f:1:1: unknown key \"default_pool_size\"; did you mean pool_size?"},
      {"databasse = 3\n", "f:1:1: unknown key \"databasse\"; did you mean databases?"},
      {"method = \"md5\"\n", "f:1:1: unknown key \"method\"; did you mean method in [auth]?"},
      {"url = \"x\"\n", "f:1:1: unknown key \"url\"; did you mean url in [databases.NAME]?"},
      {"pool_size = 0\n", "f:1:13: pool_size is 0; expected an integer from 1 to 100000"},
      {"pool_size = -1\n", "f:1:13: pool_size is -1; expected an integer from 1 to 100000"},
      {"pool_size = \"3\"\n", "f:1:13: pool_size is \"3\"; expected an integer from 1 to 100000"},
      {"pool_size = 3.5\n",
       "f:1:13: pool_size is a number with a fraction; expected an integer from 1 to 100000"},
      {"pool_timeout = \"3 days\"\n",
       "f:1:16: pool_timeout is \"3 days\"; expected a time from 1ms to 1d, such as \"30s\" or an "
       "integer (seconds)"},
      {"pool_timeout = true\n",
       "f:1:16: pool_timeout is true or false; expected a time from 1ms to 1d, such as \"30s\" or "
       "an "
       "integer (seconds)"},
      {"max_message = 1023\n",
       "f:1:15: max_message is 1023; expected a size from 1kB to 1073741823, such as \"64MB\" or "
       "an "
       "integer (bytes)"},
      {"loop = \"epol\"\n",
       "f:1:8: loop is \"epol\"; expected auto, io_uring or epoll; did you mean \"epoll\"?"},
      {"log_level = 3\n", "f:1:13: log_level is 3; expected trace, debug, info, warning or error"},
      {"http = \"8080x\"\n",
       "f:1:8: \"8080x\" has no port from 0 to 65535; expected \"127.0.0.1:5432\", \"[::1]:5432\", "
       "\"*:5432\" or the path of a Unix socket"},
      {"listen = 3\n", "f:1:10: listen is an integer; expected [[listen]] with address and mode"},
      {"auth = 3\n", "f:1:8: auth is an integer; expected [auth] with method and file"},
      {"[[listen]]\naddress = \"1\"\nmode = \"statement\"\n",
       "f:3:8: mode is \"statement\"; expected session or transaction"},
      {"[[listen]]\naddress = \"1\"\n", "f:1:1: [[listen]] has no mode"},
      {"[[listen]]\nmode = \"session\"\n", "f:1:1: [[listen]] has no address"},
      {"[[listen]]\nmode = \"session\"\naddress = \"1\"\nport = 3\n",
       "f:4:1: unknown key \"port\" in [[listen]]"},
      {"[auth]\nfile = \"x\"\n",
       "f:1:1: [auth] has no method; expected trust, password, md5 or scram-sha-256"},
      {"[auth]\nmethod = \"scram\"\n",
       "f:2:10: method is \"scram\"; expected trust, password, md5 or scram-sha-256"},
      {"[auth]\nmethod = \"scram-sha-26\"\n",
       "f:2:10: method is \"scram-sha-26\"; expected trust, password, md5 or scram-sha-256; did "
       "you "
       "mean \"scram-sha-256\"?"},
      {"[auth]\nmethod = \"md5\"\n",
       "f:2:10: method \"md5\" needs secrets; expected file = \"users.txt\""},
      {"[auth]\nmethod = \"md5\"\nfile = 3\n",
       "f:3:8: file is an integer; expected the path of a file of users and secrets"},
      {"[databases.a]\npool_size = 3\n", "f:1:1: database \"a\" has no url"},
      {"[databases.a]\nurl = 3\n",
       "f:2:7: url is an integer; expected \"postgresql://user:password@host:port/dbname\""},
      {"[databases.a]\nurl = \"postgresql://a,b\"\n",
       "f:2:7: url: several hosts are not supported; expected one host"},
      {"[databases.a]\nurl = \"postgresql://a\"\nlogin_timeout = 3\n",
       "f:3:1: login_timeout is not a setting of one database; expected it at the top of the file"},
      {"[databases.a]\nurl = \"postgresql://a\"\npool_tiemout = 3\n",
       "f:3:1: unknown key \"pool_tiemout\" in [databases.NAME]; did you mean pool_timeout?"},
      {"[databases]\na = 3\n", "f:2:5: databases.a is an integer; expected [databases.a] with url"},
  };
  for (const auto& [text, says] : all) {
    // Those that are not about databases get one, at the end.
    const std::string whole =
        std::string(text) + (text.contains("databases") ? std::string() : kAny);
    EXPECT_EQ(problem(whole), says) << text;
  }
}

TEST(File, FindsAllProblemsInOrder) {
  std::vector<Problem> problems;
  const auto snapshot =
      parse("pool_size = 0\nlop = 1\n[databases.a]\nurl = \"x\"\n[auth]\nmethod = \"md6\"\n", "f",
            &problems);
  ASSERT_FALSE(snapshot);
  std::vector<std::uint32_t> lines;
  for (const Problem& one : problems) lines.push_back(one.line);
  EXPECT_EQ(lines, (std::vector<std::uint32_t>{1, 2, 4, 6}));
  EXPECT_EQ(std::ranges::count(snapshot.error().what(), '\n'), 3);
}

TEST(File, RefusesDuplicates) {
  EXPECT_TRUE(problem("a = 1\na = 2\n").starts_with("f:2:"));
  EXPECT_TRUE(problem("[databases.a]\n[databases.a]\n").starts_with("f:2:"));
  EXPECT_EQ(problem("[[listen]]\naddress = \":1\"\nmode = \"session\"\n"
                    "[[listen]]\naddress = \"*:1\"\nmode = \"transaction\"\n" +
                    kAny),
            "f:5:11: address *:1 is in the file twice");
  // Port 0 is another one each time.
  good(
      "[[listen]]\naddress = \"0\"\nmode = \"session\"\n[[listen]]\naddress = \"0\"\n"
      "mode = \"session\"\n" +
      kAny);
}

TEST(File, RefusesWhatIsNotToml) {
  EXPECT_TRUE(problem("pool_size = \n").starts_with("f:1:"));
  EXPECT_TRUE(problem("a = [1,\n\nb = 2\n").starts_with("f:3:"));
  EXPECT_TRUE(problem("a = \"\xFF\"\n").starts_with("f:1:"));
  EXPECT_TRUE(problem("[[[a]]]\n").starts_with("f:1:3: "));
  EXPECT_TRUE(problem(std::string(100'000, '[')).starts_with("f:1:"));
  EXPECT_TRUE(problem("na\u00EFve = 3\n").starts_with("f:1:3: "));
  EXPECT_TRUE(problem("u\u00AD = 3\n").starts_with("f:1:2: "));
  EXPECT_TRUE(problem("").starts_with("f: there is no database"));
  EXPECT_TRUE(problem("[databases]\n").contains("databases is empty"));
}

TEST(File, IsLoadedFromItsFolder) {
  std::string name = testing::TempDir() + "pgweir-XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(name.data());
  const auto path = folder / "pgweir.toml";
  std::ofstream(path) << kSample;
  const auto snapshot = load(path.string());
  ASSERT_TRUE(snapshot) << snapshot.error().what();
  EXPECT_EQ((*snapshot)->auth.file, (folder / "users.txt").string());
  EXPECT_FALSE(load(folder.string()));
  std::filesystem::remove_all(folder);
  const auto gone = load(path.string());
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().what(), path.string() + ": cannot open it: No such file or directory");
  EXPECT_EQ((*parse("[auth]\nmethod = \"md5\"\nfile = \"/etc/u\"\n" + kAny, "/a/f"))->auth.file,
            "/etc/u");
}

TEST(Zero, TakesPasswordFromTheUrl) {
  const auto snapshot = from_url("postgresql://u:p@h:7/d?connect_timeout=3");
  ASSERT_TRUE(snapshot);
  const Snapshot& it = **snapshot;
  EXPECT_EQ(it.listen, default_listeners());
  EXPECT_EQ(it.auth.method, AuthMethod::scram_sha_256);
  EXPECT_EQ(it.auth.users, (std::vector<std::pair<std::string, std::string>>{{"u", "p"}}));
  EXPECT_EQ(it.find("d")->upstream, (Upstream{"h", 7, "d", "u", "p", {}}));
  EXPECT_EQ(it.find("e")->upstream, (Upstream{"h", 7, "", "u", "p", {}}));
  EXPECT_EQ(it.find("e")->settings.connect_timeout, 3s);
}

TEST(Zero, TrustsWhenThereIsNothingToCheck) {
  for (const std::string_view url :
       {"postgresql://h", "postgresql://u@h/d", "postgresql://:p@h/d"}) {
    const auto snapshot = from_url(url);
    ASSERT_TRUE(snapshot) << url;
    EXPECT_EQ((*snapshot)->auth, Auth{}) << url;
    EXPECT_EQ((*snapshot)->databases.size(), url.ends_with("/d") ? 2u : 1u) << url;
  }
  EXPECT_FALSE(from_url("h"));
}

TEST(Snapshot, WarnsOfOpenDoors) {
  const auto open = good("[[listen]]\naddress = \"*:5432\"\nmode = \"session\"\n" + kAny);
  ASSERT_EQ(warnings(*open).size(), 1u);
  EXPECT_TRUE(warnings(*open)[0].starts_with("*:5432 is open to the network"));
  const auto peer = from_url("postgresql:///d?host=/run/postgresql");
  EXPECT_EQ(warnings(**peer).size(), 2u);
  EXPECT_TRUE(warnings(**from_url("postgresql://u:p@/d?host=/run/postgresql")).empty());
}

TEST(Reload, NamesWhatNeedsRestart) {
  const auto before = good(kAny);
  const auto after = good(
      "workers = 3\npool_size = 9\nlog_level = \"debug\"\nloop = \"epoll\"\n"
      "[[listen]]\naddress = \"1\"\nmode = \"session\"\n" +
      kAny);
  EXPECT_EQ(needs_restart(*before, *after),
            (std::vector<std::string>{"workers", "loop", "listen"}));
  EXPECT_TRUE(needs_restart(*after, *after).empty());
  EXPECT_EQ(after->loop, Loop::epoll);
}

TEST(Print, NamesEverySetting) {
  for (const std::string& text : {print_settings(), print_markdown()})
    for (const Row& row : rows()) {
      EXPECT_NE(text.find(row.name), std::string::npos) << row.name;
      EXPECT_NE(text.find(row.help), std::string::npos) << row.name;
    }
}

// The settings that hold for an app of a user in a database.
Settings settings_for(const Snapshot& snapshot, std::string_view database, std::string_view user,
                      std::string_view app) {
  return snapshot.settings_for(*snapshot.find(database), user, app);
}

TEST(Scopes, TheMostSpecificWins) {
  const auto snapshot = good(R"(on_lock = "warn"
on_cursor = "warn"
on_listen = "warn"
on_setting = "warn"
[apps.worker]
on_lock = "ignore"
[users.alice]
on_lock = "error"
on_cursor = "ignore"
[databases.shop]
url = "postgresql://h"
on_lock = "pin"
on_cursor = "pin"
on_listen = "error"
[databases."*"]
url = "postgresql://h"
)");
  ASSERT_TRUE(snapshot);
  const Settings all = settings_for(*snapshot, "shop", "alice", "worker");
  EXPECT_EQ(all.on_lock, "ignore");
  EXPECT_EQ(all.on_cursor, "ignore");
  EXPECT_EQ(all.on_listen, "error");
  EXPECT_EQ(all.on_setting, "warn");
  EXPECT_EQ(all.on_sequence, "ignore");
  EXPECT_EQ(settings_for(*snapshot, "shop", "alice", "other").on_lock, "error");
  EXPECT_EQ(settings_for(*snapshot, "shop", "bob", "").on_lock, "pin");
  EXPECT_EQ(settings_for(*snapshot, "bookings", "bob", "").on_lock, "warn");
  EXPECT_EQ(settings_for(*snapshot, "bookings", "bob", "worker").on_lock, "ignore");
}

TEST(Scopes, TheStarIsForThoseWithoutASection) {
  const auto snapshot = good(kAny + R"([users."*"]
on_lock = "warn"
on_listen = "warn"
[users.alice]
on_lock = "error"
[apps."*"]
on_cursor = "error"
[apps.""]
on_cursor = "ignore"
)");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(settings_for(*snapshot, "x", "bob", "a").on_lock, "warn");
  EXPECT_EQ(settings_for(*snapshot, "x", "alice", "a").on_lock, "error");
  EXPECT_EQ(settings_for(*snapshot, "x", "alice", "a").on_listen,
            "pin");  // hers is another section
  EXPECT_EQ(settings_for(*snapshot, "x", "bob", "a").on_cursor, "error");
  EXPECT_EQ(settings_for(*snapshot, "x", "bob", "").on_cursor, "ignore");
}

TEST(Apps, TermsAreOfTheAppAlone) {
  const auto snapshot = good(kAny + R"([apps.worker]
pool_size = 3
max_overflow = 2
min = 1
weight = 4
priority = "background"
max_clients = 7
max_waiting = 9
pool_timeout = "5s"
[apps."*"]
max_clients = 2
[users.alice]
max_clients = 6
app = "reports"
)");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->terms_of("worker"), (AppTerms{5, 7, 9, 1, 4, true}));
  EXPECT_EQ(snapshot->terms_of("other"), (AppTerms{{}, 2, 0, 0, 1, false}));
  const Settings set = settings_for(*snapshot, "x", "alice", "worker");
  EXPECT_EQ(set.pool_size, Settings{}.pool_size) << "it is the size of a pool, not the app's limit";
  EXPECT_EQ(set.max_clients, Settings{}.max_clients);
  EXPECT_EQ(set.pool_timeout, 5s);
  EXPECT_EQ(set.app, "reports");
  EXPECT_EQ(snapshot->max_clients_of("alice"), 6u);
  EXPECT_FALSE(snapshot->max_clients_of("bob"));
  EXPECT_EQ(snapshot->app_section("worker"), "[apps.worker]");
  EXPECT_EQ(snapshot->app_section("what else"), "[apps.\"*\"]");
  EXPECT_EQ(snapshot->user_section("bob b"), "[users.\"bob b\"]");
}

TEST(Apps, WarnsOfPromisesThatCannotBeKept) {
  const auto snapshot = good(
      "pool_size = 4\n[apps.a]\nmin = 3\npool_size = 2\n[apps.b]\nmin = 1\n"
      "[databases.x]\nurl = \"postgresql://h\"\n[auth]\nmethod = \"trust\"\n");
  ASSERT_TRUE(snapshot);
  const auto found = warnings(*snapshot);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0], "[apps.a]: min is 3, and the app may hold 2 servers only");
  EXPECT_EQ(
      found[1],
      "database \"x\": the apps' min are 4 servers together, and a pool there has 4: not all of "
      "it can be kept");
}

TEST(Apps, WhatIsWrongInThem) {
  EXPECT_EQ(problem("min = 3\n" + kAny),
            "f:1:1: min is not a setting of everything; expected it in [apps.NAME]");
  EXPECT_EQ(problem(kAny + "[apps.a]\nmax_overflow = 3\n"),
            "f:4:16: max_overflow of an app is beyond its pool_size; expected that, too");
  EXPECT_EQ(problem(kAny + "[apps.a]\nweight = 0\n"),
            "f:4:10: weight is 0; expected an integer from 1 to 1000");
}

TEST(Scopes, WhatIsWrongInThem) {
  EXPECT_EQ(problem(kAny + "[users.alice]\npool_size = 3\n"),
            "f:4:1: pool_size is not a setting of one user; expected it at the top of the file, in "
            "[databases.NAME] or in [apps.NAME]");
  EXPECT_EQ(problem(kAny + "[apps.\"*\"]\nworkers = 3\n"),
            "f:4:1: workers is not a setting of one app; expected it at the top of the file");
  EXPECT_EQ(problem(kAny + "[apps.worker]\non_lok = \"pin\"\n"),
            "f:4:1: unknown key \"on_lok\" in [apps.NAME]; did you mean on_lock?");
  EXPECT_EQ(problem(kAny + "[users.a]\nurl = \"postgresql://h\"\n"),
            "f:4:1: unknown key \"url\" in [users.NAME]; did you mean url in [databases.NAME]?");
  EXPECT_EQ(problem(kAny + "[apps.worker]\non_lock = \"eror\"\n"),
            "f:4:11: on_lock is \"eror\"; expected pin, warn, error or ignore; did you mean "
            "\"error\"?");
  EXPECT_EQ(problem("apps = 5\n" + kAny),
            "f:1:8: apps is an integer; expected [apps.NAME] with "
            "settings");
  EXPECT_EQ(problem("apps.worker = 5\n" + kAny),
            "f:1:15: apps.worker is an integer; expected [apps.worker] with settings");
  EXPECT_EQ(problem(kAny + "[users.\"\"]\n"), "f:3:8: a user has a name, or is \"*\"");
  EXPECT_EQ(problem(kAny + "[user.a]\n"), "f:3:2: unknown key \"user\"; did you mean users?");
}

TEST(File, HostsHaveLimitsOfTheirOwn) {
  const auto snapshot = good("reserve = 2\n" + kAny +
                             "max_connections = 9\n"
                             "[hosts.h]\nmax_connections = 60\nhost_red = 90\n"
                             "[hosts.\"[::1]:5433\"]\nmax_connections = 15\nreserve = 3\n"
                             "[hosts.\"*\"]\nmax_connections = 30\n"
                             "[users.app]\nmax_connections = 7\n");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->find("shop")->settings.max_connections, 9u);
  EXPECT_EQ(snapshot->host_settings("h:5432").max_connections, 60u);
  EXPECT_EQ(snapshot->host_settings("h:5432").host_red, 90u);
  EXPECT_EQ(snapshot->host_settings("h:5432").reserve, 2u);
  Upstream v6;
  v6.host = "::1";
  v6.port = 5433;
  EXPECT_EQ(snapshot->host_settings(place_of(v6)).reserve, 3u);
  EXPECT_EQ(snapshot->host_settings("h:5433").max_connections, 30u);
  EXPECT_EQ(snapshot->user_connections("app"), 7u);
  EXPECT_EQ(snapshot->user_connections("other"), 0u);
  const auto said = warnings(*snapshot);
  EXPECT_TRUE(std::ranges::any_of(said, [](const auto& line) {
    return line.starts_with("[hosts.\"[::1]:5433\"]: no database's url leads there");
  }));
}

TEST(File, AUrlThatLeadsBackIsWarnedOf) {
  const auto loop = parse("[databases.a]\nurl = \"postgresql://localhost/x\"\n", "f");
  ASSERT_TRUE(loop);
  ASSERT_EQ(warnings(**loop).size(), 1u);
  EXPECT_EQ(warnings(**loop)[0],
            "database \"a\": its url leads to localhost:5432, where pgweir itself listens "
            "(127.0.0.1:5432)");
  EXPECT_TRUE(warnings(**parse("[databases.a]\nurl = \"postgresql://db:5432/x\"\n", "f")).empty());
}

TEST(File, HostsThatCannotBe) {
  EXPECT_EQ(problem(kAny + "[hosts.h]\nmax_connections = 1\n"),
            "f:3:1: hosts.\"h\": max_connections 1 leaves nothing for servers beside reserve 1; "
            "expected at least 2");
  EXPECT_EQ(problem(kAny + "[hosts.h]\nmax_connections = 9\n[hosts.\"h:5432\"]\n"),
            "f:3:1: hosts.\"h:5432\" is in the file twice, with and without its port");
  EXPECT_EQ(problem("max_connections = 5\n" + kAny),
            "f:1:1: max_connections is not a setting of everything; expected it in "
            "[databases.NAME], in [users.NAME] or in [hosts.\"HOST:PORT\"]");
  EXPECT_EQ(problem(kAny + "[hosts.h]\npool_size = 5\n"),
            "f:4:1: pool_size is not a setting of one host; expected it at the top of the file, in "
            "[databases.NAME] or in [apps.NAME]");
}

}  // namespace
}  // namespace pgw::config

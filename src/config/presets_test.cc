#include "config/presets.h"

#include <gtest/gtest.h>

#include "config/file.h"
#include "config/names.h"
#include "config/zero.h"

namespace pgw::config {
namespace {

// PostgreSQL's default superuser_reserved_connections.
constexpr Count kReserved = 3;
const std::string kAny = "[databases.\"*\"]\nurl = \"postgresql://h\"\n";

SnapshotPtr good(const std::string& text, std::string_view preset = {}) {
  auto snapshot = parse(text, "pgweir.toml", nullptr, preset);
  EXPECT_TRUE(snapshot) << snapshot.error().what();
  return snapshot ? *snapshot : nullptr;
}

Settings settings_of(std::string_view preset) {
  Settings settings;
  settings.preset = preset;
  apply_preset(settings);
  return settings;
}

TEST(Presets, AreTheWordsOfTheSetting) {
  std::vector<std::string_view> words = {"none"};
  for (const Preset& preset : presets()) words.push_back(preset.name);
  EXPECT_EQ(split_words(find_row("preset")->words), words);
  EXPECT_EQ(settings_of("none"), Settings{});
}

TEST(Presets, EveryValueIsAllowed) {
  for (const PresetRow& one : preset_rows()) {
    const Row* row = find_row(one.setting);
    ASSERT_TRUE(row) << one.setting;
    EXPECT_NE(row->scopes & GLOBAL, 0) << one.setting;
    EXPECT_EQ(row->on_reload, OnReload::live) << one.setting;
    for (const auto value : one.values) {
      Settings settings;
      const auto done = set_any(*row, settings, value);
      EXPECT_TRUE(done) << done.error().what();
    }
  }
}

// What one pool takes leaves room on the host, and a larger host is never given less.
TEST(Presets, FitTheirHost) {
  Settings smaller;
  smaller.pool_size = 1;
  smaller.max_overflow = 0;
  smaller.max_clients = 1;
  smaller.connect_parallel = 1;
  for (const Preset& preset : presets()) {
    const Settings settings = settings_of(preset.name);
    EXPECT_LE(settings.pool_size + settings.max_overflow + kReserved, preset.connections * 9 / 10)
        << preset.name;
    EXPECT_GE(settings.pool_size + settings.max_overflow, preset.connections / 2) << preset.name;
    EXPECT_GT(settings.pool_size, smaller.pool_size);
    EXPECT_GT(settings.max_overflow, smaller.max_overflow);
    EXPECT_GT(settings.max_clients, smaller.max_clients);
    EXPECT_GT(settings.connect_parallel, smaller.connect_parallel);
    smaller = settings;
  }
}

TEST(Presets, TheFileWins) {
  const auto snapshot = good(
      "pool_size = 9\npreset = \"small\"\n[databases.a]\nurl = \"postgresql://h\"\n"
      "max_overflow = 1\n" +
      kAny);
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->settings.pool_size, 9u);
  EXPECT_EQ(snapshot->settings.max_overflow, 20u);
  EXPECT_EQ(snapshot->settings.pool_recycle, 30min);
  EXPECT_EQ(snapshot->find("x")->settings.max_overflow, 20u);
  EXPECT_EQ(snapshot->find("a")->settings.max_overflow, 1u);
  EXPECT_EQ(snapshot->find("a")->settings.pool_size, 9u);
  const std::string shown = explain_preset(*snapshot);
  EXPECT_TRUE(
      shown.starts_with("preset \"small\", for a PostgreSQL with 60 connections, sets:\n"
                        "  pool_size = 25 (the file: 9)\n"
                        "  max_overflow = 20 ([databases.a]: 1)\n"
                        "  pool_timeout = \"30s\"\n"))
      << shown;
}

TEST(Presets, ValueOfTheDefaultWinsToo) {
  const auto snapshot = good("preset = \"free-tier\"\npool_size = 20\n" + kAny);
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->settings.pool_size, Settings{}.pool_size);
  EXPECT_EQ(snapshot->settings.max_overflow, 4u);
}

TEST(Presets, OneFromOutsideTakesThePlaceOfTheFiles) {
  const auto snapshot = good("preset = \"free-tier\"\nmax_clients = 7\n" + kAny, "production");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->settings.pool_size, 80u);
  EXPECT_EQ(snapshot->settings.max_clients, 7u);
  EXPECT_EQ((*from_url("postgresql://h/d", "small"))->find("d")->settings.pool_size, 25u);
  EXPECT_EQ(explain_preset(*good(kAny)), "");
}

TEST(Presets, LimitHosts) {
  EXPECT_EQ(good("preset = \"small\"\n" + kAny)->host_settings("h:5432").max_connections, 46u);
  EXPECT_EQ((*from_url("postgresql://h/d", "free-tier"))->host_settings("h:1").max_connections,
            11u);
  EXPECT_EQ(good(kAny)->host_settings("h:5432").max_connections, 0u);
  const auto own = good("preset = \"small\"\n[hosts.\"*\"]\nmax_connections = 9\n" + kAny);
  EXPECT_EQ(own->host_settings("h:5432").max_connections, 9u);
  EXPECT_TRUE(explain_preset(*own).ends_with("max_connections of a host = 46 ([hosts.\"*\"]: 9)"));
}

TEST(Presets, UnknownOneIsOneProblem) {
  std::vector<Problem> problems;
  EXPECT_FALSE(parse("preset = \"smal\"\n" + kAny, "f", &problems));
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].full(),
            "f:1:10: preset is \"smal\"; expected none, free-tier, small, production or "
            "high-traffic; did you mean \"small\"?");
}

}  // namespace
}  // namespace pgw::config

#include "config/presets.h"

#include <fmt/format.h>

namespace pgw::config {
namespace {

constexpr std::array<Preset, kPresets> kAll = {{
    {"free-tier", 15, 11},
    {"small", 60, 46},
    {"production", 200, 151},
    {"high-traffic", 500, 401},
}};

// pool_size and max_overflow leave room for connections that do not come through pgweir (people,
// migrations, the host's own) and for superuser_reserved_connections: a third of the smallest, a
// fifth of the largest. A host has as many over all pools, and the one of reserve. A small host is
// given its connections back sooner; a large one is asked to give an answer sooner, since a queue
// there means that something is wrong.
constexpr auto kRows = std::to_array<PresetRow>({
    {"pool_size", {"6", "25", "80", "250"}},
    {"max_overflow", {"4", "20", "70", "150"}},
    {"pool_timeout", {"30s", "30s", "20s", "10s"}},
    {"pool_recycle", {"5m", "30m", "1h", "1h"}},
    {"server_idle_timeout", {"1m", "5m", "10m", "10m"}},
    {"overflow_idle_timeout", {"5s", "5s", "10s", "30s"}},
    {"connect_parallel", {"2", "4", "8", "16"}},
    {"max_clients", {"500", "2000", "10000", "20000"}},
});

std::size_t index_of(std::string_view name) {
  std::size_t i = 0;
  while (i < kPresets && kAll[i].name != name) ++i;
  return i;
}

// " (the file: 20)", with every place of the file that differs from the preset.
std::string elsewhere(const Row& row, const Settings& preset, const Snapshot& snapshot) {
  std::string out;
  const auto add = [&](std::string_view where, const Settings& settings) {
    out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", where, value_text(row, settings));
  };
  if (!same(row, preset, snapshot.settings)) add("the file", snapshot.settings);
  for (const auto& [name, database] : snapshot.databases)
    if (!same(row, snapshot.settings, database.settings))
      add(section_text("databases", name), database.settings);
  return out.empty() ? out : fmt::format(" ({})", out);
}

}  // namespace

std::span<const Preset, kPresets> presets() { return kAll; }
std::span<const PresetRow> preset_rows() { return kRows; }

void apply_preset(Settings& settings) {
  const std::size_t i = index_of(settings.preset);
  if (i == kPresets) return;
  for (const PresetRow& row : kRows) (void)set_any(*find_row(row.setting), settings, row.values[i]);
}

void limit_hosts(Snapshot& snapshot) {
  const std::size_t i = index_of(snapshot.settings.preset);
  if (i == kPresets || snapshot.hosts.contains("*")) return;
  Overlay& any = snapshot.hosts["*"];
  any.values.max_connections = kAll[i].host;
  any.given.push_back(find_row("max_connections"));
}

std::string explain_preset(const Snapshot& snapshot) {
  const std::size_t i = index_of(snapshot.settings.preset);
  if (i == kPresets) return {};
  Settings preset;
  preset.preset = snapshot.settings.preset;
  apply_preset(preset);
  std::string out =
      fmt::format("preset \"{}\", for a PostgreSQL with {} connections, sets:", kAll[i].name,
                  kAll[i].connections);
  for (const PresetRow& one : kRows) {
    const Row& row = *find_row(one.setting);
    out += fmt::format("\n  {} = {}{}", row.name, value_text(row, preset),
                       elsewhere(row, preset, snapshot));
  }
  const Count here = snapshot.host_settings("*").max_connections;
  out += fmt::format("\n  max_connections of a host = {}{}", kAll[i].host,
                     here == kAll[i].host ? "" : fmt::format(" ([hosts.\"*\"]: {})", here));
  return out;
}

}  // namespace pgw::config

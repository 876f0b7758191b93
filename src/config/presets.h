// Sets of sizes for PostgreSQL hosts of four kinds: the setting `preset`. One table in presets.cc.
#pragma once
#include <array>
#include <span>
#include <string>
#include <string_view>

#include "config/snapshot.h"

namespace pgw::config {

struct Preset {
  std::string_view name;
  Count connections;  // what a host of this kind has as max_connections
  Count host;         // max_connections of [hosts."*"], unless the file has that
};

inline constexpr std::size_t kPresets = 4;
std::span<const Preset, kPresets> presets();

// A setting and its value in each of presets(), as a command line would have it: "5", "30s".
struct PresetRow {
  std::string_view setting;
  std::array<std::string_view, kPresets> values;
};
std::span<const PresetRow> preset_rows();

// Sets what the preset named by `settings.preset` sets; "none" sets nothing.
void apply_preset(Settings& settings);

// The same, for each host that the file has no section for. When all sections were read.
void limit_hosts(Snapshot& snapshot);

// For people: what the snapshot's preset sets, and where the file says otherwise. Empty without
// one.
std::string explain_preset(const Snapshot& snapshot);

}  // namespace pgw::config

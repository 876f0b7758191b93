// Reads a configuration file (TOML) into a snapshot, or into all of its problems.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/snapshot.h"

namespace pgw::config {

// What is wrong and where. The text says what was expected, and the nearest known name.
struct Problem {
  std::string file;
  std::uint32_t line = 0;  // from 1; 0: the file as a whole
  std::uint32_t column = 0;
  std::string text;
  std::string full() const;  // "pgweir.toml:3:1: unknown key ..."
};

// The text of a file; one too large to have been written by hand is refused.
Result<std::string> contents(const std::string& path);

// The error's text has one line per problem, in the order of the file; `problems` gets them one by
// one. A relative auth.file is joined to the folder of `file_name`. A `preset` that is given takes
// the place of the file's; empty: the file's.
Result<SnapshotPtr> parse(std::string_view toml, const std::string& file_name,
                          std::vector<Problem>* problems = nullptr, std::string_view preset = {});
Result<SnapshotPtr> load(const std::string& path, std::vector<Problem>* problems = nullptr,
                         std::string_view preset = {});

}  // namespace pgw::config

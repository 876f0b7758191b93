// The command line, and the snapshot that it and the configuration file make together.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/snapshot.h"

namespace pgw::daemon {

enum ExitCode : int { kOk = 0, kFailed = 1, kWrongUsage = 2 };

// What options say over the file. Listeners replace all of the same mode; settings win everywhere,
// also over a database's own.
struct Overrides {
  std::vector<config::Listen> listen;
  std::vector<std::pair<std::string, std::string>> settings;
};

// A command line that was understood. `serve`: snapshot is set. `answer`: all that is left to do is
// to print `text` (to stderr if the exit code is not 0) and exit: --help, --version, check, config,
// and errors.
struct Command {
  enum class Kind { serve, answer };
  Kind kind = Kind::answer;
  config::SnapshotPtr snapshot;
  std::string config_path;  // empty: from `url`
  std::string url;
  Overrides overrides;
  std::string text;
  int exit_code = kOk;
};

Command parse_command_line(int argc, const char* const* argv);

// The snapshot with the overrides on top.
config::SnapshotPtr overridden(const Overrides& overrides, const config::SnapshotPtr& snapshot);
// Reads the command's file (or URL) again, for a reload.
Result<config::SnapshotPtr> read_again(const Command& command);

}  // namespace pgw::daemon

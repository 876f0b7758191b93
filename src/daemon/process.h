// pgweir as a process: threads, signals, files, and the end.
#pragma once
#include "daemon/cli.h"

namespace pgw::daemon {

// Serves until a signal ends it; gives the exit code.
int serve(const Command& command);

}  // namespace pgw::daemon

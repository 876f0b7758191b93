// What a reload can and cannot change.
#pragma once
#include <string>
#include <vector>

#include "config/snapshot.h"

namespace pgw::config {

// Names of what differs and is applied only by a restart: "workers", "listen".
std::vector<std::string> needs_restart(const Snapshot& running, const Snapshot& next);

}  // namespace pgw::config

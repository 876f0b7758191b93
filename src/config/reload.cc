#include "config/reload.h"

namespace pgw::config {

std::vector<std::string> needs_restart(const Snapshot& running, const Snapshot& next) {
  std::vector<std::string> out;
  for (const Row& row : rows())
    if (row.on_reload == OnReload::restart && !same(row, running.settings, next.settings))
      out.emplace_back(row.name);
  if (running.listen != next.listen) out.emplace_back("listen");
  return out;
}

}  // namespace pgw::config

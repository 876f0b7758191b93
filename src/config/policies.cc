#include "config/policies.h"

#include "base/check.h"

namespace pgw::config {

Policies policies_of(const Settings& settings) {
  Policies out;
  for (const PinKind& kind : pin_kinds()) {
    if (kind.setting.empty()) continue;
    const Row* row = find_row(kind.setting);
    PGW_ASSERT(row);
    const std::string& word = settings.*std::get<Text Settings::*>(row->field);
    if (word == "warn") out.warn |= kind.pin;
    if (word == "error") out.error |= kind.pin;
    if (word == "ignore") out.ignore |= kind.pin;
  }
  return out;
}

}  // namespace pgw::config

// All settings with their documentation, for people: `pgweir config` and docs/settings.md.
#pragma once
#include <string>

namespace pgw::config {

std::string print_settings();
std::string print_markdown();

}  // namespace pgw::config

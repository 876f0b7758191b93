// What `pgweir plan` prints: for people, as JSON, and as the configuration to use.
#pragma once
#include <string>

#include "config/plan.h"

namespace pgw::daemon {

// A configuration file with the plan's limits: [databases], [hosts] and [apps].
std::string plan_toml(const config::Demand& demand, const config::Plan& plan);
std::string plan_text(const config::Demand& demand, const config::Plan& plan);
std::string plan_json(const config::Demand& demand, const config::Plan& plan);

}  // namespace pgw::daemon

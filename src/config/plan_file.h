// What `pgweir plan` is asked: applications from a command line or from a small TOML file.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/plan.h"

namespace pgw::config {

// "worker:instances=2,workers=4,pool=20,overflow=0,priority=background,weight=1,mode=session"; what
// is left out has its default.
Result<PlannedApp> parse_app(std::string_view text);

// limit, reserved, host and database at the top, the same fields as above in [apps.NAME]. The error
// begins with the file's name and has line and column where there is one.
Result<Demand> load_demand(const std::string& path);
Result<Demand> parse_demand(std::string_view toml, const std::string& file_name);

// Sets limit, reserved, host or database to what a command line or a file says.
Done set_demand(Demand& demand, std::string_view key, std::string_view text);

// "db.example:5432", as [hosts] has it: the port is never left out.
Result<std::string> canonical_host(std::string_view text);

}  // namespace pgw::config

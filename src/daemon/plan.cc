#include "daemon/plan.h"

#include <algorithm>
#include <iterator>

#include "http/json.h"

namespace pgw::daemon {
namespace {

using config::Count;
using config::Demand;
using config::Fit;
using config::Plan;
using config::PlannedApp;
using config::Share;

template <class... Args>
void line(std::string& out, fmt::format_string<Args...> text, Args&&... args) {
  fmt::format_to(std::back_inserter(out), text, std::forward<Args>(args)...);
  out += '\n';
}

// A key of a table. Bare where it may be; else a basic string, of which JSON's strings are the
// same.
std::string key(std::string_view name) {
  constexpr std::string_view kBare =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  if (!name.empty() && name.find_first_not_of(kBare) == name.npos) return std::string(name);
  std::string out;
  http::append_json(out, name);
  return out;
}

std::string_view priority(const PlannedApp& app) {
  return app.background ? "background" : "normal";
}

// "2 instances x 4 workers x (5 + 10)"; factors of one are left out.
std::string product(const PlannedApp& app) {
  std::string out;
  if (app.instances > 1) out += fmt::format("{} instances x ", app.instances);
  if (app.workers > 1) out += fmt::format("{} workers x ", app.workers);
  if (app.overflow == 0) return out + std::to_string(app.pool);
  return out + fmt::format("({} + {})", app.pool, app.overflow);
}

std::string_view fit_word(Fit fit) {
  if (fit == Fit::fits) return "fits";
  return fit == Fit::overflows ? "overflows" : "fails";
}

std::string verdict(const Plan& plan) {
  if (plan.without == Fit::fits) return "fits";
  std::string out = plan.without == Fit::overflows
                        ? std::string("fits until the pools overflow, fails under load")
                        : fmt::format("fails, {} are kept by the pools alone", plan.kept);
  if (plan.per_process == 0) return out + "; there are more processes than connections";
  return out + fmt::format("; {} per process would fit", plan.per_process);
}

std::string percentage(std::uint64_t part, std::uint64_t whole) {
  if (part >= whole) return "100 %";
  if (part * 100 < whole) return "less than 1 %";
  return fmt::format("{} %", part * 100 / whole);
}

void without(std::string& out, const Demand& demand, const Plan& plan, std::size_t width) {
  std::size_t widest = 0;
  for (const PlannedApp& app : demand.apps) widest = std::max(widest, product(app).size());
  line(out, "\nWithout pgweir, where each connection is one of PostgreSQL:");
  for (const PlannedApp& app : demand.apps)
    line(out, "  {:{}}  {:{}} = {}", app.name, width, product(app), widest, app.most());
  line(out, "  {:{}}  {} against {}: {}", "together", width, plan.most, plan.available,
       verdict(plan));
}

// "10 servers", or "1 to 6 servers".
std::string servers(const Share& share) {
  if (share.pool_size == 1 && share.max_overflow == 0) return "1 server";
  if (share.max_overflow == 0) return fmt::format("{} servers", share.pool_size);
  return fmt::format("{} to {} servers", share.pool_size, share.pool_size + share.max_overflow);
}

std::string_view advice(const Demand& demand) {
  if (std::ranges::find(demand.apps, config::Mode::session, &PlannedApp::mode) != demand.apps.end())
    return "fails; use the transaction port, or pools that keep fewer connections on the session "
           "port";
  return "fails; there are more applications than servers for them";
}

void through(std::string& out, const Demand& demand, const Plan& plan, std::size_t width) {
  line(out,
       "\nThrough pgweir, where a connection takes a server for a transaction (in session mode as "
       "long as it is there):");
  line(out, "  {:{}}  {} against {}: {}", "needs", width, plan.needed, plan.available,
       plan.through ? "fits" : advice(demand));
  for (std::size_t i = 0; i < demand.apps.size(); ++i) {
    const PlannedApp& app = demand.apps[i];
    const Share& share = plan.shares[i];
    const Count cap = share.pool_size + share.max_overflow;
    line(out,
         "  {:{}}  {} connections over {}, {} guaranteed{}; nobody waits while {} of "
         "them {}",
         app.name, width, app.most(), servers(share), share.min,
         app.background ? ", what others leave" : "", percentage(cap, app.most()),
         app.mode == config::Mode::session ? "are connected" : "are in a transaction");
  }
}

void append_app(std::string& out, const PlannedApp& app, const Share& share) {
  out += "{\"name\": ";
  http::append_json(out, app.name);
  fmt::format_to(
      std::back_inserter(out),
      ", \"instances\": {}, \"workers\": {}, \"pool\": {}, \"overflow\": {}, \"weight\": "
      "{}, \"priority\": \"{}\", \"mode\": \"{}\", \"connections_kept\": {}, "
      "\"connections_most\": {}, \"pool_size\": {}, \"max_overflow\": {}, \"min\": {}}}",
      app.instances, app.workers, app.pool, app.overflow, app.weight, priority(app), text(app.mode),
      app.kept(), app.most(), share.pool_size, share.max_overflow, share.min);
}

}  // namespace

std::string plan_toml(const Demand& demand, const Plan& plan) {
  std::string out;
  line(out, "# An application is known by the application_name that it connects with.");
  line(out, "# Others share what the minimums leave; [apps.\"*\"] limits each of them.");
  if (plan.most > config::Settings{}.max_clients) line(out, "max_clients = {}", plan.most);
  line(out, "\n[databases.{}]\nurl = \"postgresql://{}\"", key(demand.database), demand.host);
  Count all = 0;
  for (const Share& share : plan.shares) all += share.pool_size;
  line(out, "pool_size = {}\nmax_overflow = 0", all);
  line(out, "\n[hosts.{}]\nmax_connections = {}  # one of them for CancelRequests (reserve)",
       key(demand.host), plan.available);
  for (std::size_t i = 0; i < demand.apps.size(); ++i) {
    const PlannedApp& app = demand.apps[i];
    const Share& share = plan.shares[i];
    // An app that comes away empty, in a plan that fails, has to be let in all the same.
    const Count pool_size = std::max<Count>(1, share.pool_size);
    line(out, "\n[apps.{}]\npool_size = {}\nmax_overflow = {}\nmin = {}\nweight = {}",
         key(app.name), pool_size, share.max_overflow, share.min, app.weight);
    line(out, "priority = \"{}\"", priority(app));
  }
  return out;
}

std::string plan_text(const Demand& demand, const Plan& plan) {
  std::size_t width = std::string_view("together").size();
  for (const PlannedApp& app : demand.apps) width = std::max(width, app.name.size());
  std::string out;
  line(out, "PostgreSQL at {}: {} connections, {} of them reserved, {} for applications",
       demand.host, demand.limit, demand.reserved, plan.available);
  without(out, demand, plan, width);
  through(out, demand, plan, width);
  if (!plan.through) return out;
  line(out, "\nThe file for it, which --toml prints alone (pgweir serve --config FILE):\n");
  return out + plan_toml(demand, plan);
}

std::string plan_json(const Demand& demand, const Plan& plan) {
  std::string out = "{\"host\": ";
  http::append_json(out, demand.host);
  out += ", \"database\": ";
  http::append_json(out, demand.database);
  fmt::format_to(
      std::back_inserter(out),
      ", \"limit\": {}, \"reserved\": {}, \"available\": {}, \"without\": {{\"fit\": "
      "\"{}\", \"kept\": {}, \"most\": {}, \"per_process\": {}}}, \"through\": {{\"fit\": "
      "\"{}\", \"needed\": {}}}, \"apps\": [",
      demand.limit, demand.reserved, plan.available, fit_word(plan.without), plan.kept, plan.most,
      plan.per_process, plan.through ? "fits" : "fails", plan.needed);
  for (std::size_t i = 0; i < demand.apps.size(); ++i) {
    if (i > 0) out += ", ";
    append_app(out, demand.apps[i], plan.shares[i]);
  }
  out += "], \"toml\": ";
  http::append_json(out, plan_toml(demand, plan));
  return out + "}\n";
}

}  // namespace pgw::daemon

#include "config/plan.h"

#include <algorithm>
#include <set>

namespace pgw::config {
namespace {

// A place for cancel requests and for looking at the host.
constexpr Count kOwn = 1;

// In session mode a connection that is kept keeps its server.
std::uint64_t needed_by(const PlannedApp& app) {
  return app.mode == Mode::session ? std::max<std::uint64_t>(1, app.kept()) : 1;
}

Fit fit(std::uint64_t kept, std::uint64_t most, Count available) {
  if (most <= available) return Fit::fits;
  return kept <= available ? Fit::overflows : Fit::fails;
}

// Gives away `places` one by one: to the app, of those with this priority that want more, which has
// least for its weight; of equals to the first. Returns what is left.
Count fill(const Demand& demand, bool background, Count places, std::vector<Share>& shares) {
  for (; places > 0; --places) {
    std::size_t best = demand.apps.size();
    for (std::size_t i = 0; i < demand.apps.size(); ++i) {
      const PlannedApp& app = demand.apps[i];
      if (app.background != background || shares[i].pool_size >= app.most()) continue;
      const auto has_less = [&](std::size_t other) {
        return std::uint64_t{shares[i].pool_size} * demand.apps[other].weight <
               std::uint64_t{shares[other].pool_size} * app.weight;
      };
      if (best == demand.apps.size() || has_less(best)) best = i;
    }
    if (best == demand.apps.size()) break;
    ++shares[best].pool_size;
  }
  return places;
}

// Each app's first places, which nothing else is weighed against. When not even those are there,
// session mode is treated as if it could share: then the plan says that it fails.
Count give_first_places(const Demand& demand, Plan& plan) {
  Count places = plan.lendable;
  for (std::size_t i = 0; i < demand.apps.size(); ++i) {
    const auto wanted = plan.through ? needed_by(demand.apps[i]) : 1;
    plan.shares[i].pool_size = static_cast<Count>(std::min<std::uint64_t>(wanted, places));
    places -= plan.shares[i].pool_size;
  }
  return places;
}

// Half of a share is guaranteed, so that neither idle apps hold up others nor others take all; of
// background work only what keeps it going.
Count guaranteed(const PlannedApp& app, const Share& share, bool through) {
  const Count first = std::min(share.pool_size, static_cast<Count>(through ? needed_by(app) : 1));
  return app.background ? first : std::max(first, share.pool_size / 2);
}

}  // namespace

Done check_demand(const Demand& demand) {
  if (demand.apps.empty())
    return fail(Code::configuration, "there is no application; expected at least one");
  if (demand.limit == 0)
    return fail(Code::configuration, "there is no limit; expected PostgreSQL's max_connections");
  if (demand.limit <= demand.reserved)
    return fail(Code::configuration, "of {} connections {} are reserved: there is nothing to plan",
                demand.limit, demand.reserved);
  std::set<std::string_view> names;
  for (const PlannedApp& app : demand.apps) {
    if (!names.insert(app.name).second)
      return fail(Code::configuration, "application \"{}\" is there twice", app.name);
    if (app.most() == 0)
      return fail(Code::configuration,
                  "application \"{}\" has pool and overflow 0: it could not connect", app.name);
  }
  return {};
}

Plan make_plan(const Demand& demand) {
  Plan plan;
  plan.available = demand.limit - demand.reserved;
  plan.lendable = plan.available > kOwn ? plan.available - kOwn : plan.available;
  plan.needed = plan.available - plan.lendable;
  std::uint64_t processes = 0;
  for (const PlannedApp& app : demand.apps) {
    plan.kept += app.kept();
    plan.most += app.most();
    plan.needed += needed_by(app);
    processes += app.processes();
  }
  plan.without = fit(plan.kept, plan.most, plan.available);
  plan.per_process = static_cast<Count>(plan.available / processes);
  plan.through = plan.needed <= plan.available;
  plan.shares.resize(demand.apps.size());
  const Count left = fill(demand, false, give_first_places(demand, plan), plan.shares);
  fill(demand, true, left, plan.shares);
  Count guarantees = 0;
  for (std::size_t i = 0; i < demand.apps.size(); ++i) {
    plan.shares[i].min = guaranteed(demand.apps[i], plan.shares[i], plan.through);
    guarantees += plan.shares[i].min;
  }
  for (std::size_t i = 0; i < demand.apps.size(); ++i) {
    Share& share = plan.shares[i];
    const std::uint64_t cap =
        std::min<std::uint64_t>(demand.apps[i].most(), plan.lendable - (guarantees - share.min));
    share.max_overflow = static_cast<Count>(cap) - share.pool_size;
  }
  return plan;
}

}  // namespace pgw::config

// The pooler in a simulated world: its machine of simulated loops, its configuration, and the
// questions at the end.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "network.h"
#include "server/apps.h"
#include "services.h"
#include "simulation.h"
#include "world.h"

namespace pgw::sim {

class Middle {
 public:
  Middle(Simulation& sim, Network& network, SimOffload& offload, SimResolver& resolver,
         const World::Plan& plan);
  ~Middle();
  // The plan as it is now; `other`: with the users' other passwords.
  void reload(bool other);
  void drain(Duration limit, std::move_only_function<void()> done);
  std::map<std::string, server::AppUse> apps() const;  // what each holds
  void check_quiet();  // nothing is leased, waiting or connected to a client
  void stop();         // the loops stop, then the pooler dies

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace pgw::sim

#include "middle.h"

namespace pgw::sim {

struct Middle::Parts {};

Middle::Middle(Simulation& sim, Network&, SimOffload&, SimResolver&, const World::Plan&) {
  sim.fail("the pooler is not linked yet");
}
Middle::~Middle() = default;
void Middle::check_quiet() {}
void Middle::stop() {}

}  // namespace pgw::sim

#include "simulation.h"

#include <algorithm>

namespace pgw::sim {

void Simulation::at(Time when, Work work) {
  heap_.push_back({std::max(when, now_), order_++, std::move(work)});
  std::push_heap(heap_.begin(), heap_.end(), later);
}

bool Simulation::step() {
  if (heap_.empty()) return false;
  std::pop_heap(heap_.begin(), heap_.end(), later);
  Event event = std::move(heap_.back());
  heap_.pop_back();
  now_ = event.when;
  ++steps_;
  event.work();
  return true;
}

void Simulation::clear() {
  // An event's death may make new events (a stream that closes); they go as well.
  while (!heap_.empty()) {
    std::vector<Event> gone;
    gone.swap(heap_);
  }
}

void Simulation::fail(std::string reason) {
  if (failure_) return;
  trace("FAILED: {}", reason);
  failure_ = std::move(reason);
}

void Simulation::line(std::string_view text) {
  const auto us = now_.time_since_epoch().count();
  trace_(fmt::format("{:6}.{:06} {}", us / 1'000'000, us % 1'000'000, text));
}

}  // namespace pgw::sim

#include "stats/pinning.h"

namespace pgw::stats {

AppCounters& Pinning::of(std::string_view app) {
  app = app.substr(0, kNameMost);
  if (const auto found = by_name_.find(app); found != by_name_.end())
    return found->second->counters;
  if (owned_.size() >= kAppsMost && app != kOther) return of(kOther);
  owned_.push_back(std::make_unique<App>());
  App& made = *owned_.back();
  made.name = app;
  by_name_.emplace(made.name, &made);
  slots_[owned_.size() - 1].store(&made, std::memory_order_release);
  return made.counters;
}

void Pinning::add_to(PinNumbers& numbers) const {
  for (const auto& slot : slots_) {
    const App* app = slot.load(std::memory_order_acquire);
    if (!app) return;
    AppNumbers& sum = numbers[app->name];
    sum.replays += app->counters.replays.get();
    sum.times.add(app->counters.times);
    for (std::size_t i = 0; i < kPinCount; ++i) {
      const PinCounters& from = app->counters.reasons[i];
      AppNumbers::Reason& to = sum.reasons[i];
      to.begun += from.begun.get();
      to.pinned_us += from.pinned_us.get();
      to.refused += from.refused.get();
      to.pinned += from.pinned.get();
    }
  }
}

}  // namespace pgw::stats

// A timer sits at the level of the highest group of six bits in which its tick differs from the
// current tick, in the slot of that group's value. So occupied slots are always ahead of the
// current one in their level, and the lowest level that holds anything holds what comes first.
#include "net/timers.h"

#include <algorithm>
#include <bit>

namespace pgw::net {
namespace {

constexpr std::uint64_t kTickMax = (std::uint64_t{1} << 47) - 1;

std::uint64_t tick_not_before(Time due) {
  const auto us = std::max<Duration::rep>(due.time_since_epoch().count(), 0);
  return std::min(static_cast<std::uint64_t>(us) / 1000 + (us % 1000 != 0 ? 1 : 0), kTickMax);
}

}  // namespace

void Timers::place(Timer& timer, std::uint64_t earliest) {
  const std::uint64_t tick = std::max(tick_not_before(timer.due_), earliest);
  const auto width = static_cast<unsigned>(std::bit_width((tick ^ tick_) | (kSlots - 1)));
  const unsigned level = std::min((width - 1) / kBits, kLevels - 1);
  const unsigned slot = (tick >> (level * kBits)) & (kSlots - 1);
  slots_[level][slot].push_back(timer);
  occupied_[level] |= std::uint64_t{1} << slot;
}

void Timers::arm(Timer& timer, Time due) {
  timer.disarm();
  timer.due_ = due;
  place(timer, tick_ + 1);
}

std::optional<std::uint64_t> Timers::next_tick() const {
  for (unsigned level = 0; level < kLevels; ++level) {
    const unsigned shift = level * kBits;
    const unsigned current = (tick_ >> shift) & (kSlots - 1);
    std::uint64_t ahead = occupied_[level] & ~((std::uint64_t{2} << current) - 1);
    for (; ahead != 0; ahead &= ahead - 1) {
      const auto slot = static_cast<unsigned>(std::countr_zero(ahead));
      if (slots_[level][slot].empty()) {
        occupied_[level] &= ~(std::uint64_t{1} << slot);
        continue;
      }
      const std::uint64_t block = tick_ >> (shift + kBits) << (shift + kBits);
      return block | (std::uint64_t{slot} << shift);
    }
  }
  return std::nullopt;
}

std::optional<Time> Timers::next() const {
  const auto tick = next_tick();
  if (!tick) return std::nullopt;
  return Time(std::chrono::milliseconds(*tick));
}

// Moves to `tick`, the first that has work: outer slots that begin here are spread over the inner
// levels, then the innermost slot fires.
void Timers::advance(std::uint64_t tick) {
  tick_ = tick;
  for (unsigned level = kLevels - 1; level > 0; --level) {
    const unsigned shift = level * kBits;
    if ((tick & ((std::uint64_t{1} << shift) - 1)) != 0) continue;
    const unsigned slot = (tick >> shift) & (kSlots - 1);
    Slot spread;
    while (Timer* timer = slots_[level][slot].pop_front()) spread.push_back(*timer);
    occupied_[level] &= ~(std::uint64_t{1} << slot);
    while (Timer* timer = spread.pop_front()) place(*timer, tick_);
  }
  const unsigned slot = tick & (kSlots - 1);
  Slot firing;
  while (Timer* timer = slots_[0][slot].pop_front()) firing.push_back(*timer);
  occupied_[0] &= ~(std::uint64_t{1} << slot);
  while (Timer* timer = firing.pop_front()) timer->fire_(timer->owner_);
}

void Timers::run(Time now) {
  const auto us = std::max<Duration::rep>(now.time_since_epoch().count(), 0);
  const std::uint64_t target = static_cast<std::uint64_t>(us) / 1000;
  while (true) {
    const auto tick = next_tick();
    if (!tick || *tick > target) break;
    advance(*tick);
  }
  tick_ = std::max(tick_, target);
}

}  // namespace pgw::net

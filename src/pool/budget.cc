#include "pool/budget.h"

#include <algorithm>

#include "base/check.h"

namespace pgw::pool {

namespace {

void press(Party& party, int by) {
  party.presses = static_cast<unsigned>(static_cast<int>(party.presses) + by);
  party.pressed.store(party.presses > 0, std::memory_order_relaxed);
}

// The best claim that waits here; null: nobody. `except`: not the waiters of this pool, which its
// own servers serve.
Place* best(const Level& level, const Party* except) {
  Place* found = nullptr;
  for (Place* one : level.waiting) {
    if (except && one->party == except && !one->apart) continue;
    if (!found || better(one->claim, found->claim)) found = one;
  }
  return found;
}

// What the pool's own wish says counts when the place comes free.
void say_again(Level& level, const Party& party, const Claim& own) {
  for (Place* one : level.waiting)
    if (one->party == &party && !one->apart) one->claim = own;
}

}  // namespace

std::vector<std::pair<std::string, unsigned>> Level::top(std::size_t n) const {
  std::vector<std::pair<std::string, unsigned>> out;
  for (const auto& [party, places] : holders) out.emplace_back(party->name, places);
  const auto end = out.begin() + static_cast<std::ptrdiff_t>(std::min(n, out.size()));
  std::partial_sort(out.begin(), end, out.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  out.erase(end, out.end());
  return out;
}

void Budget::tell(Level& level) {
  const bool now = level.presses();
  if (std::exchange(level.pressing_, now) == now) return;
  for (const auto& [party, places] : level.holders) press(*party, now ? 1 : -1);
}

void Budget::count(Level& level, Party& party, int by) {
  level.used = static_cast<unsigned>(static_cast<int>(level.used) + by);
  unsigned& places = level.holders[&party];
  const bool had = places > 0;
  places = static_cast<unsigned>(static_cast<int>(places) + by);
  const bool has = places > 0;
  if (!has) level.holders.erase(&party);
  if (had != has && level.pressing_) press(party, has ? 1 : -1);
}

void Budget::wait(Place& place) {
  place.waits = true;
  for (std::size_t i = 0; i < place.held; ++i)
    if (place.levels[i]) ++place.levels[i]->early;
  Level& level = *place.blocked();
  level.waiting.push_back(&place);
  tell(level);
}

void Budget::wait_no_longer(Place& place) {
  Level* const level = place.blocked();
  if (!level) return;
  for (std::size_t i = 0; i < place.held; ++i)
    if (place.levels[i]) --place.levels[i]->early;
  std::erase(level->waiting, &place);
  place.waits = false;
}

// Who waits at a level is served before it has room: so where there is room, nobody is overtaken.
bool Budget::advance(Place& place) {
  for (; place.held < Place::kLevels; ++place.held) {
    Level* const level = place.levels[place.held].get();
    if (!level) continue;
    if (!level->has_room()) {
      wait(place);
      return false;
    }
    count(*level, *place.party, 1);
    tell(*level);
  }
  return true;
}

bool Budget::ask(Place& place) {
  PGW_ASSERT(place.held == 0 && !place.waits);
  return advance(place);
}

void Budget::regrant(Level& level, Granted& granted) {
  while (level.has_room()) {
    Place* const next = best(level, nullptr);
    if (!next) break;
    wait_no_longer(*next);
    advance(*next);
    granted.push_back(next);
  }
  tell(level);
}

void Budget::drop(Place& place, Granted& granted) {
  if (Level* const level = place.blocked()) {
    wait_no_longer(place);
    tell(*level);
  }
  const std::size_t held = std::exchange(place.held, 0);
  move_on(place);
  const bool leaving = std::exchange(place.leaving, false);
  for (std::size_t i = 0; i < held; ++i) {
    Level* const level = place.levels[i].get();
    if (!level) continue;
    if (leaving) --level->leaving;
    count(*level, *place.party, -1);
  }
  for (std::size_t i = held; i-- > 0;)
    if (place.levels[i]) regrant(*place.levels[i], granted);
}

void Budget::limit(Level& level, unsigned limit, unsigned believed, Granted& granted) {
  level.limit = limit;
  level.believed = believed;
  regrant(level, granted);
}

void Budget::mark_leaving(Place& place) {
  if (!place.whole() || std::exchange(place.leaving, true)) return;
  for (const auto& level : place.levels) {
    if (!level) continue;
    ++level->leaving;
    tell(*level);
  }
}

bool Budget::within(const Place& place) {
  return std::ranges::none_of(place.levels,
                              [](const auto& level) { return level && level->too_many() > 0; });
}

bool Budget::settle_down(Place& place) {
  if (!place.whole() || place.resident) return place.resident;
  for (const auto& level : place.levels)
    if (level && level->resident + 1 >= std::min(level->most(), level->room)) return false;
  for (const auto& level : place.levels)
    if (level) ++level->resident;
  return place.resident = true;
}

bool Budget::may_stay(const Place& place) {
  return std::ranges::none_of(place.levels, [&](const auto& level) {
    return level && (level->resident >= level->limit || level->cramped);
  });
}

void Budget::move_on(Place& place) {
  if (!std::exchange(place.resident, false)) return;
  for (const auto& level : place.levels)
    if (level) --level->resident;
}

Budget::Verdict Budget::judge(Place& place, const Claim* own, Duration age, Duration quantum) {
  if (!place.whole() || place.leaving) return Verdict::stay;
  bool later = false;
  for (const auto& level : place.levels) {
    if (!level || !level->presses()) continue;
    bool go = level->too_many() > level->leaving;
    if (!go) {
      const Place* const other = best(*level, place.party);
      if (!other || (own && !outranks(other->claim, *own, quantum))) continue;
      go = age >= quantum;
      later |= !go;
    }
    if (!go) continue;
    if (own) say_again(*level, *place.party, *own);
    mark_leaving(place);
    return Verdict::go;
  }
  return later ? Verdict::go_later : Verdict::stay;
}

}  // namespace pgw::pool

// How many servers may exist at one level (a PostgreSQL host, a database, a user), who holds the
// places there, and who waits for one. A server has a place at each of its levels. Pure: who calls
// sees to it that one thread is here at a time.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "pool/claim.h"

namespace pgw::pool {

struct Level;
struct Place;

// A pool, as those see it who share a level with it.
struct Party {
  std::string name;  // "shop/app": database and user
  // Somebody goes short, or there are too many, at a level where this pool has places. Written
  // here, read by the pool's thread when a lease ends.
  std::atomic<bool> pressed{false};
  unsigned presses = 0;  // the levels of which that is true
};

struct Level {
  enum class Kind : std::uint8_t { user, database, host };
  static constexpr unsigned kNoLimit = ~0u;

  Level(Kind its_kind, std::string its_name) : kind(its_kind), name(std::move(its_name)) {}
  virtual ~Level() = default;
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

  const Kind kind;
  const std::string name;
  unsigned limit = kNoLimit;     // for servers
  unsigned believed = kNoLimit;  // what PostgreSQL is believed to let in, where it is less
  unsigned used = 0;             // places that are held
  unsigned leaving = 0;          // of these, servers that have been told to go
  unsigned early = 0;            // and of these, those of wishes that wait at a later level
  unsigned room = kNoLimit;      // what PostgreSQL itself says it has
  bool cramped = false;          // only servers that stay are left, and others wait
  unsigned resident = 0;         // ... and those that stay however many wait
  std::vector<Place*> waiting;
  std::map<Party*, unsigned> holders;  // of places; none has 0

  unsigned most() const { return std::min(limit, believed); }
  bool has_room() const { return used < most(); }
  unsigned too_many() const { return used > limit ? used - limit : 0; }
  // Places that somebody ought to give up, beside those on their way.
  bool presses() const { return waiting.size() + too_many() > leaving; }
  // Up to `n` holders who hold most, the greatest first.
  std::vector<std::pair<std::string, unsigned>> top(std::size_t n) const;

 private:
  friend class Budget;
  bool pressing_ = false;  // as the holders have been told
};

// The wish for a place at each level, and then these places. They are taken one after the other in
// the order given, and kept while the next is waited for. All take them in one order (users before
// databases before hosts), so nobody waits for each other in a ring; and the scarcest, which others
// contend for, comes last.
struct Place {
  static constexpr std::size_t kLevels = 3;
  Party* party = nullptr;
  std::array<std::shared_ptr<Level>, kLevels> levels;  // null: none
  Claim claim;
  bool apart = false;  // not for the pool's waiters: no server of the pool could serve it
  bool waits = false;
  bool leaving = false;
  bool resident = false;
  std::size_t held = 0;  // levels from the front; null ones count

  bool whole() const { return held == kLevels; }
  // Where it waits.
  Level* blocked() const { return waits ? levels[held].get() : nullptr; }
};

class Budget {
 public:
  // Places that have become whole, or have come as far as a later level and wait there.
  using Granted = std::vector<Place*>;

  // For a place that holds nothing. True: it is whole. Else it waits, and is granted later.
  static bool ask(Place& place);
  // Gives back what it holds, or waits no longer; whoever can go on now does.
  static void drop(Place& place, Granted& granted);
  // A new limit, or belief.
  static void limit(Level& level, unsigned limit, unsigned believed, Granted& granted);
  // Its server was told to go.
  static void mark_leaving(Place& place);
  // A whole place that was granted some time ago is still within all limits.
  static bool within(const Place& place);
  // A server that stays however many wait: at least one place of each level is left to others.
  // False: there is none.
  static bool settle_down(Place& place);
  static void move_on(Place& place);
  // After limits have changed: settle_down() would still say yes.
  static bool may_stay(const Place& place);

  enum class Verdict : std::uint8_t { stay, go, go_later };
  // Whether a server that is free is to be closed for others. `own`: who could have it now; null:
  // nobody. go: it was marked as leaving, and `own` is what the pool's wish says from now on.
  // go_later: when `quantum` since its login is over.
  static Verdict judge(Place& place, const Claim* own, Duration age, Duration quantum);

 private:
  static bool advance(Place& place);
  static void wait(Place& place);
  static void wait_no_longer(Place& place);
  static void regrant(Level& level, Granted& granted);
  static void count(Level& level, Party& party, int by);
  static void tell(Level& level);
};

}  // namespace pgw::pool

// Limits on connections over several pools: of a PostgreSQL host, of a database, of a user. One
// object for all workers, because a pool lives on one worker and several pools share one host.
// Thread: any; touched when servers are opened and closed, and when somebody goes short; on the way
// of a query nothing but Account::pressed() is read.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/rate_limit.h"
#include "base/result.h"
#include "config/snapshot.h"
#include "net/loop.h"
#include "pool/backoff.h"
#include "pool/budget.h"
#include "server/host_numbers.h"

namespace pgw::server {

class Budgets;
class Errand;
class Pool;

// One PostgreSQL.
struct Host final : pool::Level {
  explicit Host(std::string place) : Level(Kind::host, std::move(place)) {}
  config::Settings settings;
  std::multiset<std::uint32_t> backends;  // of servers that have logged in
  // --- for short connections of pgweir's own, in the reserve ---
  unsigned errands = 0;
  std::deque<Errand*> errands_waiting;
  // --- PostgreSQL has refused more ---
  bool lowered = false;
  unsigned lowered_from = 0;  // the most places that were in use when it did
  Time refused_at{};
  Time lowered_at{};
  Time probe_at{};  // then one more is tried
  pool::Backoff backoff;
  Duration pause{};
  // --- its own numbers ---
  std::optional<HostNumbers> numbers;
  bool asking = false;
  Time ask_at{};
  std::string promise;  // what was said last about promising too much
  // --- thresholds ---
  unsigned colour = 0;  // 0 green, 1 yellow, 2 red
  RateLimit told[2] = {RateLimit(std::chrono::minutes(1)), RateLimit(std::chrono::minutes(1))};
};

// What a pool has with the budgets. Owned by the pool; outlives its seats.
class Account : public pool::Party {
 public:
  // `alive` ends before the pool does: nothing is posted to a pool that is gone.
  Account(Budgets& budgets, net::Loop& loop, Pool& pool, std::weak_ptr<bool> alive);
  ~Account();
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  // Where the pool leads from now on; servers from before keep their places. `most`: servers that
  // it may have itself.
  void settle(const std::string& host, const std::string& database, const std::string& user,
              unsigned most);
  bool pressed_now() const { return pressed.load(std::memory_order_relaxed); }

 private:
  friend class Budgets;
  friend class Errand;
  friend class Seat;
  Budgets& budgets_;
  net::Loop& loop_;
  Pool& pool_;
  std::weak_ptr<bool> alive_;
  std::array<std::shared_ptr<pool::Level>, pool::Place::kLevels> levels_;
  std::shared_ptr<Host> host_;
  std::string database_;
  unsigned most_ = 0;
  bool posted_ = false;  // Pool::budget_news() is on its way
};

// A level that is full, for an error.
struct Full {
  pool::Level::Kind kind{};
  std::string name;
  unsigned limit = 0;     // the setting; kNoLimit: it is PostgreSQL that refuses
  unsigned reserved = 0;  // of it
  unsigned used = 0;
  unsigned early = 0;  // beside these, for wishes that wait at a later level
  std::vector<std::pair<std::string, unsigned>> top;
};

// A place at all levels of a pool, or the wish for one. Thread: its pool's. Movable; gives
// everything back when it dies.
class Seat {
 public:
  Seat() = default;
  Seat(Seat&&) noexcept = default;
  Seat& operator=(Seat&& other) noexcept;
  ~Seat() { drop(); }

  // True: it is a place. Else it waits, and Pool::budget_news() follows when it is one. `apart`:
  // at the host only, and nothing that the pool's own servers could do instead.
  bool ask(Account& account, const pool::Claim& claim, bool apart, Time now);
  // Nothing at all: neither place nor wish.
  bool empty() const { return !place_; }
  // It is a place, and still within all limits; one that is not waits again.
  bool granted();
  void refresh(const pool::Claim& claim);
  void drop();
  // Its server has logged in; `pid` is PostgreSQL's process.
  void logged_in(std::uint32_t pid, Time now);
  // Its server was told to go.
  void leaving();
  // See pool::Budget::settle_down.
  bool settle_down();
  void move_on();
  bool may_stay() const;
  using Verdict = pool::Budget::Verdict;
  Verdict judge(const pool::Claim* own, Time now);
  // When judge() will not say go_later any more.
  Duration ripe_in(Time now) const;
  std::optional<Full> full() const;

 private:
  friend class Budgets;
  Account* account_ = nullptr;
  std::shared_ptr<Host> host_;
  std::unique_ptr<pool::Place> place_;
  std::uint32_t pid_ = 0;
  std::optional<Time> since_;  // its login
};

// A short connection of pgweir's own (CancelRequest): in the host's reserve. Thread: its pool's.
class Errand {
 public:
  // `go` is called when there is room: from inside this call, or later on the loop.
  Errand(Account& account, std::move_only_function<void()> go);
  ~Errand();
  Errand(const Errand&) = delete;
  Errand& operator=(const Errand&) = delete;

 private:
  friend class Budgets;
  Budgets& budgets_;
  net::Loop& loop_;
  std::shared_ptr<Host> host_;
  std::move_only_function<void()> go_;
  bool runs_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class Budgets {
 public:
  // A server is not closed for another pool's sake before it has been of use for this long, so that
  // hosts that many contend for do not spend their time connecting.
  static constexpr Duration kQuantum = std::chrono::milliseconds(100);

  void configure(config::SnapshotPtr snapshot);

  // PostgreSQL has said that it takes no more. Gives when one more is tried.
  void refused(Account& account, const Error& why, Random& random, Time now);
  // While PostgreSQL is believed to take no more: when to call probe() again. 0: it is not.
  Duration probe(Account& account, Time now);

  // --- PostgreSQL's own numbers ---
  // True: the caller is to ask it now, and checked() follows.
  bool wants_check(Account& account, Time now);
  Duration next_check(Account& account, Time now);
  HostAnswer begin_check(Account& account);
  // Nothing: it could not be asked, or has answered something else.
  void checked(Account& account, HostAnswer* answer, Time now);

  // For the console. Any thread.
  struct Report {
    unsigned limit = 0;  // for servers; kNoLimit: none
    unsigned reserve = 0;
    unsigned believed = 0;
    unsigned used = 0;
    unsigned waiting = 0;
    std::vector<std::pair<std::string, unsigned>> top;
    std::optional<HostNumbers> numbers;
  };
  std::map<std::string, Report> hosts() const;

 private:
  friend class Account;
  friend class Errand;
  friend class Seat;
  using Lines = std::vector<std::string>;  // to be logged when the lock is let go
  std::shared_ptr<pool::Level> level(pool::Level::Kind kind, const std::string& name);
  void set_limits(pool::Level& level, pool::Budget::Granted& granted);
  void post(Account& account);
  void post_all(const pool::Budget::Granted& granted);
  void ask_holders(const pool::Level& level);
  void run_errands(Host& host);
  void cross_thresholds(Host& host, Time now, Lines& lines);
  void weigh_promise(Host& host, Lines& lines);
  void recover(Host& host, Lines& lines);
  static void say(const Lines& lines);

  mutable std::mutex mutex_;
  config::SnapshotPtr snapshot_;
  std::map<std::pair<pool::Level::Kind, std::string>, std::weak_ptr<pool::Level>> levels_;
  std::size_t sweep_at_ = 0;
  std::set<Account*> accounts_;
};

}  // namespace pgw::server

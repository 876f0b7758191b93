// What is measured while a server is lent: since when it does what, and what it was asked last. It
// belongs to the server, so an idle client costs nothing, and is written a few times for each group
// of messages; who looks at it is the client's timer (client/limits.cc), which runs now and then.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"
#include "net/timer.h"
#include "relay/statements.h"

namespace pgw::server {

// The texts of the groups of messages that are owed an answer, the newest few. Buffers are kept:
// no allocation for each query.
class Texts {
 public:
  static constexpr std::size_t kMost = 1024;  // bytes of a text that is nobody's prepared statement

  // One more statement of this group is sent. `answered`: groups before this one are over.
  void note(std::uint32_t group, std::uint32_t answered, std::string_view text) {
    Slot* slot = slot_of(group, answered);
    if (!slot) return;
    slot->text.assign(text.substr(0, kMost));
    slot->cut = text.size() > kMost;
    slot->statement = {};
  }
  void note(std::uint32_t group, std::uint32_t answered, const relay::StatementRef& statement) {
    if (Slot* slot = slot_of(group, answered)) slot->statement = statement;
  }
  void clear() {
    for (Slot& slot : slots_)
      if (std::exchange(slot.count, 0u) > 0) slot.statement = {};
  }
  // Normalised (sql/normalise.h), for people: the last statement of the group, and of how many.
  // Empty: it is not known.
  std::string of(std::uint32_t group) const;
  std::string last() const;

 private:
  struct Slot {
    std::uint32_t group = 0;
    std::uint32_t count = 0;  // statements; 0: free
    bool cut = false;
    relay::StatementRef statement;  // if it is one; else `text`
    std::string text;
  };
  Slot* slot_of(std::uint32_t group, std::uint32_t answered) {
    Slot& slot = slots_[group % slots_.size()];
    if (slot.count > 0 && slot.group != group) {
      if (static_cast<std::int32_t>(slot.group - answered) >= 0) return nullptr;  // still owed
      slot.count = 0;
    }
    slot.group = newest_ = group;
    ++slot.count;
    return &slot;
  }
  static std::string shown(const Slot& slot);

  std::array<Slot, 4> slots_;
  std::uint32_t newest_ = 0;
};

struct Watch {
  Watch(net::Timer::Fire fire, void* owner) : timer(fire, owner) {}

  void begin_lease(Time now, Duration has_waited) {
    waited = has_waited;
    run = first = block = overdue = {};
    last = now;
    cancelled = false;
    reminded = 0;
  }
  // The client's message at hand is the first that PostgreSQL is given after it had nothing to do.
  void begin_run(Time now) {
    run = now;
    first = {};
    cancelled = false;
  }
  // A ReadyForQuery has come. `more`: further messages are owed an answer.
  void end_run(Time now, bool in_transaction, bool more) {
    if (run == Time{}) return;
    run = more ? now : Time{};
    if (!in_transaction) block = run;
    first = {};
    waited = {};
  }
  void heard_from_server(Time now) {
    last = now;
    if (first == Time{}) first = now;
  }

  Duration waited{};  // for the server; until the first group is over
  // Times are 0 while there is no such thing.
  Time run{};                 // since when PostgreSQL works on the group that is being answered
  Time first{};               // when the first bytes of its answer came
  Time block{};               // since when a transaction is open
  Time last{};                // when bytes came last, from either side
  Time overdue{};             // `run` of the group that was cancelled for query_timeout
  Time give_up{};             // when that has come to nothing
  Time silent_since{};        // of a client that was told of as a leak
  Duration slow{};            // a run of this length is slow; 0: none is
  bool cancelled = false;     // what comes as an error is of that cancel
  std::uint8_t reminded = 0;  // how often the client was told of as a leak
  Texts texts;
  net::Timer timer;
};

}  // namespace pgw::server

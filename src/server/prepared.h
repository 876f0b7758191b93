// Which statements one server has prepared, or will have when it has read what was sent to it.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/list.h"
#include "base/ring.h"
#include "relay/statements.h"

namespace pgw::server {

class Prepared {
 public:
  enum class Has : std::uint8_t {
    yes,
    no,
    unsure  // it depends on replies that are still to come
  };
  // `group` counts the Syncs, Queries and function calls sent so far: what was sent since the last
  // of them succeeds or is skipped together with what is sent now, so it may be relied on.
  Has has(const relay::StatementRef& statement, std::uint32_t group);
  // A Parse or a Close was sent; settle() tells of each, in order, whether it was carried out.
  void parse_sent(const relay::StatementRef& statement, std::uint32_t group);
  void close_sent(relay::Statement& statement, std::uint32_t group);
  void settle(bool happened);

  // What a client reads in the rows of the statement as this server has it (relay/shape.h); 0: not
  // known.
  std::uint64_t shape(const relay::StatementRef& statement) const;
  void set_shape(const relay::StatementRef& statement, std::uint64_t shape);

  // DEALLOCATE ALL: what was there is gone; what is still being sent is not.
  void forget_all();
  std::size_t count() const { return present_; }
  // The one that was not used for the longest time; null when there is none. Only with nothing
  // unsettled.
  relay::Statement* oldest() const;
  std::vector<relay::Statement*> oldest(std::size_t most) const;
  bool settled() const { return changes_.empty(); }
  // All, as they will be when what was sent is carried out.
  std::vector<relay::Statement*> all() const;
  // Those that no client has any more. Only with nothing unsettled.
  std::vector<relay::Statement*> unused() const;

 private:
  struct Entry {
    ~Entry() {
      if (statement) statement->on_one_less_server();
    }
    relay::StatementRef statement;
    ListHook used;
    bool present = false;
    std::uint32_t unsettled = 0;  // changes under way
    std::uint32_t group = 0;      // of the last one
    bool will_be = false;         // what the last one makes it
    std::uint64_t shape = 0;
  };
  struct Change {
    relay::Statement* statement;
    bool adds;
  };
  void note(Entry& entry, std::uint32_t group, bool adds);

  std::unordered_map<relay::Statement*, Entry> entries_;
  List<Entry, &Entry::used> by_use_;  // least recently used first
  base::Ring<Change> changes_;
  std::size_t present_ = 0;
};

}  // namespace pgw::server

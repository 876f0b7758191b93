// What the clients of a world know of each other: who has which lock, who listens, what was sent.
// With it they can tell a lock that two have, a notification that nobody sent or that came twice,
// and one that never came.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model.h"
#include "net/loop.h"

namespace pgw::sim {

class Board {
 public:
  // A client sends this NOTIFY, for the first time or again.
  void sends(const std::string& database, const Statement& statement);
  // It may give up what it has, or listen no longer.
  void uncertain(int client);
  // All that it has asked for is answered.
  // `link`: its connection.
  void settled(int client, const std::string& database, Time now, const Model& model,
               std::shared_ptr<const class Link> link);
  void gone(int client);

  // PostgreSQL has put it into its queue, which has one order for all.
  void queued(const std::string& database, const std::string& payload);
  // Its transaction is committed; what it sent last was sent at this time.
  void published(const std::string& database, const Model::Note& note, Time sent, Time now);
  // An error's text, or nothing.
  std::optional<std::string> heard(int client, const std::string& database,
                                   const std::string& channel, const std::string& payload);
  std::optional<std::string> locked(int client, const std::string& database, const std::string& key,
                                    Time sent) const;
  // Since when somebody's notification has been on its way to this client.
  std::optional<Time> owes(int client) const;

 private:
  struct Sent {
    std::string database;
    std::string channel;
    unsigned times = 0;
    std::uint64_t place = 0;  // in the queue; 0: not there yet
  };
  struct Member {
    std::string database;
    std::shared_ptr<const class Link> link;
    std::map<std::string, Time> locks;     // certainly its own, since then
    std::map<std::string, Time> channels;  // certainly listened to
    std::map<std::string, unsigned> heard;
    std::map<std::string, Time> due;
    std::uint64_t last = 0;  // the place of what it has heard last
  };
  std::map<std::string, Sent> sent_;  // by payload
  std::map<int, Member> members_;
  std::uint64_t places_ = 0;
};

}  // namespace pgw::sim

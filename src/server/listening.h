// The one server of a pool that listens for any number of clients (transaction mode). Which server
// that is: the first client's that is kept by LISTEN alone. Clients who come later are moved here
// from theirs, and taken back for as long as they do something with channels themselves.
//
// PostgreSQL's queue of notifications has one order for all backends of a database. So the place in
// it where a client is moved is a notification too, a token on a channel of pgweir's own: up to the
// token one server speaks for the client, behind it the other. Nothing is lost, comes twice or in
// another order, whichever of the two connections is faster.
//
// Thread: its worker's. Owned by its pool.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "net/loop.h"
#include "server/context.h"
#include "server/tenant.h"

namespace pgw::server {

class Listening;
class Pool;
class Server;

// A notification on its way to many: one message for all of them.
using Note = std::shared_ptr<const std::string>;

// A client, as the listening server sees it.
class Hearer {
 public:
  // Keeps it or passes it on; ends nothing. False: too much waits for it already.
  virtual bool hear(const Note& note) = 0;
  // ... and so it must go now.
  virtual void too_slow() = 0;
  // Subscription::ready() was false and is true from now on.
  virtual void may_move() = 0;
  // The token of Subscription::leave() was seen: nothing more comes.
  virtual void left() = 0;
  // The listening server is no more. The subscription is dead: the hearer destroys it.
  virtual void deaf(const Error& why) = 0;

 protected:
  ~Hearer() = default;
};

// That the listening server listens to these channels for this client. Owned by the client, and
// dies before the pool.
class Subscription {
 public:
  Subscription(Listening& home, Hearer& hearer, const std::vector<std::string>& channels);
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  // The listening server listens to all its channels, and for tokens: join() and leave() may be
  // called. If not, Hearer::may_move() follows.
  bool ready();
  bool has(Bytes channel) const;
  // It hears what comes behind this token, which is sent by PostgreSQL's process `pid`.
  void join(std::string_view token, std::uint32_t pid);
  // ... and nothing behind this one.
  void leave(std::string_view token, std::uint32_t pid);
  // The query with the last token has failed: all is as before.
  void take_back_token();
  // From now on, without a token: its server has become the listening one.
  void join_now() { hears_ = true; }

 private:
  friend class Listening;
  struct Seat {
    const std::string* channel;
    std::size_t index;  // in the channel's members
  };
  Listening& home_;
  Hearer& hearer_;
  std::vector<Seat> seats_;
  std::vector<std::string> tokens_;  // not seen yet: at most one of each kind
  bool hears_ = false;
};

class Listening final : Tenant {
 public:
  Listening(Context& context, Pool& pool);
  ~Listening();
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

  bool running() const { return server_ != nullptr; }
  // After a reload: there is still a place for others beside it.
  bool may_stay() const;
  // pgweir's own channel, for tokens. No client ever sees it.
  const std::string& marker() const { return marker_; }
  std::string fresh_token() const;
  // `server`, which its tenant gives away and which listens to these channels, is the listening one
  // from now on.
  void adopt(Server& server, const std::vector<std::string>& channels);
  // Gives the server back if nobody hears through it.
  void rest();
  // Gives it back; who hears through it is told why.
  void end(const Error& why);

 private:
  friend class Subscription;
  enum class State : std::uint8_t { wanted, asked, heard };
  struct Member {
    Subscription* who;
    std::size_t seat;
  };
  struct Token {
    Subscription* who = nullptr;
    std::uint32_t pid = 0;  // who sends it
    bool leaves = false;
  };
  struct Channel {
    State state = State::wanted;
    std::vector<Member> members;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  template <class T>
  using Table = std::unordered_map<std::string, T, Hash, std::equal_to<>>;

  void granted(Server&) override {}
  void refused(const Error&) override {}
  void deliver(Bytes) override {}
  void deliver_renamed_error(Bytes) override {}
  void statement_op(relay::Fate) override {}
  void described(const std::string&, const relay::StatementRef&, std::uint64_t) override {}
  void inspected(const Inspection*) override {}
  void notified(std::uint32_t pid, const wire::Notification& note, Bytes message) override;
  bool reported(Bytes, Bytes) override { return false; }
  std::string news(const relay::Settings&) override { return {}; }
  void lost_all_statements() override {}
  void schema_changed() override {}
  void replay_failed(const Error& why) override;
  void idle(char status) override;
  void progressed() override {}
  void lost(const Error& why, bool told) override;
  void cancel_over() override {}
  void server_drained() override {}
  std::size_t client_queued() const override { return 0; }
  About about() const override;

  Channel& want(const std::string& name);
  void token_seen(std::uint32_t pid, Bytes token);
  void work();
  void sweep();
  void sweep_later();
  void all_deaf(const Error& why);

  Context& context_;
  Pool& pool_;
  Server* server_ = nullptr;
  std::string marker_;
  Table<Channel> channels_;
  Table<Token> tokens_;  // on their way
  std::unordered_set<Subscription*> subscriptions_;
  std::unordered_set<Subscription*> awaiting_;  // of these, who are to be told
  std::vector<std::string> wanted_;             // not sent yet
  std::vector<std::string> asked_;              // under way
  bool failed_ = false;                         // what is under way has failed
  bool restoring_ = false;                      // it is given back its first settings
  unsigned failures_ = 0;                       // in a row
  std::string why_;
  bool resting_ = false;  // it is given back as soon as it owes nothing
  net::Timer sweep_timer_;
};

}  // namespace pgw::server

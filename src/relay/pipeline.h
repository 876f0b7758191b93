// The queue of replies that a server still owes, in the order in which the messages were sent to
// it. It tells of each reply whether the client may see it, and keeps to PostgreSQL's rules of the
// extended query protocol: an error skips everything up to the next Sync ("Extended Query" in the
// protocol chapter), Flush and Sync are ignored while COPY data is expected ("COPY Operations").
// Pure.
#pragma once
#include <cstdint>
#include <initializer_list>

#include "base/ring.h"

namespace pgw::relay {

enum class Want : std::uint8_t {
  parse,
  bind,
  close,
  describe_statement,
  describe_portal,
  execute,
  sync,
  query,
  function,
  copy_end,  // CopyDone or CopyFail: no reply of its own; it parts what was sent before from what
             // came after
  invent     // pgweir answers in the server's place when its turn has come
};

struct Expected {
  enum Flag : std::uint16_t {
    ours = 1,       // pgweir sent it: the reply is for nobody else
    quiet = 2,      // ... and its error is pgweir's affair too (else the error answers the client's
                    // message)
    client_op = 4,  // the client's statement names change when it succeeds
    server_op = 8,  // the server's set of prepared statements changes when it succeeds
    mild_set = 16,  // SET LOCAL and the like: the tag SET leaves nothing behind
    resets = 32,    // ends with RESET ALL
    refused = 128,  // an error has answered it; its ReadyForQuery is still to come
    renamed = 64,   // a statement's name in an error's text is pgweir's and must be the client's
    stands_in = 512,   // DEALLOCATE of the stand-in
    inspects = 1024,   // pgweir asks what the session holds
    sequences = 2048,  // has taken values of sequences when it is done, also behind a DISCARD
    temporary = 4096,  // what it creates is temporary, and nobody else's affair
    spells =
        8192,  // a statement is made under the client's own name; that it fails is of no account
    moves = 16384,   // pgweir moves where a client is listened for: an error is no harm
    describes = 256  // a shared statement's shape is learned from the reply
  };
  Want want = Want::sync;
  std::uint16_t flags = 0;
  char tag = 0;  // invent: '1' or '3'

  bool has(Flag flag) const { return (flags & flag) != 0; }
  // Its fate is of interest to somebody.
  bool followed() const { return (flags & (client_op | server_op | describes | spells)) != 0; }
};

// What became of a message: carried out; refused with an error; never looked at because of an error
// before it.
enum class Fate : std::uint8_t { happened, failed, skipped };

// Told of entries that are followed(), in order.
class Effects {
 public:
  virtual void settled(const Expected& entry, Fate fate) = 0;

 protected:
  ~Effects() = default;
};

struct Verdict {
  bool known = true;  // false: the server broke the protocol
  bool forward = true;
  bool ready = false;  // a ReadyForQuery of the client's or ours has been taken
  bool unasked =
      false;  // an error that answers nothing: PostgreSQL is about to close the connection
  bool quiet_error = false;  // an error in what pgweir sent for itself
  Expected entry;            // that the reply belongs to (sync when the queue was empty)
};

class Pipeline {
 public:
  void push(Expected entry);
  // The client sent Sync. False: it must not be sent on, because it stands inside COPY data, where
  // PostgreSQL ignores it.
  bool push_sync();
  // CopyDone or CopyFail is being sent.
  void push_copy_end();

  bool empty() const { return queue_.empty(); }
  std::size_t size() const { return queue_.size(); }
  // How many ReadyForQuery are owed.
  unsigned groups() const { return groups_; }
  // Which group of messages what is sent now belongs to: groups are ended by Sync, Query and
  // function call, and succeed or are skipped together.
  std::uint32_t group() const { return group_; }
  bool copying_in() const { return copy_open_; }
  // True when no message sent so far needs a further Sync: each belongs to a group that has its
  // end. While this is false the server is in an implicit transaction, or skips what it is sent,
  // whatever it said last.
  bool synced() const { return !unsynced_; }
  // After an error, PostgreSQL looks at nothing before the next Sync: nothing may be pushed but
  // that.
  bool skipping() const { return skipping_; }
  // Nothing is owed, and no group is open.
  bool quiet() const { return queue_.empty() && !unsynced_; }
  const Expected* front() const { return queue_.empty() ? nullptr : &queue_.front(); }
  const Expected* back() const { return queue_.empty() ? nullptr : &queue_.at(queue_.size() - 1); }

  // A reply has arrived. Call invented() until it says no before anything else is sent to the
  // client.
  Verdict reply(char tag, Effects& effects);
  // If the next entry is to be answered by pgweir: takes it and gives its reply's tag, else 0.
  char invented(Effects& effects);
  // The entries of the only group that is owed, if that is exactly these kinds and nothing came of
  // any yet.
  bool owes_only(std::initializer_list<Want> wants) const;
  std::uint16_t flags_at(std::size_t i) const { return queue_.at(i).flags; }
  // All that is owed is nobody's but pgweir's from now on.
  void make_ours_quiet();
  // The connection is gone: nothing will be answered.
  void abandon(Effects& effects);

  static bool ends_group(Want want) {
    return want == Want::sync || want == Want::query || want == Want::function;
  }

 private:
  void pop(Effects& effects);
  void drop_front(Effects& effects, Fate fate);
  void fail_group(Effects& effects);
  void begin_copy();
  void end_copy();
  Verdict ready(Verdict verdict, Effects& effects);
  Verdict error(Verdict verdict, Effects& effects);
  Verdict complete(Verdict verdict, Effects& effects);

  base::Ring<Expected> queue_;
  bool copying_ = false;    // CopyInResponse was seen for the front entry
  bool copy_open_ = false;  // ... and the client has not sent its end yet
  unsigned groups_ = 0;
  std::uint32_t group_ = 0;
  bool unsynced_ = false;
  bool skipping_ = false;
};

}  // namespace pgw::relay

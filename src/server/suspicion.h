// Which transactions of a pool are suspect: may leave something in their session that does not
// show in their text. The pool's servers survey the database now and then (server/survey.h), at the
// end of a lease before they are asked what the session holds, or when they are idle; never a
// server more, never in a client's transaction. Thread: its worker's. Owned by its pool.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "relay/suspects.h"
#include "server/schemas.h"
#include "server/survey.h"

namespace pgw::server {

class Pool;
class Server;
struct Context;

class Suspicion {
 public:
  Suspicion(Context& context, Pool& pool);

  // After the settings or the place of the database have changed.
  void configure();

  // --- of a transaction ---
  // Any transaction that begins now is suspect, whatever it names.
  bool all() const;
  // What names mean now is not known, or not of all: any text may show the statements that are
  // prepared on its server.
  bool blind() const;
  // What the names of today mean is not known: its texts are to be judged when it is.
  bool unjudged() const;
  // Names that make one suspect; null: there are none.
  const relay::Suspects* names() const { return names_.get(); }
  bool watches() const { return mode_ != Mode::text; }
  // What settings these set is not all known.
  bool opaque() const { return opaque_; }
  // Counts the changes of the schema that were seen.
  std::uint64_t changes() const { return schema_->changes.load(std::memory_order_relaxed); }
  // A transaction has changed the schema; let go of when it is over.
  std::shared_ptr<void> change() const;

  // --- of a server that is to be asked what its session holds ---
  enum class First : std::uint8_t { nothing, survey, wait };
  // What must come first. `changes`: as they were at the end of the transaction.
  First before_inspection(std::uint64_t changes) const;
  // A server that is free is to survey. `waited_for`: by a client.
  bool wants(bool waited_for) const;

  // --- the survey ---
  std::unique_ptr<Survey> begin(const Server& server);
  void done(Survey& survey);
  void failed(const Error& why);
  bool running() const { return running_; }
  // Since when the database leads where it does, if it has led elsewhere before: what servers from
  // before know is of no use.
  Time moved() const { return moved_; }

 private:
  enum class Mode : std::uint8_t { text, functions, always };
  bool due(std::uint64_t changes) const;
  void over();

  Context& context_;
  Pool& pool_;
  Mode mode_ = Mode::text;
  std::shared_ptr<Schema> schema_;
  std::string where_;
  std::unique_ptr<relay::Suspects> names_;
  std::string mark_;         // of the survey that gave them
  std::uint64_t seen_ = 0;   // changes when that began
  std::uint64_t begun_ = 0;  // ... when the one that is running did
  Time moved_{};
  Time stale_{};        // from then on it is too old
  Time retry_{};        // not before, after one that failed
  bool known_ = false;  // there was one
  bool all_ = false;    // it has found too much
  bool opaque_ = false;
  bool running_ = false;
  unsigned failures_ = 0;  // in a row
  std::string told_;       // what was logged last of what is wrong
};

}  // namespace pgw::server

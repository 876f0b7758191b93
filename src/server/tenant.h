// A client as the pool and its server see it.
#pragma once
#include "base/bytes.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "pool/fair_queue.h"
#include "relay/pipeline.h"
#include "relay/profile.h"
#include "relay/statements.h"
#include "server/inspection.h"
#include "wire/read.h"

namespace pgw::server {

class Server;
struct Party;

// All calls come on the worker's thread, from the loop; granted() also from inside Pool::acquire().
class Tenant : public pool::Waiter {
 public:
  // A server is this client's from now on, until it gives it back or lost() is called.
  virtual void granted(Server& server) = 0;
  // No server: the wait is over. The tenant is in no queue any more.
  virtual void refused(const Error& why) = 0;
  // It still waits, and is to be told so.
  virtual void waits(const std::string& /*text*/) {}
  // Replies for the client, in order, whole or part of messages.
  virtual void deliver(Bytes replies) = 0;
  // One whole ErrorResponse that answers a message in which pgweir put its own statement's name.
  virtual void deliver_renamed_error(Bytes message) = 0;
  // What became of an entry with client_op, in the order of sending.
  virtual void statement_op(relay::Fate fate) = 0;
  // The client's Describe of its statement `name` was answered: it relies on this shape from now
  // on.
  virtual void described(const std::string& name, const relay::StatementRef& statement,
                         std::uint64_t shape) = 0;
  // What the session holds, after Server::inspect(); null: PostgreSQL could not be asked.
  virtual void inspected(const Inspection* found) = 0;
  // A NotificationResponse; `message` is the whole of it. `pid`: of the server that it came from.
  virtual void notified(std::uint32_t pid, const wire::Notification& note, Bytes message) = 0;
  // PostgreSQL reported a setting between the client's replies. False: the client knows that this
  // is its value, and is not told: PostgreSQL reports what a replay has changed when the client's
  // own group ends.
  virtual bool reported(Bytes name, Bytes value) = 0;
  // These are the values now. Gives ParameterStatus messages for those that the client believes to
  // be others.
  virtual std::string news(const relay::Settings& reported) = 0;
  // The client's statement said so: see relay::Effect.
  virtual void lost_all_statements() = 0;
  virtual void schema_changed() = 0;
  // A setting that pgweir replays was refused; `why` is PostgreSQL's own message. None of the
  // client's messages was carried out. If the client waits for it, idle() follows.
  virtual void replay_failed(const Error& why) = 0;
  // The server owes nothing any more. status: 'I', 'T' or 'E'.
  virtual void idle(char status) = 0;
  // A ReadyForQuery has come, and more is owed; or an error has, and nothing more before a Sync.
  virtual void progressed() = 0;
  // The server's connection is gone; the lease with it. `said` is what PostgreSQL gave as reason
  // and was delivered already, or empty.
  virtual void lost(const Error& why, bool told) = 0;
  // The CancelRequests for this server have ended: further queries may be sent.
  virtual void cancel_over() = 0;
  // The server takes bytes again, after server.queued() was too much.
  virtual void server_drained() = 0;
  virtual std::size_t client_queued() const = 0;
  virtual About about() const = 0;
  // The server's Watch: its timer has fired; a group of messages was slow, and is over now.
  virtual void check_time() {}
  virtual void was_slow() {}

  // --- the pool's own ---
  // Places of shared budgets (server/party.h).
  struct Places {
    bool app = false;
    bool session = false;
  };
  Party* party = nullptr;   // its app's; null: it is of none
  bool is_session = false;  // its lease is a session's
  bool leases = false;      // it has a server of the pool's
  Places places;            // ... and with it these

 protected:
  ~Tenant() = default;
};

}  // namespace pgw::server

// One client after its login. Its messages are read in client/serve.cc, its statements handled in
// client/statements.cc, its settings and what keeps its server in client/session.cc, what it hears
// (LISTEN) in client/hearing.cc, its life told in client/client.cc. Thread: its worker's. Owned by
// its worker.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "client/admission.h"
#include "client/hearing.h"
#include "client/names.h"
#include "config/policies.h"
#include "config/time_limits.h"
#include "net/loop.h"
#include "server/server.h"
#include "server/tenant.h"
#include "stats/pinning.h"

namespace pgw::server {
class Pool;
}

namespace pgw::client {

class Worker;

class Client final : net::StreamSink, server::Tenant, server::Hearer {
 public:
  // `pid` and `key` are what the client sends to cancel.
  Client(Worker& worker, server::Pool& pool, const Admission& admission, std::uint32_t pid,
         std::uint32_t key);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Takes the stream over and welcomes the client, now or when a server has told what to say.
  // `early`: bytes that it has sent already.
  void start(std::unique_ptr<net::Stream> stream, std::string greeting, std::string early);
  // A CancelRequest with this client's key.
  // `ticket` is let go when the cancel has had its effect, or has none.
  void cancel(std::uint32_t key, std::shared_ptr<void> ticket);
  // Told to leave as soon as its transaction is over; at once if it has none. One that waits for a
  // server has sent a request already: it may be served first.
  enum class Waiting : std::uint8_t { serve, refuse };
  void drain(const Error& why, Waiting waiters);
  const std::string& database() const;
  const std::string& user() const;
  // The app that it belongs to, since its login.
  const std::string& app() const;
  // The configuration has changed.
  void configure();
  // Adds the time for which its server has stayed with it to the counters.
  void count_pins();
  // Ends it now.
  void end(const Error& why);
  // Called every `every`: whether it has a server and its host has been silent for `limit`.
  bool silent_too_long(Duration every, Duration limit);
  void host_is_gone(Duration limit);
  std::uint32_t pid() const { return pid_; }
  net::StreamSink& sink() { return *this; }

 private:
  enum class Phase : std::uint8_t {
    welcoming,  // it waits for its first ReadyForQuery
    serving,
    raw,  // replication: bytes pass as they are
    gone
  };

  // --- its connection ---
  void on_bytes(Bytes bytes) override;
  void on_drained() override;
  void on_end(const Error& why) override;

  // --- its server ---
  void granted(server::Server& server) override;
  void refused(const Error& why) override;
  void waits(const std::string& text) override;
  void deliver(Bytes replies) override;
  void deliver_renamed_error(Bytes message) override;
  void statement_op(relay::Fate fate) override;
  void described(const std::string& name, const relay::StatementRef& statement,
                 std::uint64_t shape) override;
  void inspected(const server::Inspection* found) override;
  void notified(std::uint32_t pid, const wire::Notification& note, Bytes message) override;
  bool reported(Bytes name, Bytes value) override;
  std::string news(const relay::Settings& reported) override;
  void lost_all_statements() override;
  void schema_changed() override;
  void replay_failed(const Error& why) override;
  void idle(char status) override;
  void progressed() override;
  void cancel_over() override;
  void lost(const Error& why, bool told) override;
  void server_drained() override;
  std::size_t client_queued() const override;
  About about() const override;
  void check_time() override;
  void was_slow() override;

  // --- the listening server, and which server listens for it (hearing.cc) ---
  bool hear(const server::Note& note) override;
  void too_slow() override;
  void may_move() override;
  void left() override;
  void deaf(const Error& why) override;
  server::Pins heed_channels(const server::Inspection& found);
  void share_listening();
  void take_back();
  void taken_back();
  bool hearing_idle();
  bool concerns_channels();
  // A request waits for a move between the listening server and its own.
  bool waits_for_listening() const;
  void listening_overdue();
  void tell_notes(bool all);

  void welcome(const relay::Settings& reported);
  // Its settings are these from now on.
  void adopt(const relay::Settings& settings, const relay::Settings& reported);
  // Where no inspection follows: what was reset goes back to what the client has asked for at its
  // start.
  void restart_settings();
  const std::string* put_back(Bytes name, Bytes value, std::uint32_t group) const;
  bool knows(Bytes name, Bytes value) const;
  bool differs(Bytes name, Bytes value);
  // The values of its profile, where it was told others.
  void tell_drift();
  // Its session holds this: for what is not to be ignored, the server stays.
  void hold(Pins pins);
  // ... and what the texts have shown and no inspection sees.
  void hold_sticky();
  // --- policies.cc ---
  void pin(Pins pins);
  void warn_of(Pins pins);
  // The text must be analysed before it is sent.
  bool concerns(const relay::Scan& scan) const;
  // The text needs claim_sequences(), which fails where a group before it has.
  bool claims_sequences(const relay::Scan& scan) const;
  // The reasons that the policy does not allow; then the statement is refused: in its place the
  // server is sent one that fails there.
  Pins forbidden(const sql::Analysis& found, Bytes text);
  // Something stays with its server, as far as is known yet.
  bool may_be_pinned() const { return pins_ != 0 || server_->dirty() || server_->inspecting(); }
  // Its server must be made clean before anybody else has it.
  bool keeps_state() const { return (pins_ | ignored_) != 0; }
  void tell_changes();
  void release();
  // Its lease ends: what it had only for that long goes. The server is for the caller to give away.
  server::Server& part();
  // Waits for a server again if it has sent more meanwhile.
  void queue_again();
  void try_another_server();
  void maybe_release();
  // `orderly`: the client said goodbye, so what it has sent is still carried out.
  // `because`: for the log, when there is no error to tell.
  void leave(const Error* why, bool orderly = false, std::string_view because = {});
  void update_reading();

  // --- time limits, leaks, slow statements (limits.cc) ---
  struct Idle {
    Idle(Time now, Client* client)
        : heard(now),
          timer([](void* self) { static_cast<Client*>(self)->check_idleness(); }, client) {}
    Time heard;  // when it sent something, or gave its server back, last
    net::Timer timer;
  };
  void set_limits(const config::Settings& settings);
  std::string limit_hint(std::string_view setting) const;
  void watch_lease();
  void watch_idleness();
  void check_idleness();
  bool check_transaction(Time& next);
  bool check_query(Time& next);
  void check_leak(Time& next);
  bool waited_for() const;
  void end_for(Code code, std::string_view setting, const std::string& what);
  bool deliver_cancelled(std::string_view state);
  void name_leak();
  void end_leak(server::Server& server, std::string_view how);

  // --- its messages (serve.cc) ---
  // What this transaction may have put back to first values.
  struct Resets {
    std::vector<std::string> names;  // as in sql::Analysis
    std::uint32_t group = 0;         // of messages, the first with such
    std::uint32_t last_group = 0;    // ... and the last
    std::set<std::string> sets;      // what it has set to values of its own
    bool any = false;                // names has more than those
    bool due = false;                // some may not have the client's values again yet
    bool over = false;               // the transaction was rolled back

    bool include(const std::string& name) const;
  };
  // What the transaction has asked for while it was not known what names mean.
  struct Unread {
    std::string texts;
    std::vector<std::uint32_t> calls;
    bool too_much = false;
  };
  const relay::Profile& start_profile() const { return start_ ? **start_ : *profile_; }
  // Unlike pid_ alone, never another client's.
  std::uint64_t serial() const { return std::uint64_t{pid_} << 32 | key_; }
  // How long its server has stayed with it, and what has been seen of why.
  struct Pinned {
    std::array<Time, kPinCount> since{};    // of those in pins_
    std::array<Time, kPinCount> counted{};  // up to then
    Pins shown = 0;                         // by this statement's text
    std::string statement;                  // its beginning
  };
  // What becomes of the message at hand.
  enum class Step : std::uint8_t {
    keep,      // it is sent as it is
    drop,      // it was dealt with
    replaced,  // its front was sent in another form; run_ is where its rest begins
    stall,     // not before replies have come, or a server; the bytes are kept
    stop       // the client is gone
  };
  // What executing a portal does beside what its reply tells.
  struct Portal {
    std::uint16_t flags = 0;  // of relay::Expected
    std::string deallocates;  // the statement is DEALLOCATE of this name
  };
  using Portals = std::map<std::string, Portal, std::less<>>;
  struct Frame {
    char tag;
    Bytes here;         // of the body, what has arrived
    std::size_t total;  // with its header
    bool whole;
  };
  void serve(Bytes bytes);
  bool serve_frames(const char* end);
  bool ready_for(const Frame& frame, std::size_t& need) const;
  Step open(const Frame& frame);
  Step without_server(const Frame& frame);
  bool begins_group(char tag) const;
  Step begin_group();
  Step on_query(const Frame& frame);
  Step on_call(const Frame& frame);
  Step on_parse_of_session(const Frame& frame);
  void note_text(Bytes text);
  Step on_sync();
  Step on_execute(const Frame& frame);
  Step on_copy(const Frame& frame);
  // Of a statement that is about to be carried out.
  // currval or lastval is about to be asked for: never another client's.
  void claim_sequences();
  void note_reset(const std::string& name);
  // Gives the flags of the reply that is to be expected.
  std::uint16_t heed(const sql::Analysis& found);
  Step refuse_query(Pins pins, std::uint16_t flags);
  Step refuse_bind(Pins pins);
  // What the text may do by what it names. `statement`: that it is the text of, or null.
  relay::Marks marks_of(Bytes text, const relay::Statement* statement) const;
  bool heed_names(Bytes text, relay::Marks marks);
  void heed_call(std::uint32_t function);
  void heed_marks(relay::Marks marks);
  Unread& put_off();
  void heed_late();
  Step pass(relay::Want want, std::uint16_t flags = 0);
  Step end_with(const Error& why);
  Step wait_for_replies(bool all);
  Step wait_for_listening();  // pool_timeout at most
  // Sends what stands before the message at hand, so that something else can be sent.
  void cut();
  // The query that waited for a server was cancelled: it is answered here, and its messages are
  // taken as PostgreSQL takes those after an error.
  Step discard(const Frame& frame);
  bool blocked() const { return stalled_ || waiting.linked() || waiting_for_prepare_; }

  // --- its statements (statements.cc) ---
  Step on_parse(const Frame& frame);
  Step on_bind(const Frame& frame);
  Step on_describe(const Frame& frame);
  Step on_close(const Frame& frame);
  Step parse_unnamed(const Frame& frame, Bytes text, Bytes types);
  Step parse_named(Bytes name, Bytes text, Bytes types);
  // Sees to it that the server has what `name` stands for. keep: as it is. replaced: use
  // `server_name`. drop: there is no such statement, and the refusal was sent.
  Step reach(Bytes name, relay::Want want, std::string& server_name, Portal* portal = nullptr);
  // A Parse of what is known to be right, or a Close, outside of any transaction, needs no server:
  // so a client can prepare while all servers are busy.
  bool answer_alone(const Frame& frame);
  // Whether the statement on this server gives what the client was told; drop: it does not, and the
  // refusal was sent.
  Step check_shape(Bytes name, const Names::Value& value, bool taught);
  Step refuse(std::string_view kind, Bytes name, relay::Want want, std::uint16_t flags = 0);
  // For a text that speaks of prepared statements: its server gets them under the client's names.
  Step spell_out(const relay::Scan& scan, bool hide);
  // Whether the text of this statement may show what is prepared on its server.
  bool lists(const relay::Statement& statement) const;
  // Where any text may: statements that are not the client's own go from its server. False: not
  // before replies have come.
  bool hide_others();
  // A name that SQL PREPARE may have given, for all that is known here.
  bool may_be_of_sql(Bytes name) const;
  bool has_room_for(Bytes text);
  void stand_in(bool simple);
  bool note_portal(Bytes name, Portal portal);
  Names& names();

  // What an idle client has none of.
  struct Rare {
    std::unique_ptr<Error> leaving;  // drained: it goes when its transaction is over
    std::unique_ptr<std::vector<std::pair<std::string, std::string>>>
        replication;                                    // start-up parameters for it
    std::set<std::string, std::less<>> sql_statements;  // while they pin its server
    std::set<std::string> named;  // custom settings that it has set since the last inspection
    std::unique_ptr<Unread> unread;
    Portals portals;  // those with anything to remember
    bool empty() const {
      return !leaving && !replication && sql_statements.empty() && named.empty() && !unread &&
             portals.empty();
    }
  };
  Rare& rare() {
    if (!rare_) rare_ = std::make_unique<Rare>();
    return *rare_;
  }
  const Error* leaving() const { return rare_ ? rare_->leaving.get() : nullptr; }
  bool replicates() const { return rare_ && rare_->replication; }
  void note_named(const std::string& setting);

  Worker& worker_;
  server::Pool& pool_;
  relay::ProfilePtr profile_;                 // its settings
  std::unique_ptr<relay::ProfilePtr> start_;  // those of its start-up packet, if these are others
  stats::AppCounters& pinning_;               // its app's
  std::unique_ptr<Pinned> pinned_;
  std::unique_ptr<net::Stream> stream_;
  server::Server* server_ = nullptr;
  std::unique_ptr<Names> names_;  // null: it has never prepared anything
  std::unique_ptr<relay::Settings>
      drift_;             // reported settings that differ from the profile's, while on this server
  std::string pending_;   // bytes not dealt with yet; reading is paused while there are any
  std::size_t skip_ = 0;  // of a long message's body, still to come
  std::unique_ptr<Idle> idle_;  // null: it may be idle for ever
  config::TimeLimitsPtr limits_;
  const char* run_ = nullptr;  // while serving: from here on nothing was sent yet,
  const char* at_ = nullptr;   // and here the message at hand begins,
  const char* end_ = nullptr;  // and this is the end of what has arrived
  std::size_t need_ = 0;       // pending_ must be this long before a look at it is worth while
  std::unique_ptr<Resets> resets_;
  std::unique_ptr<Hearing> hearing_;  // null: it listens to nothing
  std::unique_ptr<Rare> rare_;
  std::uint32_t pid_;
  std::uint32_t key_;
  std::uint32_t told_ = 0;  // the version of the profile's reported settings
  std::uint16_t silent_sweeps_ = 0;
  std::uint16_t leased_groups_ = 0;  // sent since the lease began
  Phase phase_ = Phase::welcoming;
  config::Mode mode_;
  bool skip_drop_ = false;
  bool stalled_ = false;        // pending_ waits for replies
  bool waits_for_all_ = false;  // ... until nothing is owed
  bool waiting_for_prepare_ = false;
  bool waits_for_replay_ = false;    // stalled_, only until the settings are in effect
  bool replay_failed_ = false;       // they are not, and another server may do better
  std::uint8_t replays_failed_ = 0;  // in a row
  std::uint8_t unanswered_ = 0;      // inspections that failed, in a row
  bool barrier_ = false;             // nothing further until the server owes nothing
  bool serving_ = false;
  bool cancelled_ = false;   // while it waited: the next message is answered with 57014
  bool discarding_ = false;  // ... and what follows up to the Sync is not looked at
  bool server_full_ = false;
  bool told_why_ = false;     // the log has the reason of its end
  bool client_full_ = false;  // it does not read: what it sends waits, too
  bool altered_ = false;      // texts may have another meaning until this transaction ends
  config::Policies policies_;
  Pins pins_ = 0;     // why the server stays with it
  Pins ignored_ = 0;  // what else its session holds: cleaned away when the lease ends
  Pins sticky_ = 0;   // of both, what no inspection sees
};

}  // namespace pgw::client

// One connection to PostgreSQL: it logs in (server_login.cc), is lent to one client after the
// other, whose session it holds (server_session.cc) and whose statements it has
// (server_statements.cc), passes replies on (server_relay.cc), and is made clean in between.
// Thread: its worker's. Owned by its pool.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "net/loop.h"
#include "relay/pipeline.h"
#include "relay/profile.h"
#include "server/budgets.h"
#include "server/cancel.h"
#include "server/context.h"
#include "server/login.h"
#include "server/prepared.h"
#include "server/survey.h"
#include "server/tenant.h"
#include "server/watch.h"

namespace pgw::server {

class Pool;

class Server final : net::StreamSink, relay::Effects {
 public:
  enum class State : std::uint8_t {
    placing,  // a private one waits for its place
    resolving,
    connecting,
    login,
    idle,  // in the pool
    leased,
    cleaning,  // between two clients
    closing    // told to go; counts until PostgreSQL has closed the connection
  };

  Server(Context& context, Pool& pool);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void connect();
  // For replication: logs in with more parameters, and then passes bytes on as they are until
  // either side ends.
  // `has_place`: seat is one; else take_place() is called when it is.
  void connect_for(Tenant& tenant, std::vector<std::pair<std::string, std::string>> parameters,
                   bool has_place);
  void take_place();
  bool wants_place() const { return state_ == State::placing; }
  Tenant* private_tenant() const { return private_ ? tenant_or_waiting_ : nullptr; }
  bool is_private() const { return private_; }
  void leave_private();
  const relay::Settings& reported() const { return reported_; }
  int major_version() const;  // PostgreSQL's; 0: not known
  // Whether PostgreSQL reported this value at the server's own login.
  bool initially(Bytes name, Bytes value) const {
    const auto* first = relay::look_up(first_reported_, name);
    return first && *first == value;
  }
  State state() const { return state_; }
  Time born() const { return born_; }
  Time idle_since() const { return idle_since_; }

  // --- for the client that has the lease ---
  // Takes the server to the state that the client is promised: its settings, and room for its
  // statements. True: wait for Tenant::idle() before anything is sent, because it may be refused,
  // or because the profile is to learn what PostgreSQL reports. Else it costs no round trip: what
  // is needed is sent before the client's own messages, and in such a way that PostgreSQL skips
  // these, up to their Sync, if it fails. Only while nothing is owed and outside of transactions.
  bool prepare(const relay::ProfilePtr& profile, bool session);
  // The settings were sent before the client's messages and are not all answered yet: no second
  // group may follow, for it would not be skipped with the first.
  bool replaying();
  // The same, and no message of the client's stands behind them: they get a Sync of their own.
  // True: so it is.
  bool end_replay();
  void send(Bytes bytes) {
    if (remembers_) remember(bytes);
    stream_->send(bytes);
  }
  // One more reply will come; call it before or after the send of its message, in the order of
  // messages.
  void expect(relay::Expected entry);
  // The client's Sync: sends it, unless it must wait (COPY).
  void send_sync();
  void copy_end_sent() { pipeline_.push_copy_end(); }
  // Answers for the server at once if it is their turn.
  void deliver_invented();
  // Parse of a shared statement that this client needs and this server lacks.
  // `types`: those that it is to have instead of its own; empty: its own.
  void replay(const relay::StatementRef& statement, bool close_first, Bytes types = {});
  // Describe of a shared statement, which this server has by then. `name` is the client's for it.
  // `check`: for pgweir alone, to know its shape; with a Flush, and Tenant::progressed() follows.
  void describe(const relay::StatementRef& statement, std::string_view name, bool check);
  // Statements under the client's own names, for a text that speaks of them: for as long as the
  // lease, or the pin, does not end. `hide`: those that clients share are closed, because the text
  // would see them.
  using Own = std::map<std::string, relay::StatementRef, std::less<>>;
  void spell_out(const Own& own, bool hide);
  // The same of these alone; may stand anywhere in a client's messages.
  void hide(const std::vector<relay::Statement*>& statements);
  bool spells(std::string_view name) const { return spelled_.contains(name); }
  // Parse of `statement` under a name that the server has been given: PostgreSQL says whether it
  // still has it. For the client, which defines the name.
  bool has_spelled(std::string_view name) const {
    const auto at = spelled_.find(name);
    return at != spelled_.end() && at->second.made;
  }
  void respell(std::string_view name, const relay::StatementRef& statement, Bytes text,
               Bytes types);
  bool spells_any() const { return !spelled_.empty(); }
  relay::Pipeline& pipeline() { return pipeline_; }
  Prepared& prepared() { return prepared_; }
  std::uint32_t group() const { return pipeline_.group(); }
  char status() const { return status_; }
  // Whether the next message would find another client's settings, or none.
  bool needs_prepare(const relay::ProfilePtr& profile) const { return profile_ != profile; }
  std::size_t queued() const { return stream_->queued(); }
  void pause() { stream_->pause(); }
  void resume() { stream_->resume(); }
  // What is sent from now on belongs to a group that begins with a Bind of `statement`: kept, as
  // long as it is short, in case that PostgreSQL says that its plan is out of date.
  void begin_group_of(const relay::StatementRef& statement);
  // Its tenant has got part of a message.
  bool amid_message() const { return skip_ > 0 && skip_forward_; }
  // Whose unnamed statement is on this server: any number that the client knows as its own; 0:
  // nobody's.
  std::uint64_t unnamed = 0;
  // For pgweir's own ends: nobody hears of it.
  void query(std::string_view text);
  // The same, and the client's unnamed statement and portal stay.
  void run_apart(std::string_view sql);
  // Gives these settings their values again where they were reset.
  void refill(const relay::Settings& wanted);
  // Whose sequence values (currval, lastval) the session may hold: the client with this number.
  static constexpr std::uint64_t kNobody = 0, kSeveral = ~std::uint64_t{0};
  std::uint64_t sequences_of = kNobody;
  // The group of messages that is being answered has failed.
  bool group_failed() const { return group_failed_; }
  bool replayed = false;  // the last prepare() had settings to change
  // Drops all sequence values; may stand anywhere in a client's messages.
  void discard_sequences();
  // Its session may hold what a new one does not.
  void make_dirty() { dirty_ = true; }
  bool dirty() const { return dirty_; }
  // Another tenant has the lease from now on. Outside of transactions, and nothing is owed.
  void pass_to(Tenant& tenant);
  // A query of pgweir's whose failure does no harm: nothing follows but Tenant::idle().
  void try_query(std::string_view text);
  // It listens for pgweir: UNLISTEN before anybody else gets it.
  void set_listening() { listening_ = true; }
  // PostgreSQL's process.
  std::uint32_t pid() const { return pid_; }
  // A group of messages begins, of a client in transaction mode.
  void begin_group();
  // The transaction is over. Whether it may have left something: its text said so, or the schema
  // has changed meanwhile, so that nobody knows what its names have meant.
  bool suspect();
  // It may have been given so short a time for its statements that this must be put aside first.
  void be_patient() { patient_ = true; }
  // Asks PostgreSQL what that is: Tenant::inspected() follows. Outside of transactions.
  void inspect();
  bool inspecting() const { return inspection_ != nullptr || deferred_; }
  // A statement that was taught in a transaction which may have changed its meaning: it is
  // forgotten before anybody else gets the server.
  void taint(const relay::StatementRef& statement) { tainted_.push_back(statement); }
  // Something that cannot be taken away again: nobody else gets this server.
  void spoil() { spoilt_ = true; }
  // A CancelRequest for what the server does now. It is lent to nobody else until PostgreSQL has
  // taken it.
  // `ticket` is let go when that is so, or the cancel came to nothing.
  void cancel(std::shared_ptr<void> ticket = {});
  bool cancelling() const { return cancel_ != nullptr; }
  // How many groups of messages have been answered; tells whether a query is still the same.
  std::uint32_t answered() const { return pipeline_.group() - pipeline_.groups(); }
  // The client is done with it (nothing is owed, no transaction is open), or gone. `broken_frame`:
  // part of a message was sent and its rest will never come.
  void give_back(bool session);
  // `hurry`: nobody waits for what it does, so it is cancelled.
  void abandon(bool broken_frame, bool hurry);

  // --- for the pool ---
  void lend(Tenant& tenant);
  // While it is idle: see Suspicion.
  void survey();
  // The same, for the numbers of its host: see HostNumbers.
  void check_host();
  // PostgreSQL has refused its login because it has no connection left for anybody.
  bool host_full() const { return host_full_; }
  // By whichever server.
  void survey_over();
  void close(const char* why, bool broken_frame = false);
  // Closes those that no client has any more; at once, or when it is next lent.
  void shed_statements();
  bool may_be_lent() const { return state_ == State::idle && !cancel_; }
  std::uint32_t lease() const { return lease_; }
  Tenant* tenant() const { return tenant_; }  // null: nobody has it
  // Called every `every`: whether PostgreSQL's host has been silent for `limit`.
  bool silent_too_long(Duration every, Duration limit);
  void host_is_gone(Duration limit);
  // It is free, and a cancel for it has not even begun.
  void drop_waiting_cancel();
  void cancel_ended(bool reached, std::optional<Wish> next);

  ListHook in_idle;
  Seat seat;  // its places in the budgets, from before its connect
  bool overflow = false;
  Watch watch;          // of the lease
  Duration lifetime{};  // with its chance taken off; 0: no limit

 private:
  void on_connected() override;
  void on_bytes(Bytes bytes) override;
  void on_drained() override;
  void on_end(const Error& why) override;
  void settled(const relay::Expected& entry, relay::Fate fate) override;

  void resolved(Result<std::vector<net::Address>> addresses);
  void try_next_address(std::optional<Error> failed);
  void start_login();
  void login_bytes(Bytes bytes);
  bool login_message(char tag, Bytes body);
  void derive();
  void login_failed(const Error& why, bool definite);

  void relay(Bytes bytes);
  const char* relay_frames(const char* at, const char* end, const char*& run);
  bool stream_head(char tag, Bytes part, std::uint32_t missing, const char*& run);
  Bytes finish_carry(Bytes bytes);
  // One whole message. False: the connection is being closed.
  bool frame(Bytes message, const char*& run);
  bool inspect(char tag, Bytes body, relay::Verdict& verdict);
  void completed(Bytes tag, const relay::Verdict& verdict);
  void lose_sequences(const relay::Expected& entry);
  void deliver(const char* from, const char* to);
  void deliver_news();
  void bulk(std::size_t bytes);
  void broke_protocol(char tag);
  void ready();
  void run_over(const relay::Verdict& verdict);
  void clean();
  void become_idle();
  void remember(Bytes bytes);
  void learn_reported();
  bool heal(Bytes error);
  bool heal_describe();
  void inspected(bool failed);
  void unspell(const Inspection& found);
  bool defers_inspection();
  void send_survey();
  void survey_row(Bytes message);
  void survey_answered();
  void drop_survey();
  void host_answered();
  void drop_check();
  void schema_changes(std::string_view tag);
  void emptied();
  void learn_shape(Bytes columns, bool ours);
  bool streams(char tag, std::size_t total) const;
  bool lead(const relay::Settings& from, relay::Profile& profile);
  std::shared_ptr<const relay::Lead> made_lead(const relay::Settings& from,
                                               const relay::Settings& to);
  bool lead_with(const relay::Lead& lead);
  void expect_lead(std::initializer_list<relay::Want> wants);
  void close_statements(const std::vector<relay::Statement*>& statements);
  void lose(const Error& why);
  void deadline();
  void start_cancel(Wish wish);

  Context& context_;
  Pool& pool_;
  std::unique_ptr<net::Stream> stream_;
  Tenant* tenant_ = nullptr;
  relay::Pipeline pipeline_;
  Prepared prepared_;
  relay::ProfilePtr profile_;   // in effect; null: as PostgreSQL starts a session
  relay::ProfilePtr learning_;  // its reported settings are taken when the replay is done
  relay::Settings reported_;
  relay::Settings first_reported_;
  std::unique_ptr<Inspection> inspection_;  // under way
  std::unique_ptr<Survey> survey_;          // under way
  std::unique_ptr<HostAnswer> check_;       // under way
  std::optional<Error> survey_error_;
  std::shared_ptr<void> ddl_;  // the transaction has changed the schema
  std::uint64_t judged_ = 0;   // changes of the schema when the transaction began
  std::uint64_t settled_ = 0;  // ... and when it ended
  bool unjudged_ = false;      // see suspect()
  bool deferred_ = false;      // inspect() waits for a survey
  bool patient_ = false;       // see be_patient()
  std::vector<relay::StatementRef> tainted_;
  struct Spelling {
    relay::StatementRef statement;
    bool made = false;  // PostgreSQL has taken it
  };
  std::map<std::string, Spelling, std::less<>> spelled_;
  struct Spell {
    std::string name;
    relay::StatementRef instead;  // of what it stands for now; null: that is made
  };
  std::deque<Spell> spelling_;  // under way, in order
  std::uint32_t agreed_ = 0;    // the version of profile_'s that it was found equal to; 0: none
  struct Described {
    relay::StatementRef statement;
    std::string name;  // the client's
  };
  std::deque<Described> described_;     // whose Describe is under way
  std::string parameters_;              // of the front one: its ParameterDescription's body
  bool describe_begins_group_ = false;  // ... and nothing was sent in its group before it
  bool parameters_told_ = false;        // ... and it is not to be told again
  bool checked_ = false;                // one for pgweir alone was answered
  std::string carry_;                   // a message that is not whole yet
  std::size_t skip_ = 0;                // bytes of a long message's body still to come
  std::size_t in_request_ = 0;          // bytes since the last ReadyForQuery
  State state_ = State::resolving;
  char status_ = 'I';
  bool skip_forward_ = false;
  bool dirty_ = false;
  bool spoilt_ = false;
  bool listening_ = false;  // see set_listening()
  bool group_failed_ = false;
  bool resetting_ = false;   // RESET ALL was done, if the query that holds it succeeds
  bool discarding_ = false;  // the same of DISCARD ALL
  bool ready_seen_ = false;
  bool quiet_failed_ = false;  // something that pgweir sent for itself was refused
  bool replaying_ = false;     // see replaying()
  bool shed_ = false;          // statements that no client has are to be closed
  bool reports_due_ = false;   // what it has changed is reported at the end of the group; or
                               // something was, and the client was not told as it is
  bool fatal_told_ = false;    // PostgreSQL said why it closes
  bool bulk_ = false;
  bool private_ = false;
  bool host_full_ = false;
  bool remembers_ = false;
  bool healed_ = false;     // the error at hand was dealt with
  std::string group_sent_;  // of the group that begins with a Bind of group_statement_
  relay::StatementRef group_statement_;
  bool muted_ = false;                   // a FATAL was passed on
  bool dying_ = false;                   // PostgreSQL has said goodbye
  bool session_ = false;                 // the lease is a session's
  Tenant* tenant_or_waiting_ = nullptr;  // of a private server
  std::vector<std::pair<std::string, std::string>> extra_;
  std::uint32_t lease_ = 0;   // counts the clients it was lent to
  Cancel* cancel_ = nullptr;  // under way
  std::uint32_t pid_ = 0;
  std::string key_;
  std::unique_ptr<Login> login_;
  std::vector<net::Address> addresses_;
  std::size_t next_address_ = 0;
  net::Address address_;
  Time born_{};
  Time idle_since_{};
  Duration silent_{};
  net::Timer timer_;
  std::shared_ptr<bool> alive_ =
      std::make_shared<bool>(true);  // for answers that come from other threads
};

}  // namespace pgw::server

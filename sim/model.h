// What a client may expect: PostgreSQL's session semantics, written down a second time and
// independently of the scripted PostgreSQL. It is fed with the client's requests and says, reply by
// reply, what must come.
#pragma once
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "request.h"
#include "sql.h"
#include "wire.h"

namespace pgw::sim {

// One expected message, or a run of rows.
struct Reply {
  char type = 0;
  std::string body{};                 // exact, but for E and N
  std::string sqlstate{};             // E, N
  std::vector<std::string> others{};  // other bodies that are right as well
  Statement rows{};                   // D, d with count: a row each
  std::uint32_t from = 0;
  std::uint32_t count = 0;
  // In an aborted block of transaction mode: the server that the block runs on need not have the
  // statement, and cannot be given it any more.
  bool or_aborted = false;
  bool fatal = false;     // E: the connection ends with it
  bool or_stale = false;  // "cached plan must not change result type" would be right as well
  std::string or_code{};  // an error with this SQLSTATE would be right as well
  // D: the answer is only known when it is there, and matters: 'l' did the session get this lock,
  // 'n' the next value of the sequence.
  // 'L' the same, for the transaction.
  char learn = 0;
  std::string about{};
};

// With a pooler start-up parameters are settings that it makes, so a RESET of one leads to
// PostgreSQL's own value for the rest of the same query string, or up to the Sync: nothing can be
// sent in between. What is reported (ParameterStatus) is right all the same.
inline constexpr bool kResetsLate = true;

class Model {
 public:
  // What is promised: PostgreSQL itself; all of its session (start-up parameters are settings of
  // it); the whole session, but on servers that change.
  enum class Promise : std::uint8_t { direct, session, whole };

  void start(Values initial, Promise promise);
  void push(Request request);
  // The next reply; null when nothing more must come before the client sends more.
  const Reply* expected();
  bool matches(const Message& message);  // against expected()
  void pop();
  // An error came in the place of what was expected, and was right to come.
  void interrupted();
  bool idle() { return expected() == nullptr; }
  bool ends() const;  // the connection, with what was asked so far
  void run_ahead();   // takes all replies for granted

  char status() const { return state_.block; }
  bool in_copy() const { return state_.copying; }
  bool copy_is_extended() const { return state_.copy_extended; }
  bool skipping() const { return state_.skip; }
  bool pipeline_open() const { return state_.open && state_.block == 'I'; }
  bool has_statement(const std::string& name) const { return state_.prepared.contains(name); }
  int params_of(const std::string& name) const;
  std::vector<std::string> statement_names() const;
  // A SELECT portal that can go on; empty when there is none.
  std::optional<std::string> open_portal() const;
  bool has_portal(const std::string& name) const { return state_.portals.contains(name); }
  bool has_savepoint(const std::string& name) const;
  // May the setting have this value, as far as the client can know?
  bool may_be_reported(const std::string& setting, const std::string& value) const;
  // The request that is being answered, for messages.
  std::string current() const;

  // model_session.cc
  using Note = std::pair<std::string, std::string>;  // channel, payload
  const Statement* statement(const std::string& name) const;
  const std::set<std::string>& listens() const { return state_.listens; }
  std::set<std::string> locks() const;
  // Could the session have a lock that others want, too?
  bool may_hold_locks() const { return state_.maybe_locked || !locks().empty(); }
  std::vector<Note> take_published() { return std::exchange(state_.published, {}); }

 private:
  struct Prepared {
    bool empty = false;
    Statement statement;
    std::vector<std::uint32_t> types;
    int version = 0;
    bool from_sql = false;
  };
  struct Portal {
    Prepared prepared;
    std::vector<std::string> params;
    int format = 0;
    std::uint32_t row = 0;
    bool spent = false;
  };
  struct Temporary {
    unsigned rows = 0;
    bool fleeting = false;  // ON COMMIT DROP
  };
  struct Cursor {
    Statement query;
    std::uint32_t row = 0;
    unsigned serial = 0;  // 0: of an earlier transaction
  };
  struct Mark {
    std::string name;
    Values session;
    Values local;
    std::map<std::string, int> tables;
    std::map<std::string, Temporary> temporary;
    std::vector<Statement> wishes;
    std::vector<Note> notes;
    std::map<std::string, unsigned> locks;  // of the transaction
    unsigned serial;
  };
  struct State {
    char block = 'I';
    bool open = false;  // some transaction is under way
    bool skip = false;
    bool simple = false;
    bool several = false;
    bool over = false;  // nothing is answered any more
    bool copying = false;
    bool copy_extended = false;
    std::uint32_t copied = 0;
    Values session;
    Values local;
    std::map<std::string, int> tables;
    std::vector<Mark> marks;
    std::map<std::string, Prepared> prepared;
    std::map<std::string, Portal> portals;
    std::deque<Statement> pending;
    std::set<std::string> placeholders;  // custom settings that were set once
    std::map<std::string, Temporary> temporary;
    std::map<std::string, Cursor> cursors;
    unsigned serial = 1;  // of the next cursor
    std::map<std::string, unsigned> locks;
    std::map<std::string, unsigned> locks_here;  // until the transaction ends
    bool maybe_locked = false;
    std::set<std::string> listens;
    std::vector<Statement> wishes;     // LISTEN and UNLISTEN, until the commit
    std::vector<Note> notes;           // NOTIFY, until the commit
    std::vector<Note> arrivals;        // its own, until ReadyForQuery
    std::vector<Note> published;       // committed
    std::optional<std::string> value;  // of the sequence; empty: not known yet
    std::set<std::string> late;        // settings that were reset in this group of messages
    std::set<std::string> resets;      // ... since the client was last idle
    bool doubtful = false;             // ... which something may have undone
    std::set<std::string> unknown;     // settings that session mode need not have put back
  };

  static std::string session_column(Kind kind);
  void step(const Request& request);
  void step_statement(const Statement& s, Portal* portal, std::uint32_t limit);
  void step_utility(const Statement& s);
  void step_transaction(const Statement& s);
  void step_setting(const Statement& s);
  void reset(const std::string& setting);
  void reset_all();
  void set_config(const Statement& s, bool described);
  void step_session(const Statement& s, bool described);
  void step_lock(const Statement& s);
  void state_rows();
  unsigned times_locked(const std::string& key) const;
  bool session_utility(const Statement& s);
  void forget_session();
  void committed();
  bool lacks_relation(const Statement& s) const;
  std::optional<Statement> shape(const Statement& s) const;
  Mark mark(std::string name) const;
  bool exact() const { return promise_ == Promise::direct || promise_ == Promise::whole; }
  // Prepared statements are the pooler's own affair.
  bool shared() const { return promise_ == Promise::whole; }
  void on_query(const Request& r);
  void on_parse(const Request& r);
  void on_bind(const Request& r);
  void on_describe(const Request& r);
  void on_execute(const Request& r);
  void on_function(const Request& r);
  void on_copy(const Request& r);
  void rows(const Statement& s, Portal* portal, std::uint32_t limit);
  void error(std::string sqlstate);
  void fail();
  void end_simple();
  void ready();
  void add(char type, std::string body = "") { replies_.push_back({type, std::move(body)}); }
  void done(std::string_view tag);
  void begin_any();
  void end_any(bool keep);
  void restore(const Mark& mark);
  bool aborted(const Statement& s) const;
  bool aborted_alike(const std::string& got, const std::string& wanted) const;
  std::string value(const std::string& setting) const;
  std::optional<std::string> custom(const std::string& setting) const;
  std::vector<Column> columns(const Statement& s, int format) const;
  bool stale(const Prepared& p) const;
  bool touched(const Prepared& p) const;
  std::vector<std::string> possible(const std::string& setting, bool reported = false) const;

  Promise promise_ = Promise::session;
  Values initial_;
  std::map<std::string, std::set<std::string>> own_values_;  // all that this client has ever set
  std::set<std::string> altered_;
  std::set<std::string> own_numbers_;  // that nextval gave it
  std::string matched_;                // the last body that did
  std::deque<Request> requests_;
  std::deque<Reply> replies_;
  std::optional<Request> answering_;
  State state_;
  State before_;  // the last step
};

}  // namespace pgw::sim

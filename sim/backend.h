// One connection of the scripted PostgreSQL: login, messages, transactions, settings, statements,
// portals, COPY.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "net/loop.h"
#include "net/timer.h"
#include "password.h"
#include "postgres.h"
#include "sql.h"
#include "wire.h"

namespace pgw::sim {

class Backend final : public net::StreamSink {
 public:
  Backend(Postgres& postgres, std::unique_ptr<net::Stream> stream, int pid);

  int pid() const { return pid_; }
  std::uint32_t key() const { return key_; }
  bool is_session() const { return stage_ == Stage::ready; }
  bool is_replication() const { return replication_; }
  bool is_cancel() const { return cancel_; }
  bool holder_left() const;  // who connected has closed its end already
  char block() const { return block_; }
  bool idle() const { return !activity_ && !copy_ && !simple_; }
  const std::string& user() const { return user_; }
  const std::string& database() const { return database_; }
  void interrupt();         // a cancel request
  void die(bool politely);  // 57P01, or a reset
  std::string describe() const;
  bool waits_for(const std::string& lock) const;
  bool waits_here() const { return activity_->statement.kind == Kind::lock_here; }
  void locked();  // it has got it
  void notify(int from, const std::string& channel, const std::string& payload);

  void on_bytes(Bytes bytes) override;
  void on_drained() override { pump(); }
  void on_end(const Error& why) override;

 private:
  using Rows = std::vector<std::vector<std::optional<std::string>>>;
  enum class Stage : std::uint8_t { startup, password, ready, gone };
  struct Prepared {
    std::vector<Statement> statements;  // none or one
    std::vector<std::uint32_t> types;
    int version = 0;  // of its table, when it was parsed
    bool from_sql = false;
  };
  struct Portal {
    Prepared prepared;
    std::vector<std::string> params;
    int format = 0;
    std::uint32_t row = 0;
    bool started = false;
    bool done = false;
  };
  struct Temporary {
    std::uint32_t rows = 0;
    bool drop = false;  // ON COMMIT DROP
  };
  struct Cursor {  // WITH HOLD
    Statement query;
    std::uint32_t row = 0;
    unsigned born = 0;
  };
  struct Point {  // what a savepoint, or the transaction's start, goes back to
    std::string name;
    Values session;
    Values local;
    std::size_t undo;
    std::map<std::string, Temporary> temporary;
    std::size_t listening;  // of so many
    std::size_t notes;
    std::map<std::string, unsigned> locks;  // of the transaction
    unsigned born;                          // cursors with this number or a higher one are younger
  };
  struct Activity {  // a statement that takes time or whose rows wait for the reader
    Statement statement;
    std::string portal;
    bool extended = false;
    std::uint32_t end = 0;
    std::uint32_t row = 0;
    std::uint32_t limit = 0;
    std::uint32_t sent = 0;
    bool asleep = false;
    std::vector<std::string> params;
    std::optional<Rows> made{};  // all its rows, when they were made at once
    std::string tag{};           // when it is not the usual one
  };
  struct Copy {
    Statement statement;
    std::uint32_t rows = 0;
    bool cancelled = false;
  };

  // backend.cc: bytes, login, the pump
  void pump();
  void login(const Message& message);
  void startup(Reader& in);
  bool take_parameter(const std::string& name, const std::string& value);
  bool take_options(const std::string& options);
  void check_password(const Message& message);
  void welcome();
  void refuse(std::string_view sqlstate, std::string_view text);
  void put(char type, std::string_view body);
  void flush();
  void leave();
  bool blocked();

  // backend_messages.cc
  void handle(const Message& message);
  void query(Reader in);
  void next_simple();
  void finish_simple();
  void parse_message(Reader in);
  void bind(Reader in);
  void describe_message(Reader in);
  void execute_message(Reader in);
  void close_message(Reader in);
  void function_call(Reader in);
  void copy_message(const Message& message);
  void sync();
  void ready_for_query();
  void raise(std::string_view sqlstate, std::string_view text, std::string_view routine = "");
  void no_statement(const std::string& name);
  void warn(std::string_view sqlstate, std::string_view text);
  bool plan_is_stale(const Prepared& prepared) const;

  // backend_execute.cc
  void execute(const Statement& statement, Portal* portal, const std::string& name,
               std::uint32_t limit);
  void execute_utility(const Statement& statement);
  void transaction_statement(const Statement& statement);
  bool advance();
  std::vector<Column> columns(const Statement& statement, int format) const;
  std::vector<std::string> cells(const Activity& activity) const;
  void open_transaction();
  void commit();
  void rollback();
  void back_to(const Point& point);
  Point point(std::string name) const;
  void own(const Statement& statement);

  // backend_settings.cc
  void unknown_setting(const std::string& name);
  void setting_statement(const Statement& statement);
  void reset(const std::string& name);
  void reset_all();
  bool has_own(const std::string& name) const {
    return session_.contains(name) || local_.contains(name);
  }
  bool assign(const Assignment& one);  // false: it was an error
  std::optional<std::string> value_of(const std::string& name) const;

  // backend_session.cc
  std::string missing_relation(const Statement& statement) const;
  std::optional<Statement> described(const Statement& statement) const;
  void run_session(const Statement& statement, Activity activity);
  bool session_utility(const Statement& statement);
  Rows session_rows(const Statement& statement, Activity& activity);
  Rows inspection(const Statement& statement) const;
  Rows survey(const Statement& statement) const;
  Rows state() const;
  void discard_all();
  void end_of_transaction();
  void deliver();

  Postgres& postgres_;
  Simulation& sim_;
  std::unique_ptr<net::Stream> stream_;
  std::shared_ptr<Link> link_;
  int pid_;
  std::uint32_t key_;
  Framer framer_{true};
  Stage stage_ = Stage::startup;
  bool cancel_ = false;
  bool pumping_ = false;
  std::string out_;
  std::string user_;
  std::string database_;
  std::string salt_;
  std::optional<ScramCheck> scram_;
  bool replication_ = false;
  std::uint32_t version_ = 0;
  std::vector<std::string> odd_options_;

  Values initial_;  // what RESET goes back to
  Values session_;  // what the session has set
  Values local_;
  std::set<std::string> placeholders_;  // custom settings that were set once: never unknown again
  Values reported_;
  char block_ = 'I';
  bool open_ = false;          // a transaction has begun, explicitly or not
  bool several_ = false;       // a simple Query of several statements: an implicit block
  std::vector<Point> points_;  // the first is the transaction's start
  std::vector<std::pair<std::string, int>> undo_;  // of tables
  std::map<std::string, Temporary> temporary_;
  std::map<std::string, Cursor> cursors_;
  unsigned births_ = 0;
  std::vector<std::string> channels_;
  std::vector<std::pair<Kind, std::string>> listening_;           // at commit
  std::vector<std::pair<std::string, std::string>> notes_;        // at commit
  std::vector<std::pair<std::string, std::string>> undelivered_;  // bodies, by channel
  std::optional<std::uint64_t> current_value_;                    // of the sequence
  int owner_ = -1;  // the client whose tokens this transaction has seen

  std::map<std::string, Prepared> prepared_;
  std::map<std::string, Portal> portals_;
  bool skip_ = false;  // until Sync
  bool simple_ = false;
  std::deque<Statement> pending_;
  std::optional<Activity> activity_;
  std::optional<Copy> copy_;
  net::Timer alarm_;
};

}  // namespace pgw::sim

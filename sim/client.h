// A scripted client: connects, logs in, plays its script, and checks every message against the
// model.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/time_limits.h"
#include "model.h"
#include "net/loop.h"
#include "net/timer.h"
#include "password.h"
#include "script.h"
#include "sim_loop.h"

namespace pgw::sim {

// What the world lets happen, and therefore a client must bear.
struct Rules {
  bool faults = false;  // connections break, servers restart, waits time out
  bool pooled = false;  // there is a pooler in between
  // Passwords change in mid-run: a client may hold the old one, or the new one too early.
  bool new_passwords = false;
  const struct Drain* drain = nullptr;
  class Board* board = nullptr;
  bool reloads = false;         // what listens for a client may end
  bool warns = false;           // who keeps its server is warned of it
  config::TimeLimits limits{};  // the pooler's
};

// The pooler's end, if it comes to that.
struct Drain {
  bool begun = false;
  bool done = false;
  bool over = false;  // transactions need not be left to finish any more
};

struct ClientPlan {
  int number = 0;
  net::Address address;
  Model::Promise promise = Model::Promise::session;
  std::string user = "app";
  std::string database = "shop";
  std::string password = "secret";
  std::string other_password;  // right before or after some reload
  bool refused = false;        // its password is wrong: 28P01 must come
  std::vector<std::pair<std::string, std::string>> parameters;
  std::string options;  // start-up parameter of this name
  Values initial;       // its settings when these are in effect
  bool asks_ssl = false;
  std::uint32_t version = 196608;
  unsigned batches = 20;
  unsigned depth = 1;  // batches in flight
  Duration start_within = 100ms;
  Duration think_most = 20ms;
  unsigned cancels = 0;  // chances per thousand and step
  unsigned vanishes = 0;
  unsigned lingers = 0;      // in a transaction until it is ended
  unsigned sleeps = 0;       // pauses its reading
  unsigned leaves_open = 0;  // at the end: leaves without settling its transaction
  unsigned reconnects = 0;
  Script::Taste taste;
};

class Client final : public net::StreamSink {
 public:
  Client(SimLoop& loop, ClientPlan plan, Rules rules, Random random);
  ~Client();

  void start();
  bool finished() const { return stage_ == Stage::finished; }
  bool settled() const { return settled_; }  // it left with nothing open
  unsigned answered() const { return answered_; }
  std::string describe() const;

  void on_connected() override;
  void on_bytes(Bytes bytes) override;
  void on_end(const Error& why) override;

 private:
  enum class Stage : std::uint8_t { waiting, connecting, login, ready, condemned, finished };
  class Cancel;

  void connect();
  void login(const Message& message);
  void ready(const Message& message);
  void on_error(const Message& message, const Reply* wanted);
  void on_warning(const Message& m);
  void on_parameter(const Message& message);
  void check_parameters();
  // client_session.cc
  void tell_board(const Request& request);
  void tell_ready();
  void off_board();
  void check_lock(const Reply& reply, const Message& message);
  void on_notification(const Message& message);
  bool awaits_notifications();

  void act();
  void send_batch();
  void send(const std::vector<Request>& requests);
  // client_limits.cc
  bool limit_passed(std::string_view state) const;
  bool linger();
  void note_sent();
  void after_reply();
  void leave();
  void vanish();
  void send_cancel();
  void maybe_pause();
  void wait(Duration most);
  void again_or_finish();
  void fail(std::string_view text);
  bool may_break() const;

  SimLoop& loop_;
  Simulation& sim_;
  ClientPlan plan_;
  Rules rules_;
  Random random_;
  Script script_;
  Model model_;
  Model ahead_;
  std::vector<Statement> unnamed_sent_;  // in the last Parse of it
  Stage stage_ = Stage::waiting;
  std::unique_ptr<net::Stream> stream_;
  std::shared_ptr<Link> link_;
  Framer framer_{false};
  bool ssl_answer_due_ = false;
  bool settled_ = false;
  char status_ = 'I';     // of the last ReadyForQuery
  bool between_ = false;  // nothing but ReadyForQuery or an error has come last: no transaction
  Time busy_since_{};     // when it sent after a time with nothing to wait for
  Time block_since_{};    // ... outside of a transaction
  Time run_since_{};      // ... outside of a COPY
  Time sent_{};           // when it sent last
  Time sent_before_{};    // ... before it got something last: later bytes may not be there yet
  bool lingering_ = false;
  std::optional<Prover> prover_;
  Values reported_;
  std::uint32_t pid_ = 0;
  std::uint32_t key_ = 0;
  bool has_key_ = false;
  unsigned batches_left_;
  unsigned in_flight_ = 0;
  unsigned cancels_out_ = 0;  // that may still hit
  unsigned answered_ = 0;
  int attempt_ = 0;
  bool paused_ = false;
  bool wants_to_leave_ = false;
  std::vector<std::unique_ptr<Cancel>> cancels_;
  net::Timer timer_;
  net::Timer pause_timer_;
};

}  // namespace pgw::sim

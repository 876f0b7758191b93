#include "client.h"

#include <algorithm>

#include "base/check.h"
#include "password.h"

namespace pgw::sim {

// A cancel request on a connection of its own.
class Client::Cancel final : public net::StreamSink {
 public:
  Cancel(SimLoop& loop, const net::Address& to, std::string packet)
      : packet_(std::move(packet)), stream_(loop.connect(to, *this)) {}
  bool over() const { return !stream_; }
  void on_connected() override { stream_->send(packet_); }
  void on_bytes(Bytes) override {}
  void on_end(const Error&) override { stream_.reset(); }

 private:
  std::string packet_;
  std::unique_ptr<net::Stream> stream_;
};

Client::Client(SimLoop& loop, ClientPlan plan, Rules rules, Random random)
    : loop_(loop),
      sim_(loop.simulation()),
      plan_(std::move(plan)),
      rules_(rules),
      random_(random.fork()),
      script_(plan_.taste, random.fork()),
      batches_left_(plan_.batches),
      timer_([](void* self) { static_cast<Client*>(self)->act(); }, this),
      pause_timer_(
          [](void* self) {
            auto& it = *static_cast<Client*>(self);
            it.paused_ = false;
            if (it.stream_) it.stream_->resume();
          },
          this) {}

Client::~Client() = default;

void Client::send_cancel() {
  std::erase_if(cancels_, [](const auto& c) { return c->over(); });
  if (model_.idle()) return;
  sim_.trace("c{} cancels", plan_.number);
  ++cancels_out_;
  cancels_.push_back(std::make_unique<Cancel>(
      loop_, plan_.address, frame(0, Body().u32(80877102).u32(pid_).u32(key_).take())));
}

void Client::start() { wait(plan_.start_within); }

void Client::wait(Duration most) {
  loop_.arm(timer_, Duration(random_.below(static_cast<std::size_t>(most.count()) + 1)));
}

std::string Client::describe() const {
  static constexpr const char* kStages[] = {"waiting", "connecting", "login",
                                            "ready",   "condemned",  "finished"};
  return fmt::format("c{} {} {} batches left, answering {}", plan_.number,
                     kStages[static_cast<int>(stage_)], batches_left_, model_.current());
}

void Client::fail(std::string_view text) {
  sim_.fail(fmt::format("c{}: {} (answering {})", plan_.number, text, model_.current()));
}

bool Client::may_break() const { return rules_.faults || (rules_.drain && rules_.drain->begun); }

void Client::connect() {
  ++attempt_;
  script_.new_session(attempt_);
  framer_ = Framer(false);
  model_ = Model();
  reported_.clear();
  has_key_ = false;
  status_ = 'I';
  between_ = true;
  lingering_ = false;
  busy_since_ = run_since_ = block_since_ = sent_ = sent_before_ = sim_.now();
  off_board();
  in_flight_ = 0;
  cancels_out_ = 0;
  wants_to_leave_ = false;
  stage_ = Stage::connecting;
  stream_ = loop_.connect(plan_.address, *this);
  link_ = static_cast<SimStream&>(*stream_).shared_link();
}

void Client::on_connected() {
  stage_ = Stage::login;
  if (plan_.asks_ssl && !ssl_answer_due_) {
    ssl_answer_due_ = true;
    return stream_->send(frame(0, Body().u32(80877103).take()));
  }
  ssl_answer_due_ = false;
  auto parameters = plan_.parameters;
  parameters.emplace_back("user", plan_.user);
  parameters.emplace_back("database", plan_.database);
  if (!plan_.options.empty()) parameters.emplace_back("options", plan_.options);
  prover_.emplace(plan_.user, plan_.password, Random(static_cast<std::uint64_t>(link_->number())));
  model_.start(plan_.initial, plan_.promise);
  ahead_ = model_;
  sim_.trace("c{} -> login {}", plan_.number, plan_.options);
  stream_->send(startup_packet(plan_.version, parameters));
  if (random_.chance(plan_.vanishes)) vanish();
}

void Client::on_bytes(Bytes bytes) {
  if (ssl_answer_due_) {
    if (bytes[0] != 'N' && may_break()) {
      stream_.reset();
      return again_or_finish();
    }
    if (bytes[0] != 'N') return fail("SSLRequest was not answered with N");
    if (bytes.size() > 1) return fail("bytes behind the answer to SSLRequest");
    return on_connected();
  }
  framer_.feed(bytes);
  while (stream_ && !sim_.failure()) {
    const auto message = framer_.next();
    if (!message) break;
    sim_.trace("c{} {}", plan_.number, readable(*message, false));
    if (stage_ == Stage::condemned) {
      fail("a message after FATAL");
    } else if (stage_ == Stage::login) {
      login(*message);
    } else {
      ready(*message);
    }
  }
  if (framer_.broken()) fail("the server's bytes are no messages");
  maybe_pause();
}

void Client::login(const Message& m) {
  switch (m.type) {
    case 'R':
      if (random_.chance(plan_.vanishes)) return vanish();
      stream_->send(prover_->answer(m.body));
      if (prover_->cheated()) fail("the server has not proven that it knows the password");
      return;
    case 'v':
      return;
    case 'S':
      return on_parameter(m);
    case 'K': {
      Reader in(m.body);
      pid_ = in.u32();
      key_ = in.u32();
      has_key_ = true;
      return;
    }
    case 'E':
      return on_error(m, nullptr);
    case 'Z':
      if (plan_.refused) return fail("logged in with a wrong password");
      if (m.body != "I") return fail("ReadyForQuery after login is not idle");
      if (!has_key_) return fail("no BackendKeyData");
      check_parameters();
      stage_ = Stage::ready;
      return act();
    default:
      return fail(fmt::format("unexpected message {} during login", m.type));
  }
}

void Client::on_parameter(const Message& m) {
  Reader in(m.body);
  const std::string name = in.text();
  const std::string value = in.text();
  if (const auto other = foreign_token(value, plan_.number))
    return fail(fmt::format("ParameterStatus {}={} is of c{}", name, value, *other));
  reported_[name] = value;
}

void Client::check_parameters() {
  for (const Setting& s : kSettings) {
    if (!s.reported) continue;
    if (!reported_.contains(s.name)) return fail(fmt::format("{} was never reported", s.name));
    if (!model_.may_be_reported(s.name, reported_[s.name]))
      return fail(fmt::format("{} was reported as \"{}\"", s.name, reported_[s.name]));
  }
  const auto user = reported_.find("session_authorization");
  if (user == reported_.end()) return fail("session_authorization was never reported");
}

void Client::ready(const Message& m) {
  if (m.type != 'E') sent_before_ = sent_;
  if (m.type == 'S') return on_parameter(m);
  if (m.type == 'A') return on_notification(m);
  if (m.type == 'N' &&
      error_field(m.body, 'M').starts_with("a server connection stays with this client"))
    return on_warning(m);
  const Reply* wanted = model_.expected();
  if (m.type == 'E' && (!wanted || wanted->type != 'E' || !model_.matches(m)))
    return on_error(m, wanted);
  if (const auto other = foreign_token(m.type == 'd' || m.type == 'D' ? "" : m.body, plan_.number))
    return fail(fmt::format("{} with a token of c{}: {}", m.type, *other, readable(m, false)));
  if (!wanted) return fail(fmt::format("unexpected {}", readable(m, false)));
  if (!model_.matches(m)) {
    const auto other = foreign_token(m.body, plan_.number);
    return fail(fmt::format("{}got {}, wanted {} {}{}",
                            other ? fmt::format("TOKEN OF c{}: ", *other) : std::string(),
                            readable(m, false), readable({wanted->type, wanted->body}, false),
                            wanted->sqlstate, wanted->rows.token));
  }
  if (wanted->fatal) stage_ = Stage::condemned;
  check_lock(*wanted, m);
  model_.pop();
  // The end of a block counts at once, in the extended protocol before its Sync. Close begins no
  // transaction (exec_* are what calls start_xact_command), so behind its answer, too,
  // notifications may come.
  const bool block_ends = m.type == 'C' && (m.body == Body().text("COMMIT").take() ||
                                            m.body == Body().text("ROLLBACK").take());
  between_ = (between_ && m.type == '3') || (m.type == 'Z' && m.body == "I") ||
             (m.type == 'E' && model_.status() == 'I') || (block_ends && model_.status() == 'I');
  ++answered_;
  if (m.type == 'Z') {
    status_ = m.body[0];
    check_parameters();
    tell_ready();
  }
  after_reply();
}

void Client::on_error(const Message& m, const Reply* wanted) {
  const std::string code = error_field(m.body, 'C');
  const std::string severity = error_field(m.body, 'S');
  // Who gets no server is told which apps hold them, and each client may be an app of its own.
  const bool names_apps = code == "53300";
  if (const auto other = foreign_token(m.body, plan_.number); other && !names_apps)
    return fail(fmt::format("an error with a token of c{}: {}", *other, readable(m, false)));
  static const std::vector<std::string> kBroken = {"08006", "57P01", "57P02", "57P03",
                                                   "53300", "57P05", "08003", "08001"};
  const bool of_faults = std::ranges::find(kBroken, code) != kBroken.end();
  if (severity == "FATAL") {
    stage_ = Stage::condemned;
    if (plan_.refused && code == "28P01") return;
    if (rules_.new_passwords && code == "28P01" && attempt_ < 20) {
      std::swap(plan_.password, plan_.other_password);
      ++plan_.reconnects;
      return;
    }
    if (limit_passed(code)) return;
    // The pool of the listening server leads elsewhere, or has no room for it any more.
    if (rules_.reloads && code == "08006" && status_ == 'I' &&
        error_field(m.body, 'M').starts_with("the server that listened for this client was lost"))
      return;
    const bool drained = !rules_.faults && code == "57P01" && rules_.drain;
    if (drained && status_ != 'I' && !rules_.drain->over)
      return fail("a drain ended a transaction before its time");
    if (!may_break() || !of_faults) fail(fmt::format("unexpected {}", readable(m, false)));
    return;
  }
  if (wanted && ((wanted->or_stale && code == "0A000") || (wanted->or_aborted && code == "25P02") ||
                 (!wanted->or_code.empty() && wanted->or_code == code))) {
    model_.interrupted();
    between_ = model_.status() == 'I';
    return after_reply();
  }
  const bool late = limit_passed(code);
  const bool cancelled = code == "57014" && (cancels_out_ > 0 || late);
  if ((wanted || model_.in_copy()) && (cancelled || (may_break() && rules_.pooled && of_faults))) {
    if (cancelled && !late) --cancels_out_;
    model_.interrupted();
    between_ = model_.status() == 'I';
    return after_reply();
  }
  fail(fmt::format("unexpected {}, wanted {} {}", readable(m, false), wanted ? wanted->type : '-',
                   wanted ? wanted->sqlstate : ""));
}

void Client::on_end(const Error& why) {
  sim_.trace("c{} end: {}", plan_.number, why.what());
  stream_.reset();
  off_board();
  if (stage_ == Stage::condemned && plan_.refused) {
    stage_ = Stage::finished;
    return;
  }
  // An end is told even to those who do not read, and what they have not read is lost.
  const bool deaf = rules_.reloads && status_ == 'I';  // see on_error(): its listening server
  const bool foreseen = stage_ == Stage::condemned || (paused_ && (model_.ends() || deaf));
  // In the middle of a message no reason can be told.
  const bool late = limit_passed("57014") || limit_passed("25P04") ||
                    (paused_ && (limit_passed("25P03") || limit_passed("57P05")));
  if (!may_break() && !foreseen && !late)
    return fail(fmt::format("the connection ended: {}", why.what()));
  again_or_finish();
}

}  // namespace pgw::sim

#include "client/client.h"

#include <algorithm>

#include "base/check.h"
#include "client/worker.h"
#include "server/pool.h"
#include "wire/read.h"
#include "wire/write.h"

namespace pgw::client {

namespace {
constexpr Duration kLinger = 5s;
constexpr std::uint8_t kAskMost = 3;  // what its session holds, until it does something
}  // namespace

Client::Client(Worker& worker, server::Pool& pool, const Admission& admission, std::uint32_t pid,
               std::uint32_t key)
    : worker_(worker),
      pool_(pool),
      profile_(pool.profile(admission.settings)),
      pinning_(worker.pinning().of(admission.app)),
      pid_(pid),
      key_(key),
      mode_(admission.mode) {
  if (!admission.replication.empty()) {
    rare().replication =
        std::make_unique<std::vector<std::pair<std::string, std::string>>>(admission.settings);
    rare_->replication->emplace_back("replication", admission.replication);
  }
  pool_.enter(*this, admission.app, mode_ == config::Mode::session);
  configure();
  ++pool_.clients;
  worker_.gauges().clients.add(1);
}

Client::~Client() {
  pool_.quit(*this);
  --pool_.clients;
  worker_.gauges().clients.add(-1);
}

About Client::about() const {
  return {
      .client = stream_->peer(), .user = pool_.user(), .database = pool_.database(), .app = app()};
}

void Client::start(std::unique_ptr<net::Stream> stream, std::string greeting, std::string early) {
  stream_ = std::move(stream);
  const auto who = about();  // now, because of a connection that has broken nobody can tell
  if (worker_.settings().log_connections)
    log(Level::info, who, "logged in ({} mode)", config::text(mode_));
  stream_->send(greeting);
  pending_ = std::move(early);
  if (replicates()) {
    update_reading();
    return pool_.acquire_private(*this, *rare_->replication);
  }
  watch_idleness();
  if (profile_->known) {
    welcome(profile_->reported);
    if (!pending_.empty()) serve({});
    return;
  }
  update_reading();
  pool_.acquire(*this);
}

// What PostgreSQL sends after AuthenticationOk.
void Client::welcome(const relay::Settings& reported) {
  phase_ = replicates() ? Phase::raw : Phase::serving;
  told_ = profile_->version;
  std::string out;
  for (const auto& [name, value] : reported) wire::write_parameter(out, name, value);
  wire::write_key(out, pid_, key_);
  wire::write_ready(out, 'I');
  stream_->send(out);
  update_reading();
}

void Client::granted(server::Server& server) {
  server_ = &server;
  leased_groups_ = 0;
  server_full_ = false;
  if (replicates()) {
    welcome(server.reported());
    server.send(std::exchange(pending_, {}));
    return;
  }
  watch_lease();
  if (profile_->temporary) server.make_dirty();
  waiting_for_prepare_ = server.prepare(profile_, mode_ == config::Mode::session);
  if (server.replayed) pinning_.replays.add(1);
  // What was sent for it has no Sync: so its first group is no beginning to begin_group().
  if (mode_ == config::Mode::transaction && phase_ == Phase::serving) server.begin_group();
  if (server.sequences_of != serial()) {
    // In session mode nothing that a client asks is looked into.
    const bool unjudged = mode_ == config::Mode::transaction && pool_.suspicion().unjudged();
    const bool may_ask = pool_.uses_sequences || mode_ == config::Mode::session || unjudged;
    if (may_ask && server.sequences_of != server::Server::kNobody) {
      server.query("DISCARD SEQUENCES");
      server.sequences_of = serial();
      waiting_for_prepare_ |= unjudged;
    } else {
      server.sequences_of =
          server.sequences_of == server::Server::kNobody ? serial() : server::Server::kSeveral;
    }
  }
  if (waiting_for_prepare_) return;
  // Then it may have to listen for the client first.
  if (hearing_) server.end_replay();
  if (phase_ == Phase::welcoming) welcome(profile_->reported);
  tell_changes();
  if (!serving_) serve({});
}

void Client::idle(char status) {
  if (waiting_for_prepare_) {
    waiting_for_prepare_ = false;
    if (std::exchange(replay_failed_, false)) return try_another_server();
    replays_failed_ = 0;
    if (!leaving()) {
      tell_drift();
      if (phase_ == Phase::serving) {
        tell_changes();
        return serve({});
      }
      welcome(profile_->reported);
      if (!pending_.empty()) return serve({});
    }
  }
  barrier_ = false;
  if (hearing_ && status == 'I' && !hearing_idle()) return;
  const bool served = std::exchange(leased_groups_, std::uint16_t{0}) > 0;
  if (leaving() && status == 'I') {
    const Error why = *leaving();
    return end(why);
  }
  if (status == 'I' && sticky_ != 0 && !server_->dirty()) hold_sticky();
  // It gives way to others only once it has had something of its lease; and what is ignored goes
  // with the transaction.
  const bool gives_way = ignored_ != 0 || (served && pool_.has_waiters());
  if (stalled_ && (status != 'I' || mode_ == config::Mode::session || pins_ != 0 || !gives_way)) {
    stalled_ = false;
    return serve({});
  }
  maybe_release();
}

void Client::progressed() {
  if (server_->pipeline().skipping()) barrier_ = waits_for_all_ = false;  // that was skipped
  const bool replayed = waits_for_replay_ && !server_->replaying();
  if (!stalled_ || (!replayed && (waits_for_all_ || server_->pipeline().groups() > 0))) return;
  stalled_ = waits_for_replay_ = false;
  serve({});
}

void Client::cancel_over() {
  if (!stalled_) {
    if (hearing_ || has(pins_, server::Pin::unknown)) maybe_release();
    return;
  }
  stalled_ = false;
  serve({});
}

// The lease ends with the transaction, unless the server is the client's for good.
void Client::maybe_release() {
  if (!server_ || mode_ == config::Mode::session || skip_ > 0) return;
  if (server_->status() != 'I' || !server_->pipeline().quiet()) return;
  if (hearing_ && hearing_->moving()) return;  // taken_back() follows, or deaf()
  if (server_->suspect()) return server_->inspect();
  // A cancel that came late may have been the reason, and the client may do nothing more for long.
  if (has(pins_, server::Pin::unknown) && unanswered_ < kAskMost && !server_->cancelling())
    return server_->inspect();
  if (pins_ == 0) return release();
  if (hearing_ && pins_ == (server::Pins{} | server::Pin::listen)) share_listening();
}

void Client::release() {
  const bool soiled = std::exchange(ignored_, Pins{0}) != 0;
  part().give_back(soiled);
  queue_again();
}

server::Server& Client::part() {
  server::Server& server = *std::exchange(server_, nullptr);
  if (server.watch.reminded > 0) end_leak(server, "it has given it back");
  if (idle_) idle_->heard = worker_.loop().now();
  tell_drift();
  if (server_full_) {
    server_full_ = false;
    update_reading();
  }
  if (names_ && names_->empty()) names_.reset();
  resets_.reset();
  pinned_.reset();
  if (rare_) {
    rare_->portals.clear();
    rare_->unread.reset();
    if (rare_->empty()) rare_.reset();
  }
  altered_ = false;
  sticky_ = 0;
  return server;
}

void Client::queue_again() {
  if (!std::exchange(stalled_, false)) return;
  pool_.acquire(*this);
  update_reading();
}

void Client::refused(const Error& why) {
  if (const auto left_out = party->tell_refused.pass(worker_.loop().now()))
    log(Level::warning, about(), "refused: {}{}", why.what(), more_text(*left_out));
  told_why_ = true;
  end(why);
}

// It has no server, so nothing is under way to it, and whole messages only have gone before.
void Client::waits(const std::string& text) {
  std::string out;
  wire::write_error(out, wire::Severity::notice, "00000", text);
  stream_->send(out);
}

// The settings of the client before may have made it fail (a short statement_timeout): then another
// server, or this one when it is clean, will take them. What keeps its server is nowhere else.
void Client::replay_failed(const Error& why) {
  static constexpr unsigned kAttempts = 5;
  if (!waiting_for_prepare_) return end(why);
  replay_failed_ =
      pins_ == 0 && why.state() == sqlstate(Code::cancelled) && ++replays_failed_ < kAttempts;
  if (!replay_failed_) rare().leaving = std::make_unique<Error>(why);
}

void Client::try_another_server() {
  if (leaving()) {
    const Error why = *leaving();
    return end(why);
  }
  std::exchange(server_, nullptr)->give_back(mode_ == config::Mode::session || keeps_state());
  ignored_ = sticky_ = 0;
  pool_.acquire(*this);
  update_reading();
}

void Client::deliver(Bytes replies) {
  stream_->send(replies);
  if (stream_->queued() >= net::Stream::kHighWater && server_) server_->pause();
}

void Client::on_drained() {
  if (server_) server_->resume();
  if (hearing_) tell_notes(false);
  if (!std::exchange(client_full_, false)) return;
  if (!pending_.empty() && !blocked()) return serve({});
  update_reading();
}

void Client::server_drained() {
  server_full_ = false;
  update_reading();
}

std::size_t Client::client_queued() const { return stream_->queued(); }

void Client::update_reading() {
  const bool serving = phase_ == Phase::serving || phase_ == Phase::raw;
  if (serving && !blocked() && !server_full_ && !client_full_) {
    stream_->resume();
  } else {
    stream_->pause();
  }
}

void Client::statement_op(relay::Fate fate) {
  names_->settle(fate);
  // What its own Parse of the unnamed statement left on the server is not known now.
  if (fate != relay::Fate::happened && server_) server_->unnamed = 0;
}

void Client::described(const std::string& name, const relay::StatementRef& statement,
                       std::uint64_t shape) {
  if (names_) names_->told(name, statement, shape);
}

void Client::lost_all_statements() {
  if (names_) names_->forget_all();
}

void Client::schema_changed() { pool_.schema_changed(); }

void Client::cancel(std::uint32_t key, std::shared_ptr<void> ticket) {
  if (key == key_ && phase_ == Phase::serving && waiting.linked()) {
    pool_.leave(*this);
    cancelled_ = true;
    serve({});
    cancelled_ = false;  // it was for what waited, not for what comes
    return;
  }
  const bool ours = server_ && (server_->inspecting() || waits_for_listening());
  if (key == key_ && ours) {
    if (!stalled_) return;  // nothing of the client's is under way
    stalled_ = false;
    if (hearing_) hearing_->limit.reset();
    cancelled_ = true;
    serve({});
    cancelled_ = false;
    return;
  }
  if (key != key_ || !server_ || (!replicates() && server_->pipeline().empty())) return;
  server_->cancel(std::move(ticket));
}

// PostgreSQL is gone, and so is what the client had there: it must connect again, as without
// pgweir.
void Client::lost(const Error& why, bool told) {
  if (server_ && server_->watch.reminded > 0) end_leak(*server_, "PostgreSQL ended it");
  server_ = nullptr;
  if (told) return leave(nullptr, false, "PostgreSQL ended it");
  const Error error =
      std::move(
          Error(Code::connection, "the server closed the connection unexpectedly: " + why.what()))
          .with_hint("PostgreSQL ended or was restarted while this client used it.");
  leave(&error);
}

void Client::on_end(const Error& why) { leave(nullptr, false, why.what()); }

// Without a server it keeps nobody waiting, and the system ends it in its time.
bool Client::silent_too_long(Duration every, Duration limit) {
  if (!server_ || !stream_->silent_for(every)) {
    silent_sweeps_ = 0;
    return false;
  }
  ++silent_sweeps_;
  return limit > 0us && silent_sweeps_ * every >= limit;
}

void Client::host_is_gone(Duration limit) {
  if (phase_ == Phase::gone) return;
  on_end(Error(Code::connection,
               fmt::format("it acknowledged nothing for {} ms", limit.count() / 1000)));
}

void Client::end(const Error& why) { leave(&why); }

const std::string& Client::database() const { return pool_.database(); }

const std::string& Client::user() const { return pool_.user(); }

const std::string& Client::app() const { return party->app->name; }

void Client::drain(const Error& why, Waiting waiters) {
  if (phase_ == Phase::gone) return;
  const bool busy =
      server_ && (server_->status() != 'I' || !server_->pipeline().quiet() || skip_ > 0);
  if (replicates() || (!busy && (waiters == Waiting::refuse || !waiting.linked()))) return end(why);
  rare().leaving = std::make_unique<Error>(why);
}

void Client::leave(const Error* why, bool orderly, std::string_view because) {
  if (phase_ == Phase::gone) return;
  const bool unclean = mode_ == config::Mode::session || keeps_state();
  pin(0);
  if (told_why_) because = "it was disconnected";  // by whoever has logged the reason
  if ((why && !told_why_) || worker_.settings().log_disconnections)
    log(Level::info, about(), "left: {}", why && !told_why_ ? why->what() : because);
  // Inside a message an error would be taken for data; of raw bytes nobody knows where one ends.
  if (phase_ == Phase::raw || (server_ && server_->amid_message())) why = nullptr;
  phase_ = Phase::gone;
  hearing_.reset();
  pool_.leave(*this);
  if (replicates()) {
    pool_.abandon_private(*this);
    server_ = nullptr;
  }
  if (server::Server* server = std::exchange(server_, nullptr)) {
    if (server->watch.reminded > 0) end_leak(*server, "it has left");
    const bool clean =
        server->pipeline().quiet() && server->status() == 'I' && (skip_ == 0 || skip_drop_);
    if (clean) {
      server->give_back(unclean);
    } else {
      server->abandon(skip_ > 0 && !skip_drop_, !orderly);
    }
  }
  if (why) {
    std::string out;
    wire::write_error(out, wire::Severity::fatal, *why);
    stream_->send(out);
  }
  // A drain waits for those who read slowly.
  const Duration linger =
      worker_.draining() ? std::max(kLinger, worker_.settings().drain_timeout) : kLinger;
  net::Stream::close_gently(std::move(stream_), linger);
  idle_.reset();
  worker_.forget(*this);
}

}  // namespace pgw::client

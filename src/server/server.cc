#include "server/server.h"

#include <charconv>

#include "base/check.h"
#include "server/pool.h"
#include "wire/write.h"

namespace pgw::server {

using relay::Expected;
using relay::Want;

namespace {
constexpr std::uint16_t kQuiet = Expected::ours | Expected::quiet;
}  // namespace

Server::Server(Context& context, Pool& pool)
    : watch(
          [](void* self) {
            auto& server = *static_cast<Server*>(self);
            if (server.tenant_) server.tenant_->check_time();
          },
          this),
      context_(context),
      pool_(pool),
      born_(context.loop.now()),
      timer_([](void* self) { static_cast<Server*>(self)->deadline(); }, this) {
  context_.gauges.servers.add(1);
}

Server::~Server() {
  if (tenant_) context_.gauges.leased.add(-1);
  context_.gauges.servers.add(-1);
}

void Server::query(std::string_view text) {
  std::string out;
  wire::write_query(out, text);
  send(out);
  unnamed = 0;
  expect({.want = Want::query, .flags = kQuiet});
}

int Server::major_version() const {
  const auto* text = relay::look_up(reported_, "server_version");
  int major = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), major);
  return major;
}

void Server::try_query(std::string_view text) {
  std::string out;
  wire::write_query(out, text);
  send(out);
  unnamed = 0;
  expect({.want = Want::query, .flags = kQuiet | Expected::moves});
}

void Server::expect(Expected entry) {
  if (pipeline_.skipping()) {
    if (entry.followed()) settled(entry, relay::Fate::skipped);
    return;
  }
  pipeline_.push(entry);
}

void Server::send_sync() {
  if (!pipeline_.push_sync()) return;
  static constexpr char kSync[] = {'S', 0, 0, 0, 4};
  send(Bytes(kSync, sizeof kSync));
}

void Server::settled(const Expected& entry, relay::Fate fate) {
  if (entry.has(Expected::server_op)) prepared_.settle(fate == relay::Fate::happened);
  if (entry.has(Expected::describes) && fate != relay::Fate::happened) described_.pop_front();
  if (entry.has(Expected::spells)) {
    const Spell spell = std::move(spelling_.front());
    spelling_.pop_front();
    const auto made = spelled_.find(spell.name);
    const bool happened = fate == relay::Fate::happened;
    if (made != spelled_.end() && !spell.instead) made->second.made = happened;
    if (happened && spell.instead) spelled_[spell.name] = {spell.instead, true};
  }
  if (entry.has(Expected::client_op) && tenant_) tenant_->statement_op(fate);
}

void Server::lend(Tenant& tenant) {
  PGW_ASSERT(state_ == State::idle && !tenant_ && pipeline_.empty() && !cancel_);
  state_ = State::leased;
  tenant_ = &tenant;
  ++lease_;
  dirty_ = spoilt_ = resetting_ = discarding_ = listening_ = false;
  unjudged_ = deferred_ = patient_ = false;
  tainted_.clear();
  const Time now = context_.loop.now();
  watch.begin_lease(now, now - tenant.waits_since);
  context_.gauges.leased.add(1);
  tenant.granted(*this);
}

void Server::pass_to(Tenant& tenant) {
  PGW_ASSERT(state_ == State::leased && pipeline_.quiet() && status_ == 'I' && !cancel_);
  pool_.lease_passes(*tenant_, tenant);
  tenant_ = &tenant;
  ++lease_;
  watch.begin_lease(context_.loop.now(), {});
  watch.texts.clear();
  stream_->resume();
}

void Server::give_back(bool session) {
  deferred_ = false;
  if (!dirty_ && !session && profile_ && profile_->known && agreed_ != profile_->version)
    learn_reported();
  pool_.lease_over(*std::exchange(tenant_, nullptr));
  watch.texts.clear();
  context_.gauges.leased.add(-1);
  if (state_ == State::closing) return;  // it was closed while the client had it
  PGW_ASSERT(state_ == State::leased && pipeline_.quiet() && status_ == 'I');
  stream_->resume();  // it may have been paused for a slow reader
  if (spoilt_) return close("a client has left what cannot be taken away");
  if (dirty_ || session) {
    clean();
  } else if (std::exchange(listening_, false)) {
    state_ = State::cleaning;
    quiet_failed_ = false;
    context_.loop.arm(timer_, pool_.settings().cancel_timeout);
    query("UNLISTEN *");
  } else {
    become_idle();
  }
}

// The client vanished. What the server still does for it is cancelled, its transaction rolled back,
// its state discarded; only then is the server anybody else's.
void Server::abandon(bool broken_frame, bool hurry) {
  deferred_ = false;
  pool_.lease_over(*std::exchange(tenant_, nullptr));
  watch.texts.clear();
  context_.gauges.leased.add(-1);
  if (state_ == State::closing) return;
  PGW_ASSERT(state_ == State::leased);
  // What pgweir asks for itself is short, and others wait for a survey.
  if (!pipeline_.empty() && hurry && !inspection_ && !survey_) cancel();
  if (broken_frame) return close("a client vanished in the middle of a message", true);
  state_ = State::cleaning;
  dirty_ = true;
  stream_->resume();
  if (hurry) context_.loop.arm(timer_, pool_.settings().cancel_timeout);
  if (pipeline_.copying_in()) {
    std::string out;
    wire::write_copy_fail(out, "the client is gone");
    send(out);
    pipeline_.push_copy_end();
  }
  if (!pipeline_.synced()) send_sync();
  if (pipeline_.quiet()) ready();
}

void Server::clean() {
  state_ = State::cleaning;
  sequences_of = kNobody;  // DISCARD ALL
  dirty_ = false;
  quiet_failed_ = false;
  unnamed = 0;
  context_.loop.arm(timer_, pool_.settings().cancel_timeout);
  if (status_ != 'I') query("ROLLBACK");
  query("DISCARD ALL");
}

void Server::become_idle() {
  timer_.disarm();
  if (quiet_failed_) return close("it could not be made clean");
  if (spoilt_) return close("a client has left what cannot be taken away");
  if (dying_) return close("PostgreSQL ends it");
  state_ = State::idle;
  idle_since_ = context_.loop.now();
  pool_.server_free(*this);
}

void Server::cancel(std::shared_ptr<void> ticket) {
  Wish wish{lease_, answered(), {}};
  if (ticket) wish.tickets.push_back(std::move(ticket));
  if (cancel_) return cancel_->also(std::move(wish));
  start_cancel(std::move(wish));
}

void Server::start_cancel(Wish wish) {
  cancel_ = pool_.cancel(*this, address_, pid_, key_, std::move(wish));
}

void Server::drop_waiting_cancel() {
  if (cancel_) cancel_->drop_if_waiting();
}

void Server::cancel_ended(bool reached, std::optional<Wish> next) {
  cancel_ = nullptr;
  if (!reached && state_ != State::closing) return close("a cancel request for it did not end");
  if (next && state_ != State::closing) return start_cancel(std::move(*next));
  if (may_be_lent()) pool_.server_free(*this);
  if (tenant_ && !cancel_) tenant_->cancel_over();
}

// Goodbye, and no word to its pool before PostgreSQL has closed the connection too: until then it
// has a place there.
void Server::close(const char* why, bool broken_frame) {
  if (state_ == State::closing) return;
  log(Level::debug, pool_.about(), "server {} is closed: {}", pid_, why);
  const bool said_hello = state_ >= State::idle;
  state_ = State::closing;
  in_idle.unlink();
  seat.leaving();
  drop_survey();
  drop_check();
  if (!stream_) return lose(Error(Code::closed, why));
  context_.loop.arm(timer_, 5s);
  stream_->resume();
  if (broken_frame) {
    stream_->shut();  // not even a goodbye: it would be taken for the rest of the message
  } else if (said_hello) {
    std::string out;
    wire::write_terminate(out);
    send(out);
  } else {
    lose(Error(Code::closed, why));
  }
}

void Server::deadline() {
  switch (state_) {
    case State::placing:
      return pool_.private_timed_out(*this);
    case State::resolving:
    case State::connecting:
    case State::login:
      return login_failed(
          Error(Code::timed_out, fmt::format("{} did not answer within {} ms", pool_.host(),
                                             pool_.settings().connect_timeout.count() / 1000)),
          false);
    case State::cleaning:
      return close("it did not become clean in time");
    case State::closing:
      return lose(Error(Code::timed_out, "PostgreSQL did not close the connection"));
    default:
      return;
  }
}

void Server::lose(const Error& why) {
  timer_.disarm();
  stream_.reset();
  pipeline_.abandon(*this);
  drop_survey();
  drop_check();
  if (Tenant* tenant = std::exchange(tenant_, nullptr)) {
    context_.gauges.leased.add(-1);
    pool_.lease_over(*tenant);
    // Nothing can be said to a client that has part of a message: its rest would be taken for it.
    tenant->lost(why, fatal_told_ || amid_message());
  }
  pool_.server_gone(*this);
}

void Server::on_end(const Error& why) {
  switch (state_) {
    case State::connecting:
      return try_next_address(why);
    case State::login:
      return login_failed(why, false);
    default:
      if (state_ != State::closing) {
        log(Level::info, pool_.about(), "server {} is gone: {}", pid_, why.what());
        context_.contacts.lost(pool_.configured_name());
      }
      state_ = State::closing;
      in_idle.unlink();
      return lose(why);
  }
}

bool Server::silent_too_long(Duration every, Duration limit) {
  silent_ = stream_ && stream_->silent_for(every) ? silent_ + every : 0us;
  return limit > 0us && silent_ >= limit;
}

void Server::host_is_gone(Duration limit) {
  if (stream_)
    on_end(Error(Code::connection, fmt::format("nothing that was sent was acknowledged for {} ms",
                                               limit.count() / 1000)));
}

void Server::on_drained() {
  if (tenant_) tenant_->server_drained();
}

void Server::on_bytes(Bytes bytes) {
  if (login_) return login_bytes(bytes);
  if (private_) {
    if (tenant_) tenant_->deliver(bytes);
    return;
  }
  relay(bytes);
}

}  // namespace pgw::server

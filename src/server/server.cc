#include "server/server.h"

#include <algorithm>

#include "base/check.h"
#include "server/pool.h"
#include "wire/read.h"
#include "wire/write.h"

namespace pgw::server {

using relay::Expected;
using relay::Want;

namespace {
constexpr std::uint16_t kQuiet = Expected::ours | Expected::quiet;

bool plan_is_stale(Bytes error) {
  const auto fields = wire::read_fields(error);
  return fields.sqlstate == "0A000" && fields.routine == "RevalidateCachedQuery";
}
}  // namespace

Server::Server(Context& context, Pool& pool)
    : context_(context),
      pool_(pool),
      born_(context.loop.now()),
      timer_([](void* self) { static_cast<Server*>(self)->deadline(); }, this) {
  context_.gauges.servers.add(1);
}

Server::~Server() {
  if (tenant_) context_.gauges.leased.add(-1);
  context_.gauges.servers.add(-1);
}

bool Server::prepare(const relay::ProfilePtr& profile, bool session) {
  PGW_ASSERT(pipeline_.quiet() && status_ == 'I');
  bool wait = false;
  session_ = session;
  if (session) {
    if (prepared_.count() > 0) query("DEALLOCATE ALL");
  } else {
    if (std::exchange(shed_, false)) close_statements(prepared_.unused());
    if (prepared_.settled() && prepared_.count() > pool_.settings().server_statements)
      close_statements(prepared_.oldest(prepared_.count() - pool_.settings().server_statements));
  }
  static const relay::Settings kNone;
  const auto& from = profile_ ? profile_->settings : kNone;
  // Its reports may be others than those of the servers before: ALTER ROLE, a standby that was
  // promoted, an upgrade.
  const bool same = profile_ == profile && agreed_ == profile->version;
  const bool unknown = !same && !(profile->known && relay::agrees(profile->reported, reported_,
                                                                  from, profile->settings));
  if (profile_ != profile) {
    const std::string sql = relay::change(from, profile->settings);
    wait = !sql.empty() && (session || !profile->safe || unknown || relay::hasty(from));
    agreed_ = 0;
    profile_ = profile;
    if (session && wait) {
      reset_to(sql);
    } else if (wait) {
      query(sql);
    } else if (!sql.empty()) {
      lead_with(sql);
    }
    if (wait && unknown) learning_ = profile;
  }
  if (unknown && !learning_) learn_reported();
  return wait;
}

// What it reports now is what profile_ brings about.
void Server::learn_reported() {
  profile_->learn(reported_);
  agreed_ = profile_->version;
}

void Server::query(std::string_view text) {
  std::string out;
  wire::write_query(out, text);
  send(out);
  unnamed = 0;
  expect({.want = Want::query, .flags = kQuiet});
}

void Server::begin_group_of(const relay::StatementRef& statement) {
  remembers_ = true;
  group_sent_.clear();
  group_statement_ = statement;
}

void Server::remember(Bytes bytes) {
  static constexpr std::size_t kMost = 16 * 1024;
  if (group_sent_.size() + bytes.size() > kMost) {
    remembers_ = false;
    return;
  }
  group_sent_ += bytes;
}

// "cached plan must not change result type": the table has changed since the statement was
// prepared. Outside of a transaction, in a group that asks for the shape of its result (so the
// client learns the new one) and does nothing else, PostgreSQL has done nothing yet: the statement
// is prepared anew and the group sent again.
bool Server::heal(Bytes error) {
  if (!tenant_ || status_ != 'I') return false;
  const auto* front = pipeline_.front();
  if (front && front->has(Expected::describes) && !front->has(Expected::ours) &&
      plan_is_stale(error))
    return heal_describe();
  if (!remembers_ || !group_statement_) return false;
  if (!pipeline_.owes_only({Want::bind, Want::describe_portal, Want::execute, Want::sync}))
    return false;
  if (!plan_is_stale(error)) return false;
  remembers_ = false;
  const auto execute_flags = pipeline_.flags_at(2);
  // The error ends the group that failed; its ReadyForQuery is pgweir's.
  pipeline_.make_ours_quiet();
  const std::string again = std::exchange(group_sent_, {});
  replay(group_statement_, true);
  send(again);
  expect({.want = Want::bind, .flags = Expected::renamed});
  expect({.want = Want::describe_portal});
  expect({.want = Want::execute, .flags = execute_flags});
  expect({.want = Want::sync});
  return true;
}

// The same for a Describe of the statement with a Sync behind it or nothing yet: the client learns
// the new shape, which is all that it has asked for. PostgreSQL tells the types of the parameters
// before it finds out; the client has them already, so they stay.
bool Server::heal_describe() {
  if (!std::exchange(describe_begins_group_, false)) return false;
  const bool synced = pipeline_.owes_only({Want::describe_statement, Want::sync});
  if (!synced && !pipeline_.owes_only({Want::describe_statement})) return false;
  const Described again = described_.front();
  pipeline_.make_ours_quiet();
  if (!synced) {
    std::string out;
    wire::write_sync(out);
    send(out);
    expect({.want = Want::sync, .flags = kQuiet});
  }
  replay(again.statement, true, parameters_);
  parameters_told_ = !parameters_.empty();
  describe(again.statement, again.name, false);
  if (synced) {
    send_sync();
  } else {
    std::string out;
    wire::write_flush(out);
    send(out);
  }
  return true;
}

// The same as query(), for a session in which the client may have an unnamed statement, which a
// simple query would drop.
void Server::reset_to(std::string_view sql) {
  static constexpr std::string_view kName = "pgweir_settings";
  std::string out;
  wire::write_parse(out, kName, sql, Bytes("\0\0", 2));
  wire::write_bind_front(out, kName, kName, 6);
  out.append(6, '\0');
  wire::write_execute(out, kName);
  wire::write_close(out, 'P', kName);
  wire::write_close(out, 'S', kName);
  wire::write_sync(out);
  send(out);
  for (const Want want :
       {Want::parse, Want::bind, Want::execute, Want::close, Want::close, Want::sync})
    expect({.want = want, .flags = kQuiet});
}

// Without a Sync: if any of it fails, PostgreSQL skips all that follows, a simple query too, up to
// the client's Sync. In a block of its own, so that it stays when the client's group fails: COMMIT
// ends the transaction at once, and what follows begins as if nothing had been before. The
// isolation level is given because the other client's default may be one that waits.
void Server::lead_with(std::string_view sql) {
  std::string out;
  for (const std::string_view text : {std::string_view("BEGIN ISOLATION LEVEL READ COMMITTED"), sql,
                                      std::string_view("COMMIT")}) {
    wire::write_parse(out, {}, text, Bytes("\0\0", 2));
    wire::write_bind_front(out, {}, {}, 6);
    out.append(6, '\0');
    wire::write_execute(out, {});
  }
  send(out);
  unnamed = 0;
  replaying_ = reports_due_ = true;
  for (int i = 0; i < 3; ++i)
    for (const Want want : {Want::parse, Want::bind, Want::execute})
      expect({.want = want, .flags = kQuiet});
}

bool Server::replaying() {
  const auto* front = pipeline_.front();
  replaying_ = replaying_ && front && front->has(Expected::quiet);
  return replaying_;
}

void Server::end_replay() {
  if (!replaying() || pipeline_.synced() || !pipeline_.back()->has(Expected::quiet)) return;
  std::string out;
  wire::write_sync(out);
  send(out);
  expect({.want = Want::sync, .flags = kQuiet});
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

void Server::replay(const relay::StatementRef& statement, bool close_first, Bytes types) {
  std::string out;
  if (close_first && prepared_.has(statement, pipeline_.group()) != Prepared::Has::no) {
    wire::write_close(out, 'S', statement->server_name());
    prepared_.close_sent(*statement, pipeline_.group());
    expect({.want = Want::close, .flags = Expected::ours | Expected::server_op});
  }
  wire::write_parse(out, statement->server_name(), statement->text(),
                    types.empty() ? statement->types() : types);
  prepared_.parse_sent(statement, pipeline_.group());
  expect({.want = Want::parse, .flags = Expected::ours | Expected::server_op | Expected::renamed});
  send(out);
}

void Server::describe(const relay::StatementRef& statement, std::string_view name, bool check) {
  describe_begins_group_ = pipeline_.quiet() && status_ == 'I';
  std::string out;
  wire::write_describe(out, 'S', statement->server_name());
  if (check) wire::write_flush(out);
  described_.push_back({statement, std::string(name)});
  send(out);
  std::uint16_t flags = Expected::describes | Expected::renamed;
  if (check) flags |= Expected::ours;
  expect({.want = Want::describe_statement, .flags = flags});
}

void Server::inspect() {
  dirty_ = false;
  std::vector<relay::Statement*> tainted;
  for (const auto& one : tainted_) {
    if (prepared_.has(one, pipeline_.group()) == Prepared::Has::yes) tainted.push_back(one.get());
  }
  close_statements(tainted);
  tainted_.clear();
  inspection_ = std::make_unique<Inspection>();
  std::string out;
  wire::write_query(out, inspection_query(pool_.custom_settings()));
  send(out);
  unnamed = 0;
  expect({.want = Want::query, .flags = kQuiet | Expected::inspects});
}

// DISCARD ALL, or RESET ALL: what is there now is known without asking.
void Server::emptied() {
  const bool all = std::exchange(discarding_, false);
  resetting_ = false;
  if (session_) {
    if (status_ == 'I') profile_.reset();
    return;
  }
  static const relay::Settings kNone;
  const auto& settings = profile_ ? profile_->settings : kNone;
  // RESET ALL leaves who the client is.
  if (status_ != 'I' || dirty_ || !tenant_ ||
      (!all &&
       (relay::look_up(settings, "role") || relay::look_up(settings, "session_authorization")))) {
    dirty_ = true;
    return;
  }
  profile_.reset();
  Inspection nothing;
  nothing.settings_only = !all;
  tenant_->inspected(&nothing);
}

void Server::inspected(bool failed) {
  const auto found = std::move(inspection_);
  if (!found || !tenant_) return;
  if (failed) return tenant_->inspected(nullptr);
  // Values come in the client's encoding and are replayed in the database's.
  const auto* theirs = relay::look_up(reported_, "client_encoding");
  const auto* own = relay::look_up(reported_, "server_encoding");
  const auto beyond_ascii = [](const auto& one) {
    return std::ranges::any_of(one.second, [](char c) { return static_cast<signed char>(c) < 0; });
  };
  if (theirs && own && *theirs != *own && std::ranges::any_of(found->settings, beyond_ascii))
    found->pins |= Pin::setting;
  if (!profile_ || profile_->settings != found->settings) {
    profile_ = found->settings.empty() ? nullptr : pool_.profile(found->settings);
    agreed_ = 0;
  }
  tenant_->inspected(found.get());
}

void Server::settled(const Expected& entry, relay::Fate fate) {
  if (entry.has(Expected::server_op)) prepared_.settle(fate == relay::Fate::happened);
  if (entry.has(Expected::describes) && fate != relay::Fate::happened) described_.pop_front();
  if (entry.has(Expected::client_op) && tenant_) tenant_->statement_op(fate);
}

void Server::discard_sequences() {
  static constexpr std::string_view kName = "pgweir_sequences";
  std::string out;
  wire::write_parse(out, kName, "DISCARD SEQUENCES", Bytes("\0\0", 2));
  wire::write_bind_front(out, kName, kName, 6);
  out.append(6, '\0');
  wire::write_execute(out, kName);
  wire::write_close(out, 'P', kName);
  wire::write_close(out, 'S', kName);
  send(out);
  for (const Want want : {Want::parse, Want::bind, Want::execute, Want::close, Want::close})
    expect({.want = want, .flags = kQuiet});
}

void Server::lend(Tenant& tenant) {
  PGW_ASSERT(state_ == State::idle && !tenant_ && pipeline_.empty() && !cancel_);
  state_ = State::leased;
  tenant_ = &tenant;
  ++lease_;
  dirty_ = spoilt_ = resetting_ = discarding_ = false;
  tainted_.clear();
  context_.gauges.leased.add(1);
  tenant.granted(*this);
}

void Server::give_back(bool session) {
  if (!dirty_ && !session && profile_ && profile_->known && agreed_ != profile_->version)
    learn_reported();
  tenant_ = nullptr;
  context_.gauges.leased.add(-1);
  if (state_ == State::closing) return;  // it was closed while the client had it
  PGW_ASSERT(state_ == State::leased && pipeline_.quiet() && status_ == 'I');
  stream_->resume();  // it may have been paused for a slow reader
  if (spoilt_) return close("a client has left what cannot be taken away");
  if (dirty_ || session) {
    clean();
  } else {
    become_idle();
  }
}

// The client vanished. What the server still does for it is cancelled, its transaction rolled back,
// its state discarded; only then is the server anybody else's.
void Server::abandon(bool broken_frame, bool hurry) {
  tenant_ = nullptr;
  context_.gauges.leased.add(-1);
  if (state_ == State::closing) return;
  PGW_ASSERT(state_ == State::leased);
  if (!pipeline_.empty() && hurry) cancel();
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

void Server::shed_statements() {
  shed_ = !may_be_lent();
  if (shed_) return;
  const auto unused = prepared_.unused();
  if (unused.empty()) return;
  in_idle.unlink();
  state_ = State::cleaning;
  quiet_failed_ = false;
  context_.loop.arm(timer_, pool_.settings().cancel_timeout);
  close_statements(unused);
}

void Server::close_statements(const std::vector<relay::Statement*>& statements) {
  if (statements.empty()) return;
  std::string out;
  for (relay::Statement* statement : statements) {
    wire::write_close(out, 'S', statement->server_name());
    prepared_.close_sent(*statement, pipeline_.group());
    pipeline_.push({.want = Want::close, .flags = kQuiet | Expected::server_op});
  }
  wire::write_sync(out);
  send(out);
  expect({.want = Want::sync, .flags = kQuiet});
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
  if (Tenant* tenant = std::exchange(tenant_, nullptr)) {
    context_.gauges.leased.add(-1);
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

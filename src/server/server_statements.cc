// The shared statements on a server: taught, described, closed, and prepared anew when a table has
// changed.
#include "server/pool.h"
#include "server/server.h"
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

// In groups of their own, where the client has begun none, so that one that PostgreSQL does not
// take any more (its table is gone) is no loss to the others; and behind a savepoint, so that it is
// none to the client's transaction either. What is prepared stays when a savepoint goes.
void Server::spell_out(const Own& own, bool hide) {
  if (pipeline_.skipping() || pipeline_.copying_in()) return;
  const bool alone = pipeline_.synced();
  const bool in_block = alone && status_ == 'T';
  const std::uint16_t flags = alone ? kQuiet : Expected::ours;
  const auto close = [&](std::string& out, std::string_view name, std::uint16_t more) {
    wire::write_close(out, 'S', name);
    expect({.want = Want::close, .flags = static_cast<std::uint16_t>(flags | more)});
  };
  const auto end = [&](std::string& out) {
    if (!alone || out.empty()) return;
    wire::write_sync(out);
    expect({.want = Want::sync, .flags = kQuiet});
  };
  std::string out;
  if (hide) {
    for (relay::Statement* statement : prepared_.all()) {
      prepared_.close_sent(*statement, pipeline_.group());
      close(out, statement->server_name(), Expected::server_op);
    }
  }
  std::erase_if(spelled_, [&](const auto& one) {  // the client has no such statement any more
    if (own.contains(one.first)) return false;
    if (one.second.made) close(out, one.first, 0);
    return true;
  });
  end(out);
  send(out);
  bool guarded = false;
  for (const auto& [name, statement] : own) {
    Spelling& known = spelled_[name];
    if (known.statement == statement) continue;
    if (in_block && !std::exchange(guarded, true)) run_apart("SAVEPOINT pgweir_spelling");
    out.clear();
    if (known.statement) close(out, name, 0);
    wire::write_parse(out, name, statement->text(), statement->types());
    known = {statement, false};
    spelling_.push_back({name, {}});
    expect({.want = Want::parse, .flags = static_cast<std::uint16_t>(flags | Expected::spells)});
    end(out);
    send(out);
    if (guarded) run_apart("ROLLBACK TO SAVEPOINT pgweir_spelling");
  }
  if (guarded) run_apart("RELEASE pgweir_spelling");
  make_dirty();
}

void Server::respell(std::string_view name, const relay::StatementRef& statement, Bytes text,
                     Bytes types) {
  std::string out;
  wire::write_parse(out, name, text, types);
  send(out);
  spelling_.push_back({std::string(name), statement});
  expect({.want = Want::parse, .flags = Expected::client_op | Expected::spells});
}

// Where a group of the client's is open they are closed in it, and skipped with it if it fails.
void Server::hide(const std::vector<relay::Statement*>& statements) {
  if (pipeline_.copying_in()) return;
  if (pipeline_.synced()) return close_statements(statements);
  std::string out;
  for (relay::Statement* statement : statements) {
    wire::write_close(out, 'S', statement->server_name());
    prepared_.close_sent(*statement, pipeline_.group());
    expect({.want = Want::close, .flags = Expected::ours | Expected::server_op});
  }
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

}  // namespace pgw::server

// The scripted PostgreSQL's backend: the messages of the simple and the extended protocol
// (tcop/postgres.c).
#include "backend.h"

namespace pgw::sim {

void Backend::handle(const Message& m) {
  if (copy_) return copy_message(m);
  if (m.type == 'X') return leave();
  if (m.type == 'S') return sync();
  if (skip_) return;
  const Reader in(m.body);
  switch (m.type) {
    case 'Q':
      return query(in);
    case 'P':
      return parse_message(in);
    case 'B':
      return bind(in);
    case 'D':
      return describe_message(in);
    case 'E':
      return execute_message(in);
    case 'C':
      return close_message(in);
    case 'F':
      return function_call(in);
    case 'H':
      return flush();
    case 'd':
    case 'c':
    case 'f':
      return;  // the rest of a COPY that failed
    default:
      return refuse("08P01", fmt::format("invalid frontend message type {}", int(m.type)));
  }
}

void Backend::raise(std::string_view sqlstate, std::string_view text, std::string_view routine) {
  put('E', error_body("ERROR", sqlstate, text, routine));
  flush();  // as PostgreSQL does with every error and notice (send_message_to_frontend)
  alarm_.disarm();
  activity_.reset();
  copy_.reset();
  if (block_ == 'I') {
    rollback();
  } else if (block_ == 'T') {
    // The undoing happens now; savepoints stay, so that ROLLBACK TO may save the block.
    back_to(points_.back());
    block_ = 'E';
  }
  if (simple_) {
    pending_.clear();
    finish_simple();
  } else {
    skip_ = true;
  }
}

void Backend::warn(std::string_view sqlstate, std::string_view text) {
  put('N', error_body("WARNING", sqlstate, text));
  flush();
}

void Backend::ready_for_query() {
  for (const Setting& s : kSettings) {
    const std::string value = *value_of(s.name);
    if (!s.reported || reported_[s.name] == value) continue;
    reported_[s.name] = value;
    put('S', Body().text(s.name).text(reported_[s.name]).take());
  }
  if (block_ == 'I') deliver();
  put('Z', std::string(1, block_));
  flush();
}

void Backend::query(Reader in) {
  const std::string text = in.text();
  if (!in.ok()) return refuse("08P01", "invalid string in message");
  simple_ = true;
  prepared_.erase("");
  open_transaction();
  const auto statements = parse(text);
  if (!statements) return raise("42601", fmt::format("syntax error: {}", text.substr(0, 60)));
  if (statements->empty()) {
    put('I', "");
    return finish_simple();
  }
  portals_.erase("");
  several_ = statements->size() > 1;
  pending_.assign(statements->begin(), statements->end());
}

void Backend::next_simple() {
  if (pending_.empty()) return finish_simple();
  const Statement statement = std::move(pending_.front());
  pending_.pop_front();
  execute(statement, nullptr, "", 0);
}

void Backend::finish_simple() {
  simple_ = false;
  several_ = false;
  if (block_ == 'I') commit();
  ready_for_query();
}

void Backend::sync() {
  skip_ = false;
  if (block_ == 'I') commit();
  ready_for_query();
}

void Backend::parse_message(Reader in) {
  const std::string name = in.text();
  const std::string text = in.text();
  Prepared prepared;
  const int n = in.u16();
  for (int i = 0; i < n && in.ok(); ++i) prepared.types.push_back(in.u32());
  if (!in.ok() || !in.at_end()) return refuse("08P01", "invalid message format");
  open_transaction();
  if (name.empty()) prepared_.erase("");  // before anything can fail, as exec_parse_message does
  auto statements = parse(text);
  if (!statements) return raise("42601", fmt::format("syntax error: {}", text.substr(0, 60)));
  if (statements->size() > 1)
    return raise("42601", "cannot insert multiple commands into a prepared statement");
  const Statement first = statements->empty() ? Statement{} : statements->front();
  if (block_ == 'E' && !statements->empty() && !ends_transaction(first.kind)) {
    return raise("25P02",
                 "current transaction is aborted, commands ignored until end of "
                 "transaction block");
  }
  if (const auto missing = missing_relation(first); !missing.empty())
    return raise("42P01", missing);
  if (first.kind == Kind::show && !value_of(first.name)) return unknown_setting(first.name);
  prepared.statements = std::move(*statements);
  prepared.types.resize(static_cast<std::size_t>(placeholders(first)), 25);
  for (std::uint32_t& type : prepared.types) type = type ? type : 25;
  if (first.kind == Kind::table) prepared.version = postgres_.tables[first.name];
  if (!name.empty() && prepared_.contains(name))
    return raise("42P05", fmt::format("prepared statement \"{}\" already exists", name));
  own(first);
  prepared_[name] = std::move(prepared);
  put('1', "");
}

bool Backend::plan_is_stale(const Prepared& prepared) const {
  if (prepared.statements.empty()) return false;
  const Statement& s = prepared.statements[0];
  return s.kind == Kind::table && postgres_.tables[s.name] != prepared.version;
}

void Backend::no_statement(const std::string& name) {
  raise("26000", name.empty() ? std::string("unnamed prepared statement does not exist")
                              : fmt::format("prepared statement \"{}\" does not exist", name));
}

void Backend::bind(Reader in) {
  const std::string portal_name = in.text();
  const std::string name = in.text();
  Portal portal;
  for (int n = in.u16(); n > 0 && in.ok(); --n) in.u16();
  const int params = in.u16();
  for (int i = 0; i < params && in.ok(); ++i) portal.params.push_back(in.raw(in.u32()));
  const int formats = in.u16();
  for (int i = 0; i < formats && in.ok(); ++i) portal.format = in.u16();
  if (!in.ok() || !in.at_end()) return refuse("08P01", "invalid message format");
  open_transaction();
  const auto it = prepared_.find(name);
  if (it == prepared_.end()) return no_statement(name);
  portal.prepared = it->second;
  const auto& statements = portal.prepared.statements;
  if (portal.prepared.types.size() != static_cast<std::size_t>(params))
    return raise("08P01", "bind message supplies the wrong number of parameters");
  if (block_ == 'E' && !statements.empty() && !ends_transaction(statements[0].kind)) {
    return raise("25P02",
                 "current transaction is aborted, commands ignored until end of "
                 "transaction block");
  }
  if (!portal_name.empty() && portals_.contains(portal_name))
    return raise("42P03", fmt::format("cursor \"{}\" already exists", portal_name));
  if (plan_is_stale(portal.prepared))
    return raise("0A000", "cached plan must not change result type", "RevalidateCachedQuery");
  if (!statements.empty()) {
    if (const auto text = missing_relation(statements[0]); !text.empty())
      return raise("42P01", text);
    own(statements[0]);
  }
  portals_[portal_name] = std::move(portal);
  put('2', "");
}

void Backend::describe_message(Reader in) {
  const int what = in.u8();
  const std::string name = in.text();
  open_transaction();
  const Prepared* prepared = nullptr;
  int format = 0;
  if (what == 'S') {
    const auto it = prepared_.find(name);
    if (it == prepared_.end()) return no_statement(name);
    prepared = &it->second;
  } else {
    const auto it = portals_.find(name);
    if (it == portals_.end())
      return raise("34000", fmt::format("portal \"{}\" does not exist", name));
    prepared = &it->second.prepared;
    format = it->second.format;
  }
  const auto rows =
      prepared->statements.empty() ? std::nullopt : described(prepared->statements[0]);
  if (block_ == 'E' && rows) {
    return raise("25P02",
                 "current transaction is aborted, commands ignored until end of "
                 "transaction block");
  }
  if (what == 'S') {
    if (plan_is_stale(*prepared))
      return raise("0A000", "cached plan must not change result type", "RevalidateCachedQuery");
    Body types;
    types.u16(static_cast<int>(prepared->types.size()));
    for (const std::uint32_t type : prepared->types) types.u32(type);
    put('t', types.take());
  }
  if (!rows) return put('n', "");
  put('T', row_description(columns(*rows, format)));
}

void Backend::execute_message(Reader in) {
  const std::string name = in.text();
  const std::uint32_t limit = in.u32();
  if (!in.ok()) return refuse("08P01", "invalid message format");
  open_transaction();
  const auto it = portals_.find(name);
  if (it == portals_.end())
    return raise("34000", fmt::format("portal \"{}\" does not exist", name));
  Portal& portal = it->second;
  if (portal.prepared.statements.empty()) return put('I', "");
  const Statement statement = portal.prepared.statements[0];
  if (portal.done && !returns_rows(statement.kind))
    return raise("55000", fmt::format("portal \"{}\" cannot be run", name));
  if (!returns_rows(statement.kind)) portal.done = true;
  execute(statement, &portal, name, limit);
}

void Backend::close_message(Reader in) {
  const int what = in.u8();
  const std::string name = in.text();
  if (what == 'S') prepared_.erase(name);
  if (what == 'P') portals_.erase(name);
  put('3', "");
}

// Function 1 returns its argument, 2 fails with it.
void Backend::function_call(Reader in) {
  const std::uint32_t function = in.u32();
  for (int n = in.u16(); n > 0 && in.ok(); --n) in.u16();
  std::string argument;
  for (int n = in.u16(); n > 0 && in.ok(); --n) argument = in.raw(in.u32());
  in.u16();
  if (!in.ok()) return refuse("08P01", "invalid message format");
  simple_ = true;  // it ends with ReadyForQuery whatever happens
  open_transaction();
  if (block_ == 'E') {
    return raise("25P02",
                 "current transaction is aborted, commands ignored until end of "
                 "transaction block");
  }
  own({Kind::echo, argument});
  if (function == 2) return raise("22012", fmt::format("division by zero {}", argument));
  put('V', Body().counted(argument).take());
  finish_simple();
}

void Backend::copy_message(const Message& m) {
  switch (m.type) {
    case 'd':
      if (copy_->cancelled) return raise("57014", "canceling statement due to user request");
      if (m.body.starts_with("bad"))
        return raise("22P02", fmt::format("invalid input {}", copy_->statement.token));
      if (const auto owner = token_owner(m.body); owner != token_owner(copy_->statement.token))
        sim_.fail(fmt::format("pg{}: COPY of {} got the bytes of another: {}", pid_,
                              copy_->statement.token, m.body.substr(0, 60)));
      ++copy_->rows;
      return;
    case 'c': {
      if (copy_->cancelled) return raise("57014", "canceling statement due to user request");
      const std::uint32_t rows = copy_->rows;
      const bool both_ways = copy_->statement.kind == Kind::replicate;
      copy_.reset();
      if (both_ways) {
        put('c', "");
        return put('C', Body().text("START_STREAMING").take());
      }
      return put('C', Body().text(fmt::format("COPY {}", rows)).take());
    }
    case 'f':
      return raise("57014", fmt::format("COPY from stdin failed: {}", Reader(m.body).text()));
    case 'H':
    case 'S':
      return;  // ignored, as the manual says
    case 'X':
      if (replication_) return leave();
      [[fallthrough]];
    default:
      // It has not read the message that it refuses, so it cannot go on either.
      put('E', error_body("ERROR", "08P01",
                          fmt::format("unexpected message type 0x{:02X} during COPY from stdin",
                                      static_cast<unsigned char>(m.type))));
      return refuse("08P01", "terminating connection because protocol synchronization was lost");
  }
}

}  // namespace pgw::sim

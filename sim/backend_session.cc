// The scripted PostgreSQL's backend: what a session keeps beside its settings, and the question
// what that is.
#include <algorithm>

#include "backend.h"

namespace pgw::sim {

// What parse analysis says about a table that is not there; empty: all is well.
std::string Backend::missing_relation(const Statement& s) const {
  if ((s.kind != Kind::count && s.kind != Kind::insert_temp) || temporary_.contains(s.name))
    return "";
  return fmt::format("relation \"{}\" does not exist", s.name);
}

// The statement whose columns this one has: EXECUTE and FETCH have another's. None: no rows, or
// nobody knows yet.
std::optional<Statement> Backend::described(const Statement& s) const {
  if (s.kind == Kind::fetch) {
    const auto it = cursors_.find(s.name);
    return it == cursors_.end() ? std::nullopt : std::optional(it->second.query);
  }
  if (s.kind == Kind::execute) {
    const auto it = prepared_.find(s.name);
    if (it == prepared_.end() || it->second.statements.empty()) return std::nullopt;
    return described(it->second.statements[0]);
  }
  return returns_rows(s.kind) ? std::optional(s) : std::nullopt;
}

void Backend::run_session(const Statement& s, Activity a) {
  const auto shape = described(s);
  if (s.kind == Kind::fetch && !shape)
    return raise("34000", fmt::format("cursor \"{}\" does not exist", s.name));
  if (s.kind == Kind::execute) {
    if (!shape) return no_statement(s.name);
    if (prepared_[s.name].types.size() != static_cast<std::size_t>(s.params))
      return raise("42601", "wrong number of parameters for prepared statement");
  }
  if (!a.extended) put('T', row_description(columns(*shape, 0)));
  if ((s.kind == Kind::currval || s.kind == Kind::lastval) && !current_value_)
    return raise("55000", "the sequence is not yet defined in this session");
  const bool waits = s.kind == Kind::lock || s.kind == Kind::lock_here;
  if (waits && !postgres_.lock(*this, s.name, s.kind == Kind::lock_here)) {
    a.asleep = true;  // until locked()
    a.made = Rows{{""}};
  } else {
    a.made = session_rows(s, a);
  }
  a.end = static_cast<std::uint32_t>(a.made->size());
  activity_ = std::move(a);
  if (!activity_->asleep) advance();  // at once: a cancel comes before or after all of it
}

bool Backend::waits_for(const std::string& lock) const {
  return activity_ && activity_->asleep &&
         (activity_->statement.kind == Kind::lock || waits_here()) &&
         activity_->statement.name == lock;
}

void Backend::locked() {
  activity_->asleep = false;
  if (!stream_) return leave();
  advance();
  pump();
}

Backend::Rows Backend::session_rows(const Statement& s, Activity& a) {
  switch (s.kind) {
    case Kind::current_setting:
      return {{value_of(s.name)}};
    case Kind::try_lock:
    case Kind::try_lock_here:
      return {{postgres_.lock(*this, s.name, s.kind == Kind::try_lock_here) ? "t" : "f"}};
    case Kind::unlock: {
      if (postgres_.unlock(*this, s.name)) return {{"t"}};
      warn("01000", "you don't own a lock of type ExclusiveLock");
      return {{"f"}};
    }
    case Kind::unlock_all:
      postgres_.unlock_all(*this);
      return {{""}};
    case Kind::count:
      return {{std::to_string(temporary_[s.name].rows)}};
    case Kind::fetch: {
      Cursor& cursor = cursors_[s.name];
      const std::uint32_t end = std::min(cursor.row + s.rows, cursor.query.rows);
      a.tag = fmt::format("FETCH {}", end - cursor.row);
      Rows rows;
      while (cursor.row < end) rows.push_back({big_row(cursor.query, cursor.row++)});
      return rows;
    }
    case Kind::execute: {
      const Statement& query = prepared_[s.name].statements[0];
      own(query);
      if (query.params > 0) return {{query.token, s.value}};
      return {{query.token}};
    }
    case Kind::notify_call:
      notes_.emplace_back(s.name, s.token);
      return {{""}};
    case Kind::channels: {
      Rows rows;
      for (const std::string& channel : std::set(channels_.begin(), channels_.end()))
        rows.push_back({channel});
      return rows;
    }
    case Kind::nextval:
      current_value_ = postgres_.next_value();
      [[fallthrough]];
    case Kind::currval:
    case Kind::lastval:
      return {{std::to_string(*current_value_)}};
    case Kind::state:
      return state();
    case Kind::inspect:
      return inspection(s);
    case Kind::survey:
      return survey(s);
    case Kind::numbers:
      if (block_ != 'I') sim_.fail(fmt::format("pg{}: counted inside a transaction", pid_));
      return postgres_.numbers();
    default:
      return {{""}};
  }
}

// The rows of pgweir's query, in src/server/inspection.cc: kind, name, value.
Backend::Rows Backend::inspection(const Statement& s) const {
  Rows rows;
  if (block_ != 'I') sim_.fail(fmt::format("pg{}: inspected inside a transaction", pid_));
  for (const auto& [name, value] : session_)
    if (!is_custom(name) && (name != "role" || value != "none"))
      rows.push_back({"set", name, value});
  if (const auto locks = postgres_.locks_of(*this); !locks.empty())
    rows.push_back({"lock", "", std::to_string(locks.size())});
  if (!temporary_.empty()) rows.push_back({"temporary", "", ""});
  if (!cursors_.empty()) rows.push_back({"cursor", "", ""});
  for (const auto& [name, statement] : prepared_)
    if (!name.empty()) rows.push_back({statement.from_sql ? "prepared" : "statement", name, ""});
  for (const std::string& channel : channels_) rows.push_back({"listen", channel, ""});
  for (const Assignment& one : s.sets)
    if (const auto value = value_of(one.name)) rows.push_back({"set", one.name, *value});
  return rows;
}

// The rows of src/server/survey_queries.cc: there is a function for each setting, and nothing that
// depends on one.
Backend::Rows Backend::survey(const Statement& s) const {
  if (block_ != 'I') sim_.fail(fmt::format("pg{}: surveyed inside a transaction", pid_));
  if (s.name == "mark") return {{"mark", "", "", "", "1"}};
  if (s.name != "read") return {};
  Rows rows;
  const auto add = [&](std::string_view setting) {
    rows.push_back({"routine", std::to_string(16384 + rows.size()), "plpgsql", keeper_of(setting),
                    fmt::format("BEGIN RETURN set_config('{}', $1, false); END", setting)});
  };
  for (const Setting& one : kSettings) add(one.name);
  for (const auto custom : {"app.v1", "app.v2"}) add(custom);
  return rows;
}

// A view of the whole session: kind, name, value.
Backend::Rows Backend::state() const {
  Rows rows;
  for (const Setting& s : kSettings) rows.push_back({"setting", s.name, value_of(s.name)});
  for (const char* name : {"role", "app.v1", "app.v2"})
    rows.push_back({"setting", name, value_of(name).value_or("")});
  for (const auto& [key, times] : postgres_.locks_of(*this))
    rows.push_back({"lock", key, std::to_string(times)});
  for (const auto& [name, table] : temporary_)
    rows.push_back({"temporary", name, std::to_string(table.rows)});
  for (const auto& [name, cursor] : cursors_)
    rows.push_back({"cursor", name, fmt::format("{} {}", cursor.query.token, cursor.row)});
  for (const auto& [name, one] : prepared_)
    if (one.from_sql) rows.push_back({"prepared", name, one.statements[0].token});
  return rows;
}

// False: it is none of these.
bool Backend::session_utility(const Statement& s) {
  const auto done = [&](std::string_view tag) { return put('C', Body().text(tag).take()), true; };
  switch (s.kind) {
    case Kind::create_temp:
      if (!temporary_.try_emplace(s.name, Temporary{0, s.params > 0}).second)
        return raise("42P07", fmt::format("relation \"{}\" already exists", s.name)), true;
      return done("CREATE TABLE");
    case Kind::insert_temp:
      ++temporary_[s.name].rows;
      return done("INSERT 0 1");
    case Kind::drop:
      if (temporary_.erase(s.name) == 0)
        return raise("42P01", fmt::format("table \"{}\" does not exist", s.name)), true;
      return done("DROP TABLE");
    case Kind::declare:
      if (!cursors_.try_emplace(s.name, Cursor{inner(s), 0, births_}).second)
        return raise("42P03", fmt::format("cursor \"{}\" already exists", s.name)), true;
      ++births_;
      return done("DECLARE CURSOR");
    case Kind::close_cursor:
      if (cursors_.erase(s.name) == 0)
        return raise("34000", fmt::format("cursor \"{}\" does not exist", s.name)), true;
      return done("CLOSE CURSOR");
    case Kind::close_all:
      cursors_.clear();
      portals_.clear();
      return done("CLOSE CURSOR ALL");
    case Kind::prepare: {
      Prepared prepared{{inner(s)},
                        std::vector<std::uint32_t>(static_cast<std::size_t>(s.params), 25)};
      prepared.from_sql = true;
      if (!prepared_.try_emplace(s.name, std::move(prepared)).second)
        return raise("42P05", fmt::format("prepared statement \"{}\" already exists", s.name)),
               true;
      return done("PREPARE");
    }
    case Kind::listen:
      listening_.emplace_back(s.kind, s.name);
      return done("LISTEN");
    case Kind::unlisten:
    case Kind::unlisten_all:
      listening_.emplace_back(s.kind, s.name);
      return done("UNLISTEN");
    case Kind::notify:
      notes_.emplace_back(s.name, s.token);
      return done("NOTIFY");
    case Kind::discard_temp:
      temporary_.clear();
      return done("DISCARD TEMP");
    case Kind::discard_sequences:
      current_value_.reset();
      return done("DISCARD SEQUENCES");
    case Kind::discard_plans:
      return done("DISCARD PLANS");
    default:
      return false;
  }
}

void Backend::discard_all() {
  prepared_.clear();
  portals_.clear();
  cursors_.clear();
  session_.clear();
  local_.clear();
  listening_.emplace_back(Kind::unlisten_all, "");
  postgres_.unlock_all(*this);
  current_value_.reset();
  temporary_.clear();
}

// What waits for the commit. After a rollback nothing is left that does.
void Backend::end_of_transaction() {
  postgres_.keep_here(*this, {});
  std::erase_if(temporary_, [](const auto& one) { return one.second.drop; });
  for (const auto& [kind, channel] : std::exchange(listening_, {})) {
    if (kind == Kind::unlisten_all) {
      channels_.clear();
    } else if (kind == Kind::unlisten) {
      std::erase(channels_, channel);
    } else if (std::ranges::find(channels_, channel) == channels_.end()) {
      channels_.push_back(channel);
    }
  }
  for (const auto& [channel, payload] : std::exchange(notes_, {}))
    postgres_.notify(*this, channel, payload);
}

void Backend::notify(int from, const std::string& channel, const std::string& payload) {
  if (stage_ != Stage::ready || std::ranges::find(channels_, channel) == channels_.end()) return;
  undelivered_.emplace_back(
      channel, Body().u32(static_cast<std::uint32_t>(from)).text(channel).text(payload).take());
  if (open_ || !idle() || from == pid_) return;  // at the next ReadyForQuery
  deliver();
  flush();
}

void Backend::deliver() {
  for (const auto& [channel, body] : std::exchange(undelivered_, {}))
    if (std::ranges::find(channels_, channel) != channels_.end()) put('A', body);
}

}  // namespace pgw::sim

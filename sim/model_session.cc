// The model: what a session keeps beside what model_statements.cc knows.
#include <fmt/format.h>

#include <algorithm>

#include "model.h"

namespace pgw::sim {

std::string Model::session_column(Kind kind) {
  switch (kind) {
    case Kind::current_setting:
      return "current_setting";
    case Kind::lock:
      return "pg_advisory_lock";
    case Kind::try_lock:
      return "pg_try_advisory_lock";
    case Kind::unlock:
      return "pg_advisory_unlock";
    case Kind::unlock_all:
      return "pg_advisory_unlock_all";
    case Kind::lock_here:
      return "pg_advisory_xact_lock";
    case Kind::try_lock_here:
      return "pg_try_advisory_xact_lock";
    case Kind::count:
      return "count";
    case Kind::notify_call:
      return "pg_notify";
    case Kind::channels:
      return "pg_listening_channels";
    case Kind::nextval:
      return "nextval";
    case Kind::currval:
      return "currval";
    default:
      return "lastval";
  }
}

const Statement* Model::statement(const std::string& name) const {
  const auto it = state_.prepared.find(name);
  return it == state_.prepared.end() || it->second.empty ? nullptr : &it->second.statement;
}

std::set<std::string> Model::locks() const {
  std::set<std::string> out;
  for (const auto& [key, times] : state_.locks) out.insert(key);
  for (const auto& [key, times] : state_.locks_here) out.insert(key);
  return out;
}

unsigned Model::times_locked(const std::string& key) const {
  const auto times = [&](const std::map<std::string, unsigned>& all) {
    const auto it = all.find(key);
    return it == all.end() ? 0 : it->second;
  };
  return times(state_.locks) + times(state_.locks_here);
}

Model::Mark Model::mark(std::string name) const {
  const State& s = state_;
  return {std::move(name), s.session, s.local,      s.tables, s.temporary,
          s.wishes,        s.notes,   s.locks_here, s.serial};
}

// A temporary table that the statement needs when it is parsed.
bool Model::lacks_relation(const Statement& s) const {
  return (s.kind == Kind::count || s.kind == Kind::insert_temp) &&
         !state_.temporary.contains(s.name);
}

// The statement that has this one's columns; none: it has no rows, as far as Describe can tell.
std::optional<Statement> Model::shape(const Statement& s) const {
  if (!returns_rows(s.kind)) return std::nullopt;
  if (s.kind == Kind::fetch) {
    const auto it = state_.cursors.find(s.name);
    if (it == state_.cursors.end()) return std::nullopt;
    return it->second.query;
  }
  if (s.kind == Kind::execute) {
    const Statement* prepared = statement(s.name);
    return prepared ? std::optional(*prepared) : std::nullopt;
  }
  return s;
}

// What a custom setting's value is; none: NULL, as PostgreSQL has never heard of it.
std::optional<std::string> Model::custom(const std::string& name) const {
  for (const Values* values : {&state_.local, &state_.session})
    if (const auto it = values->find(name); it != values->end()) return it->second;
  if (state_.placeholders.contains(name)) return "";
  return std::nullopt;
}

void Model::reset(const std::string& setting) {
  state_.local.erase(setting);
  if (kResetsLate && promise_ == Promise::whole) {
    state_.late.insert(setting);
    state_.resets.insert(setting);
  }
  const auto it = initial_.find(setting);
  if (it == initial_.end()) {
    state_.session.erase(setting);
  } else {
    state_.session[setting] = it->second;
  }
}

// The role is not reset by it. What a client of session mode gets back by it is its start-up value
// or the server's own: see docs/architecture.md.
void Model::reset_all() {
  State& s = state_;
  std::set<std::string> all;
  for (const auto& [name, value] : s.session) all.insert(name);
  for (const auto& [name, value] : s.local) all.insert(name);
  for (const auto& [name, value] : initial_) all.insert(name);
  all.erase("role");
  for (const std::string& name : all) reset(name);
  s.unknown.merge(all);
}

void Model::forget_session() {
  State& s = state_;
  s.prepared.clear();
  s.portals.clear();
  s.cursors.clear();
  reset("role");
  reset_all();
  s.wishes.push_back({Kind::unlisten_all});
  s.locks.clear();
  s.maybe_locked = false;
  s.value.reset();
  s.temporary.clear();
}

// The end of a transaction; after a rollback there is nothing left to do.
void Model::committed() {
  State& s = state_;
  s.locks_here.clear();
  std::erase_if(s.temporary, [](const auto& one) { return one.second.fleeting; });
  for (auto& [name, cursor] : s.cursors) cursor.serial = 0;
  for (const Statement& wish : std::exchange(s.wishes, {})) {
    if (wish.kind == Kind::listen) s.listens.insert(wish.name);
    if (wish.kind == Kind::unlisten) s.listens.erase(wish.name);
    if (wish.kind == Kind::unlisten_all) s.listens.clear();
  }
  for (Note& note : std::exchange(s.notes, {})) {
    if (s.listens.contains(note.first)) s.arrivals.push_back(note);
    s.published.push_back(std::move(note));
  }
}

void Model::set_config(const Statement& s, bool described) {
  if (!described) add('T', row_description(std::vector<Column>(s.sets.size(), {"set_config", 0})));
  std::vector<std::string> cells;
  for (const Assignment& one : s.sets) {
    const std::string name = setting_name(one.name);
    if (is_custom(name)) state_.placeholders.insert(name);
    if (one.local) {
      state_.local[name] = *one.value;
    } else {
      state_.local.erase(name);
      state_.session[name] = *one.value;
    }
    cells.push_back(*one.value);
    own_values_[name].insert(*one.value);
  }
  add('D', data_row(cells));
  done("SELECT 1");
}

void Model::step_session(const Statement& s, bool described) {
  State& st = state_;
  if (session_utility(s)) return;
  const auto columns_of = shape(s);
  if (s.kind == Kind::fetch && !columns_of) return error("34000");
  if (s.kind == Kind::execute && !columns_of) return error("26000");
  if (s.kind == Kind::execute && columns_of->params != s.params) return error("42601");
  if (!described) add('T', row_description(columns(*columns_of, 0)));
  switch (s.kind) {
    case Kind::current_setting: {
      const auto value = custom(setting_name(s.name));
      add('D', row_with_nulls({value}));
      // Nobody else's server ever had this name, or this one had it.
      if (promise_ != Promise::direct && (!value || value->empty()))
        replies_.back().others = {row_with_nulls({std::nullopt}), row_with_nulls({""})};
      if (!exact() && st.unknown.contains(setting_name(s.name)))
        for (const std::string& other : possible(setting_name(s.name)))
          replies_.back().others.push_back(data_row({other}));
      return done("SELECT 1");
    }
    case Kind::count:
      add('D', data_row({std::to_string(st.temporary.at(s.name).rows)}));
      return done("SELECT 1");
    case Kind::execute: {
      std::vector<std::string> cells{columns_of->token};
      if (s.params > 0) cells.push_back(s.value);
      add('D', data_row(cells));
      return done("SELECT 1");
    }
    case Kind::fetch: {
      Cursor& cursor = st.cursors.at(s.name);
      const std::uint32_t now = std::min(s.rows, cursor.query.rows - cursor.row);
      if (now > 0) replies_.push_back({'D', "", "", {}, cursor.query, cursor.row, now});
      cursor.row += now;
      return done(fmt::format("FETCH {}", now));
    }
    case Kind::notify_call:
      st.notes.emplace_back(s.name, s.token);
      add('D', data_row({""}));
      return done("SELECT 1");
    case Kind::state:
      return state_rows();
    case Kind::channels:
      for (const std::string& channel : st.listens) add('D', data_row({channel}));
      return done(fmt::format("SELECT {}", st.listens.size()));
    case Kind::nextval:
      st.value = "";
      replies_.push_back({'D'});
      replies_.back().learn = 'n';
      return done("SELECT 1");
    case Kind::currval:
    case Kind::lastval:
      if (!st.value) return error("55000");
      add('D', data_row({*st.value}));
      if (promise_ == Promise::whole) {  // one of its own, or none
        replies_.back().or_code = "55000";
        for (const std::string& own : own_numbers_)
          replies_.back().others.push_back(data_row({own}));
      }
      return done("SELECT 1");
    default:
      return step_lock(s);
  }
}

// The whole session at once; what is told of it elsewhere must be seen here, and nothing else.
void Model::state_rows() {
  State& st = state_;
  unsigned rows = 0;
  const auto row = [&](const char* kind, const std::string& name,
                       const std::vector<std::string>& values) {
    add('D', data_row({kind, name, values[0]}));
    for (const std::string& other : values)
      replies_.back().others.push_back(data_row({kind, name, other}));
    ++rows;
  };
  for (const Setting& s : kSettings) row("setting", s.name, possible(s.name));
  row("setting", "role", possible("role"));
  for (const char* name : {"app.v1", "app.v2"}) {
    auto values = possible(name);
    values[0] = custom(name).value_or("");
    row("setting", name, values);
  }
  for (const std::string& key : locks()) row("lock", key, {std::to_string(times_locked(key))});
  for (const auto& [name, table] : st.temporary)
    row("temporary", name, {std::to_string(table.rows)});
  for (const auto& [name, cursor] : st.cursors)
    row("cursor", name, {fmt::format("{} {}", cursor.query.token, cursor.row)});
  for (const auto& [name, one] : st.prepared)
    if (one.from_sql) row("prepared", name, {one.statement.token});
  done(fmt::format("SELECT {}", rows));
}

void Model::step_lock(const Statement& s) {
  auto& locks = state_.locks;
  switch (s.kind) {
    case Kind::lock:
    case Kind::lock_here:
      ++(s.kind == Kind::lock ? locks : state_.locks_here)[s.name];
      add('D', data_row({""}));
      break;
    case Kind::try_lock:
    case Kind::try_lock_here:
      replies_.push_back({'D', data_row({"t"})});
      if (s.rows > 0) {  // one that others want, too
        state_.maybe_locked = true;
        if (times_locked(s.name) == 0) replies_.back().others = {data_row({"f"})};
      }
      replies_.back().learn = s.kind == Kind::try_lock ? 'l' : 'L';
      replies_.back().about = s.name;
      break;
    case Kind::unlock: {
      const auto it = locks.find(s.name);
      if (it == locks.end()) {
        replies_.push_back({'N', "", "01000"});
        add('D', data_row({"f"}));
        break;
      }
      if (--it->second == 0) locks.erase(it);
      add('D', data_row({"t"}));
      break;
    }
    default:
      locks.clear();
      state_.maybe_locked = false;
      add('D', data_row({""}));
  }
  done("SELECT 1");
}

// False: it is none of these.
bool Model::session_utility(const Statement& s) {
  State& st = state_;
  const auto answer = [&](bool well, std::string sqlstate, std::string_view tag) {
    well ? done(tag) : error(std::move(sqlstate));
    return true;
  };
  switch (s.kind) {
    case Kind::do_set:
      st.placeholders.insert(s.name);
      st.local.erase(s.name);
      st.session[s.name] = s.value;
      return answer(true, "", "DO");
    case Kind::create_temp:
      return answer(st.temporary.try_emplace(s.name, Temporary{0, s.params > 0}).second, "42P07",
                    "CREATE TABLE");
    case Kind::insert_temp:
      ++st.temporary.at(s.name).rows;
      return answer(true, "", "INSERT 0 1");
    case Kind::drop:
      return answer(st.temporary.erase(s.name) > 0, "42P01", "DROP TABLE");
    case Kind::declare:
      return answer(st.cursors.try_emplace(s.name, Cursor{inner(s), 0, st.serial++}).second,
                    "42P03", "DECLARE CURSOR");
    case Kind::close_cursor:
      return answer(st.cursors.erase(s.name) > 0, "34000", "CLOSE CURSOR");
    case Kind::close_all:
      st.cursors.clear();
      st.portals.clear();
      return answer(true, "", "CLOSE CURSOR ALL");
    case Kind::prepare: {
      Prepared p{false, inner(s),
                 std::vector<std::uint32_t>(static_cast<std::size_t>(s.params), 25), 0, true};
      return answer(st.prepared.try_emplace(s.name, std::move(p)).second, "42P05", "PREPARE");
    }
    case Kind::listen:
      st.wishes.push_back(s);
      return answer(true, "", "LISTEN");
    case Kind::unlisten:
    case Kind::unlisten_all:
      st.wishes.push_back(s);
      return answer(true, "", "UNLISTEN");
    case Kind::notify:
      st.notes.emplace_back(s.name, s.token);
      return answer(true, "", "NOTIFY");
    case Kind::discard_temp:
      st.temporary.clear();
      return answer(true, "", "DISCARD TEMP");
    case Kind::discard_sequences:
      st.value.reset();
      return answer(true, "", "DISCARD SEQUENCES");
    case Kind::discard_plans:
      return answer(true, "", "DISCARD PLANS");
    default:
      return false;
  }
}

}  // namespace pgw::sim

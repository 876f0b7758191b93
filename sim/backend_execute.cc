// The scripted PostgreSQL's backend: statements and transactions.
#include <algorithm>

#include "backend.h"

namespace pgw::sim {

void Backend::own(const Statement& statement) {
  const auto owner = token_owner(statement.token);
  if (!owner) return;
  if (owner_ >= 0 && owner_ != *owner) {
    sim_.fail(fmt::format("pg{}: one transaction has requests of c{} and c{} ({})", pid_, owner_,
                          *owner, render(statement)));
  }
  owner_ = *owner;
}

void Backend::open_transaction() {
  if (open_) return;
  open_ = true;
  owner_ = -1;
  undo_.clear();
  listening_.clear();
  notes_.clear();
  points_.assign(1, point(""));
}

Backend::Point Backend::point(std::string name) const {
  return {std::move(name), session_,          local_,        undo_.size(),
          temporary_,      listening_.size(), notes_.size(), postgres_.locks_here(*this),
          births_};
}

void Backend::commit() {
  if (!open_) return;
  open_ = false;
  block_ = 'I';
  local_.clear();
  points_.clear();
  undo_.clear();
  portals_.clear();
  end_of_transaction();
}

void Backend::rollback() {
  if (!open_) return;
  back_to(Point(points_.front()));
  commit();  // of nothing
}

void Backend::back_to(const Point& point) {
  session_ = point.session;
  local_ = point.local;
  while (undo_.size() > point.undo) {
    postgres_.tables[undo_.back().first] = undo_.back().second;
    undo_.pop_back();
  }
  temporary_ = point.temporary;
  postgres_.keep_here(*this, point.locks);
  listening_.resize(point.listening);
  notes_.resize(point.notes);
  std::erase_if(cursors_, [&](const auto& one) { return one.second.born >= point.born; });
}

std::vector<Column> Backend::columns(const Statement& s, int format) const {
  switch (s.kind) {
    case Kind::echo: {
      std::vector<Column> out{{"echo", format}};
      for (int i = 1; i <= s.params; ++i) out.push_back({fmt::format("p{}", i), format});
      return out;
    }
    case Kind::big:
      return {{"line", format}};
    case Kind::sleep:
      return {{"pg_sleep", format}};
    case Kind::error:
      return {{"error", format}};
    case Kind::notice:
      return {{"notice", format}};
    case Kind::table: {
      std::vector<Column> out{{"v", format}};
      const auto it = postgres_.tables.find(s.name);
      for (int i = 0; it != postgres_.tables.end() && i < it->second; ++i)
        out.push_back({fmt::format("x{}", i), format});
      return out;
    }
    case Kind::show: {
      const std::string name = setting_name(s.name);
      return {{name.empty() ? s.name : name, format}};
    }
    case Kind::set_config:
      return {s.sets.size(), Column{"set_config", format}};
    case Kind::state:
      return {{"kind", format}, {"name", format}, {"value", format}};
    case Kind::inspect:
    case Kind::numbers:
      return {{"?column?", format}, {"name", format}, {"setting", format}};
    case Kind::survey:
      return {{"?column?", format},
              {"id", format},
              {"kin", format},
              {"name", format},
              {"text", format}};
    case Kind::current_setting:
      return {{"current_setting", format}};
    case Kind::lock:
      return {{"pg_advisory_lock", format}};
    case Kind::try_lock:
      return {{"pg_try_advisory_lock", format}};
    case Kind::unlock:
      return {{"pg_advisory_unlock", format}};
    case Kind::unlock_all:
      return {{"pg_advisory_unlock_all", format}};
    case Kind::lock_here:
      return {{"pg_advisory_xact_lock", format}};
    case Kind::try_lock_here:
      return {{"pg_try_advisory_xact_lock", format}};
    case Kind::count:
      return {{"count", format}};
    case Kind::notify_call:
      return {{"pg_notify", format}};
    case Kind::channels:
      return {{"pg_listening_channels", format}};
    case Kind::nextval:
      return {{"nextval", format}};
    case Kind::currval:
      return {{"currval", format}};
    case Kind::lastval:
      return {{"lastval", format}};
    default:
      return {{"?column?", format}};
  }
}

std::vector<std::string> Backend::cells(const Activity& a) const {
  const Statement& s = a.statement;
  switch (s.kind) {
    case Kind::echo: {
      std::vector<std::string> out{s.token};
      out.insert(out.end(), a.params.begin(), a.params.end());
      return out;
    }
    case Kind::big:
      return {big_row(s, a.row)};
    case Kind::table: {
      std::vector<std::string> out(columns(s, 0).size(), "x");
      out[0] = s.token;
      return out;
    }
    case Kind::show:
      return {*value_of(s.name)};
    case Kind::set_config: {
      std::vector<std::string> out;
      for (const auto& one : s.sets) out.push_back(*value_of(one.name));
      return out;
    }
    case Kind::nothing:
      return {"1"};
    default:
      return {s.token};
  }
}

void Backend::execute(const Statement& s, Portal* portal, const std::string& name,
                      std::uint32_t limit) {
  if (block_ == 'E' && !ends_transaction(s.kind)) {
    return raise("25P02",
                 "current transaction is aborted, commands ignored until end of "
                 "transaction block");
  }
  open_transaction();
  own(s);
  if (postgres_.cancel_next == s.kind) {
    postgres_.cancel_next.reset();
    return raise("57014", "canceling statement due to statement timeout");
  }
  if (const auto text = missing_relation(s); !text.empty()) return raise("42P01", text);
  if (!returns_rows(s.kind) && s.kind != Kind::copy_out) return execute_utility(s);
  if (s.kind == Kind::error) return raise("22012", fmt::format("division by zero {}", s.token));
  if (s.kind == Kind::show && !value_of(s.name)) return unknown_setting(s.name);
  Activity activity{s, name, portal != nullptr, 1, 0, limit, 0, false, {}};
  if (s.kind == Kind::big || s.kind == Kind::copy_out) activity.end = s.rows;
  if (portal) {
    activity.row = portal->row;
    activity.params = portal->params;
  }
  if (s.kind == Kind::copy_out) {
    put('H', Body().u8(0).u16(1).u16(0).take());
  } else if (is_of_session(s.kind)) {
    return run_session(s, std::move(activity));
  } else if (!portal) {
    put('T', row_description(columns(s, 0)));
  }
  if (activity.row == 0 && s.kind == Kind::notice) {
    put('N', error_body("NOTICE", "00000", fmt::format("a notice for {}", s.token)));
    flush();
  }
  for (Assignment one : s.sets) {
    if (one.parameter > 0)
      one.value = activity.params.at(static_cast<std::size_t>(one.parameter - 1));
    const bool own = s.params > 0 && has_own(setting_name(one.name));
    if (!own && !assign(one)) return;
  }
  if (activity.row == 0 && s.kind == Kind::sleep) {
    activity.asleep = true;
    postgres_.loop().arm(alarm_, std::chrono::milliseconds(s.rows));
  }
  activity_ = std::move(activity);
}

// Goes on with the statement under way; false when the reader must take something first.
bool Backend::advance() {
  Activity& a = *activity_;
  const bool copy = a.statement.kind == Kind::copy_out;
  while (a.row < a.end && (a.limit == 0 || a.sent < a.limit)) {
    if (a.made) {
      put('D', row_with_nulls(a.made->at(a.row)));
    } else if (blocked()) {
      return false;
    } else if (copy) {
      put('d', copy_row(a.statement, a.row));
    } else {
      put('D', data_row(cells(a)));
    }
    ++a.row;
    ++a.sent;
  }
  if (a.extended) portals_[a.portal].row = a.row;
  if (copy) {
    put('c', "");
    put('C', Body().text(fmt::format("COPY {}", a.sent)).take());
  } else if (a.limit != 0 && a.sent == a.limit) {
    put('s', "");
  } else {
    if (a.tag.empty())
      a.tag = a.statement.kind == Kind::show ? "SHOW" : fmt::format("SELECT {}", a.sent);
    put('C', Body().text(a.tag).take());
  }
  activity_.reset();
  return true;
}

void Backend::interrupt() {
  sim_.trace("pg{} cancel {}", pid_, activity_ ? "hits" : copy_ ? "waits for copy" : "misses");
  if (copy_) {
    copy_->cancelled = true;
    return;
  }
  if (!activity_) return;
  raise("57014", "canceling statement due to user request");
  if (!stream_) return leave();
  pump();
}

void Backend::execute_utility(const Statement& s) {
  const auto done = [&](std::string_view tag) { put('C', Body().text(tag).take()); };
  switch (s.kind) {
    case Kind::insert:
      return done("INSERT 0 1");
    case Kind::update:
      return done("UPDATE 3");
    case Kind::replicate:
      if (!replication_) return raise("42601", "this is no replication connection");
      copy_ = Copy{s, 0, false};
      put('W', Body().u8(0).u16(0).take());
      for (std::uint32_t i = 0; i < s.rows; ++i) put('d', copy_row(s, i));
      return flush();
    case Kind::copy_in:
      copy_ = Copy{s, 0, false};
      put('G', Body().u8(0).u16(1).u16(0).take());
      return flush();
    case Kind::alter: {
      int& columns = postgres_.tables[s.name];
      undo_.emplace_back(s.name, columns);
      ++columns;
      return done("ALTER TABLE");
    }
    case Kind::deallocate:
      if (prepared_.erase(s.name) == 0)
        return raise("26000", fmt::format("prepared statement \"{}\" does not exist", s.name));
      return done("DEALLOCATE");
    case Kind::deallocate_all:
      prepared_.clear();
      return done("DEALLOCATE ALL");
    case Kind::discard_all:
      if (block_ != 'I' || several_)
        return raise("25001", "DISCARD ALL cannot run inside a transaction block");
      discard_all();
      return done("DISCARD ALL");
    case Kind::set:
    case Kind::set_local:
    case Kind::reset:
    case Kind::reset_all:
    case Kind::do_set:
      return setting_statement(s);
    default:
      if (!session_utility(s)) transaction_statement(s);
  }
}

void Backend::transaction_statement(const Statement& s) {
  const auto done = [&](std::string_view tag) { put('C', Body().text(tag).take()); };
  const bool failed = block_ == 'E';
  switch (s.kind) {
    case Kind::begin:
      if (block_ == 'T') warn("25001", "there is already a transaction in progress");
      block_ = 'T';
      return done("BEGIN");
    case Kind::commit:
    case Kind::rollback: {
      const bool chain = s.params > 0;
      if (block_ == 'I' && chain)
        return raise("25P01", "AND CHAIN can only be used in transaction blocks");
      if (block_ == 'I') warn("25P01", "there is no transaction in progress");
      const bool keeps = s.kind == Kind::commit && !failed;
      keeps ? commit() : rollback();
      if (!pending_.empty() || chain) open_transaction();
      if (chain) block_ = 'T';
      return done(keeps ? "COMMIT" : "ROLLBACK");
    }
    case Kind::prepare_transaction: {  // max_prepared_transactions is 0, as it is by default
      const char was = block_;
      if (was == 'I') warn("25P01", "there is no transaction in progress");
      rollback();
      if (was == 'T' || several_) return raise("55000", "prepared transactions are disabled");
      return done("ROLLBACK");
    }
    case Kind::savepoint:
      if (block_ == 'I') return raise("25P01", "SAVEPOINT can only be used in transaction blocks");
      points_.push_back(point(s.name));
      return done("SAVEPOINT");
    case Kind::rollback_to:
    case Kind::release: {
      const bool release = s.kind == Kind::release;
      if (block_ == 'I') {
        return raise("25P01", fmt::format("{} can only be used in transaction blocks",
                                          release ? "RELEASE SAVEPOINT" : "ROLLBACK TO SAVEPOINT"));
      }
      const auto it = std::find_if(points_.rbegin(), points_.rend() - 1,
                                   [&](const Point& p) { return p.name == s.name; });
      if (it == points_.rend() - 1)
        return raise("3B001", fmt::format("savepoint \"{}\" does not exist", s.name));
      const auto kept = points_.rend() - it;  // this one and all before it
      if (release) {
        points_.resize(static_cast<std::size_t>(kept) - 1);
        return done("RELEASE");
      }
      points_.resize(static_cast<std::size_t>(kept));
      back_to(Point(points_.back()));
      block_ = 'T';
      return done("ROLLBACK");
    }
    default:
      return done("");
  }
}

}  // namespace pgw::sim

// The model: what statements do to a session, and what they answer.
#include <fmt/format.h>

#include <algorithm>

#include "model.h"

namespace pgw::sim {

void Model::begin_any() {
  if (state_.open) return;
  state_.open = true;
  state_.marks.assign(1, mark(""));
}

void Model::restore(const Mark& mark) {
  state_.session = mark.session;
  state_.local = mark.local;
  state_.tables = mark.tables;
  state_.temporary = mark.temporary;
  state_.wishes = mark.wishes;
  state_.notes = mark.notes;
  state_.locks_here = mark.locks;
  std::erase_if(state_.cursors, [&](const auto& one) { return one.second.serial >= mark.serial; });
}

// The end of a transaction of either kind.
void Model::end_any(bool keep) {
  State& s = state_;
  if (!s.open) return;
  if (!keep) restore(Mark(s.marks.front()));
  s.open = false;
  s.block = 'I';
  s.local.clear();
  s.marks.clear();
  s.portals.clear();
  committed();
}

std::string Model::value(const std::string& setting) const {
  const auto local = state_.local.find(setting);
  if (local != state_.local.end()) return local->second;
  const auto it = state_.session.find(setting);
  if (it != state_.session.end()) return it->second;
  const Setting* known = find_setting(setting);
  return known ? known->initial : "";
}

std::vector<std::string> Model::possible(const std::string& setting, bool reported) const {
  std::vector<std::string> out{value(setting)};
  const Setting* known = find_setting(setting);
  if (known && !reported && state_.late.contains(setting)) out.emplace_back(known->initial);
  // It may have been reset, and it may have been PostgreSQL's own value that the client had set it
  // to before. What PostgreSQL reports is the same in both cases; whether an error or ROLLBACK has
  // undone the reset it can only be asked afterwards.
  const auto set = own_values_.find(setting);
  if (promise_ == Promise::whole && reported && known && state_.doubtful &&
      state_.resets.contains(setting) && set != own_values_.end() &&
      set->second.contains(known->initial)) {
    out.emplace_back(known->initial);
    if (const auto first = initial_.find(setting); first != initial_.end())
      out.push_back(first->second);
  }
  if (exact() || !state_.unknown.contains(setting)) return out;
  if (const auto it = initial_.find(setting); it != initial_.end()) out.push_back(it->second);
  if (known) out.emplace_back(known->initial);
  const auto it = own_values_.find(setting);
  if (it != own_values_.end()) out.insert(out.end(), it->second.begin(), it->second.end());
  return out;
}

bool Model::may_be_reported(const std::string& setting, const std::string& wanted) const {
  const auto all = possible(setting, true);
  return std::ranges::find(all, wanted) != all.end();
}

std::vector<Column> Model::columns(const Statement& s, int format) const {
  std::vector<Column> out;
  const auto add_column = [&](std::string name) { out.push_back({std::move(name), format}); };
  if (s.kind == Kind::state) {
    for (const char* name : {"kind", "name", "value"}) add_column(name);
  } else if (s.kind == Kind::echo) {
    add_column("echo");
    for (int i = 1; i <= s.params; ++i) add_column("p" + std::to_string(i));
  } else if (s.kind == Kind::table) {
    add_column("v");
    const auto it = state_.tables.find(s.name);
    for (int i = 0; it != state_.tables.end() && i < it->second; ++i)
      add_column("x" + std::to_string(i));
  } else if (s.kind == Kind::show) {
    const Setting* setting = find_setting(s.name);
    add_column(setting ? setting->name : s.name);
  } else {
    add_column(s.kind == Kind::big          ? "line"
               : s.kind == Kind::sleep      ? "pg_sleep"
               : s.kind == Kind::error      ? "error"
               : s.kind == Kind::notice     ? "notice"
               : s.kind == Kind::set_config ? "set_config"
               : is_of_session(s.kind)      ? session_column(s.kind)
                                            : "?column?");
  }
  return out;
}

void Model::step_statement(const Statement& s, Portal* portal, std::uint32_t limit) {
  if (aborted(s)) return error("25P02");
  begin_any();
  if (s.kind == Kind::error) return error("22012");
  if (s.kind == Kind::show && !find_setting(s.name)) return error("42704");
  if (lacks_relation(s)) return error("42P01");
  if (s.kind == Kind::set_config) return set_config(s, portal != nullptr);
  if (is_of_session(s.kind)) return step_session(s, portal != nullptr);
  if (returns_rows(s.kind)) return rows(s, portal, limit);
  if (s.kind == Kind::copy_out) {
    add('H', Body().u8(0).u16(1).u16(0).take());
    if (s.rows) replies_.push_back({'d', "", "", {}, s, 0, s.rows});
    add('c');
    return done(fmt::format("COPY {}", s.rows));
  }
  step_utility(s);
}

void Model::rows(const Statement& s, Portal* portal, std::uint32_t limit) {
  if (!portal) add('T', row_description(columns(s, 0)));
  const std::uint32_t all = s.kind == Kind::big ? s.rows : 1;
  const std::uint32_t first = portal ? portal->row : 0;
  const std::uint32_t left = all - first;
  const std::uint32_t now = limit == 0 ? left : std::min(limit, left);
  if (s.kind == Kind::notice && first == 0) replies_.push_back({'N', "", "00000"});
  if (now > 0 && s.kind == Kind::big) {
    replies_.push_back({'D', "", "", {}, s, first, now});
  } else if (now > 0 && s.kind == Kind::show) {
    std::vector<std::string> bodies;
    for (const std::string& v : possible(find_setting(s.name)->name))
      bodies.push_back(data_row({v}));
    replies_.push_back({'D', bodies[0], "", bodies});
  } else if (now > 0) {
    std::vector<std::string> cells{s.token};
    if (s.kind == Kind::echo && portal)
      cells.insert(cells.end(), portal->params.begin(), portal->params.end());
    if (s.kind == Kind::table) cells.resize(columns(s, 0).size(), "x");
    add('D', data_row(cells));
  }
  if (portal) portal->row = first + now;
  if (limit != 0 && now == limit) return add('s');
  done(s.kind == Kind::show ? std::string("SHOW") : fmt::format("SELECT {}", now));
}

void Model::step_utility(const Statement& s) {
  switch (s.kind) {
    case Kind::insert:
      return done("INSERT 0 1");
    case Kind::update:
      return done("UPDATE 3");
    case Kind::copy_in:
      state_.copying = true;
      state_.copy_extended = !state_.simple;
      state_.copied = 0;
      return add('G', Body().u8(0).u16(1).u16(0).take());
    case Kind::alter:
      ++state_.tables[s.name];
      altered_.insert(s.name);
      return done("ALTER TABLE");
    case Kind::deallocate:
      if (state_.prepared.erase(s.name) == 0) return error("26000");
      return done("DEALLOCATE");
    case Kind::deallocate_all:
      state_.prepared.clear();
      return done("DEALLOCATE ALL");
    case Kind::discard_all:
      if (state_.block != 'I' || state_.several) return error("25001");
      state_.prepared.clear();
      state_.portals.clear();
      forget_session();
      return done("DISCARD ALL");
    case Kind::set:
    case Kind::set_local:
    case Kind::reset:
    case Kind::reset_all:
      return step_setting(s);
    default:
      return step_transaction(s);
  }
}

void Model::step_setting(const Statement& s) {
  State& st = state_;
  if (s.kind == Kind::reset_all) {
    reset_all();
    return done("RESET");
  }
  const std::string name = setting_name(s.name);
  if (name.empty()) return error("42704");
  if (is_custom(name)) st.placeholders.insert(name);
  if (s.kind == Kind::set_local) {
    if (st.block == 'I' && !st.several) replies_.push_back({'N', "", "25P01"});
    st.local[name] = s.value;
    own_values_[name].insert(s.value);
    return done("SET");
  }
  st.local.erase(name);
  if (s.kind == Kind::reset) {
    reset(name);
    st.unknown.insert(name);
    return done("RESET");
  }
  st.session[name] = s.value;
  own_values_[name].insert(s.value);
  done("SET");
}

void Model::step_transaction(const Statement& s) {
  State& st = state_;
  const char was = st.block;
  const auto need_block = [&] {
    if (was == 'I') error("25P01");
    return was != 'I';
  };
  switch (s.kind) {
    case Kind::begin:
      if (was == 'T') replies_.push_back({'N', "", "25001"});
      st.block = 'T';
      return done("BEGIN");
    case Kind::commit:
    case Kind::rollback: {
      if (was == 'I' && s.params > 0) return error("25P01");
      if (was == 'I') replies_.push_back({'N', "", "25P01"});
      state_.doubtful |= s.kind == Kind::rollback;
      const bool keep = s.kind == Kind::commit && was != 'E';
      end_any(keep);
      if (s.params > 0) {
        begin_any();
        st.block = 'T';
      }
      return done(keep ? "COMMIT" : "ROLLBACK");
    }
    case Kind::prepare_transaction: {
      if (was == 'I') replies_.push_back({'N', "", "25P01"});
      st.doubtful = true;
      const bool several = st.several;
      end_any(false);
      if (was == 'T' || several) return error("55000");
      return done("ROLLBACK");
    }
    case Kind::savepoint:
      if (!need_block()) return;
      st.marks.push_back(mark(s.name));
      return done("SAVEPOINT");
    case Kind::release:
    case Kind::rollback_to: {
      if (!need_block()) return;
      std::size_t at = st.marks.size();
      while (at > 1 && st.marks[at - 1].name != s.name) --at;
      if (at == 1) return error("3B001");
      if (s.kind == Kind::release) {
        st.marks.resize(at - 1);
        return done("RELEASE");
      }
      st.marks.resize(at);
      st.doubtful = true;
      restore(Mark(st.marks.back()));
      st.block = 'T';
      return done("ROLLBACK");
    }
    default:
      return done("");
  }
}

}  // namespace pgw::sim

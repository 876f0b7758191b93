// The model: its queue of requests, and the messages of the protocol.
#include "model.h"

#include <fmt/format.h>

#include <algorithm>

namespace pgw::sim {

void Model::start(Values initial, Promise promise) {
  promise_ = promise;
  initial_ = std::move(initial);
  state_ = State{};
  state_.session = initial_;
}

void Model::push(Request request) {
  if (requests_.empty() && replies_.empty() && state_.block == 'I') {
    state_.resets.clear();
    state_.doubtful = false;
  }
  requests_.push_back(std::move(request));
}

const Reply* Model::expected() {
  while (replies_.empty()) {
    if (state_.simple && !state_.copying) {
      before_ = state_;
      if (state_.pending.empty()) {
        end_simple();
      } else {
        const Statement s = state_.pending.front();
        state_.pending.pop_front();
        step_statement(s, nullptr, 0);
      }
      continue;
    }
    if (requests_.empty() || state_.over) return nullptr;
    answering_ = std::move(requests_.front());
    requests_.pop_front();
    before_ = state_;
    step(*answering_);
  }
  return &replies_.front();
}

bool Model::matches(const Message& m) {
  const Reply& r = replies_.front();
  if (m.type != r.type) return false;
  if (r.type == 'E' || r.type == 'N') {
    const std::string got = error_field(m.body, 'C');
    if (r.fatal != (error_field(m.body, 'S') == "FATAL")) return false;
    return got == r.sqlstate || (r.type == 'E' && aborted_alike(got, r.sqlstate));
  }
  if (r.count > 0) {
    if (r.type == 'd') return m.body == copy_row(r.rows, r.from);
    return m.body == data_row({big_row(r.rows, r.from)});
  }
  if (r.type == 'A') return m.body.substr(std::min<std::size_t>(4, m.body.size())) == r.body;
  matched_ = m.body;
  if (r.learn == 'n') {  // any number that it has not had before
    Reader in(m.body);
    const bool one = in.u16() == 1;
    const std::string cell = in.raw(in.u32());
    return one && in.ok() && !cell.empty() && cell.find_first_not_of("0123456789") == cell.npos &&
           !own_numbers_.contains(cell);
  }
  return m.body == r.body || std::ranges::find(r.others, m.body) != r.others.end();
}

// In an aborted block a statement that is missing, doubled or not allowed is an error either way;
// which of them is told first is not promised in transaction mode, where names are the pooler's own
// affair.
bool Model::aborted_alike(const std::string& got, const std::string& wanted) const {
  const auto one_of = [](const std::string& code) {
    return code == "25P02" || code == "26000" || code == "42P05" || code == "08P01";
  };
  return shared() && before_.block == 'E' && one_of(got) && one_of(wanted);
}

void Model::pop() {
  Reply& r = replies_.front();
  if (r.count > 1) {
    ++r.from;
    --r.count;
    return;
  }
  if (matched_ == data_row({"t"}) && r.learn == 'l') ++state_.locks[r.about];
  if (matched_ == data_row({"t"}) && r.learn == 'L' && state_.open) ++state_.locks_here[r.about];
  if (r.learn == 'n') {
    Reader in(matched_);
    in.u16();
    state_.value = in.raw(in.u32());
    own_numbers_.insert(*state_.value);
  }
  replies_.pop_front();
}

void Model::interrupted() {
  replies_.clear();
  state_ = before_;
  if (answering_ && answering_->type == 'Q') state_.prepared.erase("");  // before anything else
  if (answering_ && (answering_->type == 'Q' || answering_->type == 'F')) state_.simple = true;
  fail();
}

void Model::run_ahead() {
  while (expected()) replies_.clear();
}

bool Model::ends() const {
  Model ahead = *this;
  ahead.run_ahead();
  return ahead.state_.over;
}

int Model::params_of(const std::string& name) const {
  const auto it = state_.prepared.find(name);
  return it == state_.prepared.end() ? 0 : static_cast<int>(it->second.types.size());
}

std::vector<std::string> Model::statement_names() const {
  std::vector<std::string> out;
  for (const auto& [name, p] : state_.prepared) out.push_back(name);
  return out;
}

std::optional<std::string> Model::open_portal() const {
  for (const auto& [name, p] : state_.portals)
    if (!p.prepared.empty && p.prepared.statement.kind == Kind::big) return name;
  return std::nullopt;
}

bool Model::has_savepoint(const std::string& name) const {
  return std::ranges::any_of(state_.marks, [&](const Mark& m) { return m.name == name; });
}

std::string Model::current() const {
  if (!answering_) return "login";
  std::string out(1, answering_->type);
  if (!answering_->statements.empty()) out += " " + render(answering_->statements);
  if (answering_->type == 'B' || answering_->type == 'D')
    out += " " + answering_->statement + "/" + answering_->portal;
  return out;
}

void Model::done(std::string_view tag) { add('C', Body().text(tag).take()); }

// An error that the model foresees: the reply, and its effects.
void Model::error(std::string sqlstate) {
  replies_.push_back({'E', "", std::move(sqlstate)});
  fail();
}

void Model::fail() {
  State& s = state_;
  s.doubtful = true;
  s.copying = false;
  if (s.block == 'T') {
    restore(Mark(s.marks.back()));
    s.block = 'E';
  } else if (s.block == 'I') {
    end_any(false);
  }
  if (s.simple) {
    s.pending.clear();
    end_simple();
  } else {
    s.skip = true;
  }
}

void Model::end_simple() {
  state_.simple = false;
  state_.several = false;
  if (state_.block == 'I') end_any(true);
  ready();
}

void Model::ready() {
  if (state_.block == 'I') {
    for (const auto& [channel, payload] : std::exchange(state_.arrivals, {}))
      if (state_.listens.contains(channel)) add('A', Body().text(channel).text(payload).take());
  }
  if (state_.block != 'E') state_.late.clear();
  add('Z', std::string(1, state_.block));
}

bool Model::aborted(const Statement& s) const {
  return state_.block == 'E' && !ends_transaction(s.kind);
}

void Model::step(const Request& r) {
  if (state_.copying) return on_copy(r);
  if (r.type == 'S') {
    state_.skip = false;
    if (state_.block == 'I') end_any(true);
    return ready();
  }
  if (state_.skip) return;
  switch (r.type) {
    case 'Q':
      return on_query(r);
    case 'P':
      return on_parse(r);
    case 'B':
      return on_bind(r);
    case 'D':
      return on_describe(r);
    case 'E':
      return on_execute(r);
    case 'F':
      return on_function(r);
    case 'C':
      if (r.what == 'S') {
        state_.prepared.erase(r.statement);
      } else {
        state_.portals.erase(r.portal);
      }
      return add('3');
    default:
      return;  // H; d, c, f outside of COPY
  }
}

void Model::on_query(const Request& r) {
  State& s = state_;
  s.simple = true;
  s.prepared.erase("");
  begin_any();
  if (r.garbled) return error("42601");
  std::vector<Statement> real;
  for (const Statement& x : r.statements)
    if (x.kind != Kind::empty) real.push_back(x);
  if (real.empty()) {
    add('I');
    return end_simple();
  }
  s.portals.erase("");
  s.several = real.size() > 1;
  s.pending.assign(real.begin(), real.end());
}

void Model::on_parse(const Request& r) {
  begin_any();
  if (r.statement.empty()) state_.prepared.erase("");  // also when this Parse fails
  if (r.garbled) return error("42601");
  std::vector<Statement> real;
  for (const Statement& x : r.statements)
    if (x.kind != Kind::empty) real.push_back(x);
  if (real.size() > 1) return error("42601");
  Prepared p;
  p.empty = real.empty();
  if (!p.empty) p.statement = real[0];
  if (!p.empty && aborted(p.statement)) return error("25P02");
  if (!p.empty && lacks_relation(p.statement)) return error("42P01");
  for (int i = 0; i < placeholders(p.statement); ++i) {
    const auto at = static_cast<std::size_t>(i);
    p.types.push_back(at < r.types.size() && r.types[at] != 0 ? r.types[at] : 25);
  }
  if (p.statement.kind == Kind::table) p.version = state_.tables[p.statement.name];
  if (!r.statement.empty() && state_.prepared.contains(r.statement)) return error("42P05");
  state_.prepared[r.statement] = std::move(p);
  add('1');
}

bool Model::stale(const Prepared& p) const {
  if (p.empty || p.statement.kind != Kind::table) return false;
  const auto it = state_.tables.find(p.statement.name);
  return (it == state_.tables.end() ? 0 : it->second) != p.version;
}

// Could the plan be stale on some server, for all that a client of transaction mode can know?
bool Model::touched(const Prepared& p) const {
  return shared() && !p.empty && p.statement.kind == Kind::table &&
         altered_.contains(p.statement.name);
}

void Model::on_bind(const Request& r) {
  begin_any();
  const auto it = state_.prepared.find(r.statement);
  if (it == state_.prepared.end()) return error("26000");
  const Prepared& p = it->second;
  if (p.types.size() != r.params.size()) return error("08P01");
  if (!p.empty && aborted(p.statement)) return error("25P02");
  if (!r.portal.empty() && state_.portals.contains(r.portal)) return error("42P03");
  if (stale(p) && !touched(p)) return error("0A000");
  if (!p.empty && lacks_relation(p.statement)) return error("42P01");
  state_.portals[r.portal] = {p, r.params, r.format, 0, false};
  add('2');
  replies_.back().or_stale = touched(p);
}

void Model::on_describe(const Request& r) {
  begin_any();
  const Prepared* p = nullptr;
  int format = 0;
  if (r.what == 'S') {
    const auto it = state_.prepared.find(r.statement);
    if (it == state_.prepared.end()) return error("26000");
    p = &it->second;
  } else {
    const auto it = state_.portals.find(r.portal);
    if (it == state_.portals.end()) return error("34000");
    p = &it->second.prepared;
    format = it->second.format;
  }
  const auto has_rows = p->empty ? std::nullopt : shape(p->statement);
  if (has_rows && state_.block == 'E') return error("25P02");
  if (r.what == 'S') {
    if (stale(*p) && !touched(*p)) return error("0A000");
    Body body;
    body.u16(static_cast<int>(p->types.size()));
    for (const std::uint32_t type : p->types) body.u32(type);
    add('t', body.take());
    replies_.back().or_stale = touched(*p);
    replies_.back().or_aborted = shared() && before_.block == 'E';
  }
  if (!has_rows) return add('n');
  add('T', row_description(columns(*has_rows, format)));
}

void Model::on_execute(const Request& r) {
  begin_any();
  const auto it = state_.portals.find(r.portal);
  if (it == state_.portals.end()) return error("34000");
  Portal& portal = it->second;
  if (portal.prepared.empty) return add('I');
  const Statement s = portal.prepared.statement;
  if (!returns_rows(s.kind)) {
    if (portal.spent) return error("55000");
    portal.spent = true;
  }
  step_statement(s, &portal, r.limit);
}

void Model::on_function(const Request& r) {
  state_.simple = true;
  begin_any();
  if (state_.block == 'E') return error("25P02");
  if (r.limit == 2) return error("22012");
  add('V', Body().counted(r.params.at(0)).take());
  end_simple();
}

void Model::on_copy(const Request& r) {
  switch (r.type) {
    case 'd':
      if (r.data.starts_with("bad")) return error("22P02");
      ++state_.copied;
      return;
    case 'c':
      state_.copying = false;
      return done(fmt::format("COPY {}", state_.copied));
    case 'f':
      return error("57014");
    case 'H':
    case 'S':
      return;
    default:
      // PostgreSQL has lost the place where the next message begins.
      replies_.push_back({'E', "", "08P01"});
      replies_.push_back({'E', "", "08P01"});
      replies_.back().fatal = true;
      state_.over = true;
  }
}

}  // namespace pgw::sim

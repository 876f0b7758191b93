// What a scripted client does with all that a session keeps: settings of its own, locks, temporary
// tables, cursors, statements prepared by SQL, notifications, sequences. Names are the same for all
// clients, so that whatever leaks is seen.
#include "script.h"
#include "script_requests.h"

namespace pgw::sim {

// Locks that others want, too, are waited for only by who has none: nobody waits for ever.
Statement Script::lock_statement(const Model& ahead) {
  Random& r = session_random_;
  const bool common = r.chance(400);
  const std::string key = common ? std::to_string(r.between(1, 2)) : own_key_;
  const std::size_t n = r.below(10);
  if (n == 0) return {Kind::unlock_all};
  if (n < 5) return named_statement(Kind::unlock, key);
  const bool here = r.chance(300);
  const Kind tries = here ? Kind::try_lock_here : Kind::try_lock;
  Statement s = named_statement(n < 8 ? tries : here ? Kind::lock_here : Kind::lock, key);
  if (!common) return s;
  if (!may_wait_ || ahead.may_hold_locks()) s.kind = tries;
  may_wait_ = false;
  s.rows = 1;
  return s;
}

Statement Script::of_channels(const std::string& channel) {
  Random& r = session_random_;
  switch (r.below(10)) {
    case 0:
    case 1:
      return named_statement(Kind::listen, channel);
    case 2:
      return r.chance(100) ? Statement{Kind::unlisten_all}
                           : named_statement(Kind::unlisten, channel);
    case 3:
    case 4:
    case 5:
      return {Kind::notify, token(), channel};
    case 6:
      return {Kind::notify_call, token(), channel};
    case 7:
      return {Kind::channels};
    default:
      return {Kind::echo, token()};
  }
}

Statement Script::of_session(const Model& ahead) {
  Random& r = session_random_;
  const std::string n = std::to_string(r.between(1, 2));
  const std::string custom = "app.v" + n;
  const std::string known = kSettings[r.below(kSettings.size())].name;
  const std::string value = known == "client_encoding" ? "UTF8" : token();
  const std::string value_here = r.chance(500) ? custom : known;
  if (taste_.talks) return of_channels("news" + n);
  switch (r.below(44)) {
    case 0:
    case 1:
      return {Kind::set, "", value_here, value};
    case 2:
      return {Kind::set_local, "", value_here, value};
    case 3: {
      Statement s{Kind::set_config};
      s.sets.push_back({value_here, value, r.chance(300)});
      // No further draw of chance: so it is left to the value.
      if (!s.sets[0].local && value.back() % 2 == 0) s.name = kHidden;
      return s;
    }
    case 4:
      return named_statement(Kind::reset, value_here);
    case 5:
      return {Kind::do_set, "", custom, value};
    case 6:
      return r.chance(200) ? Statement{Kind::reset_all} : named_statement(Kind::show, known);
    case 7:
      if (r.chance(500)) return named_statement(Kind::show, "role");
      return r.chance(500) ? Statement{Kind::set, "", "role", "worker"}
                           : named_statement(Kind::reset, "role");
    case 8:
    case 9:
    case 10:
      return named_statement(Kind::current_setting, custom);
    case 11:
    case 12:
    case 13:
    case 14:
      return lock_statement(ahead);
    case 15:
    case 16: {
      Statement s = named_statement(Kind::create_temp, "tmp" + n);
      s.params = r.chance(300) ? 1 : 0;
      return s;
    }
    case 17:
    case 18:
      return {Kind::insert_temp, token(), "tmp" + n};
    case 19:
    case 20:
      return named_statement(Kind::count, "tmp" + n);
    case 21:
      return named_statement(Kind::drop, "tmp" + n);
    case 22: {
      Statement s{Kind::declare, token(), "hold" + n};
      s.rows = static_cast<std::uint32_t>(r.below(10));
      s.size = 20;
      return s;
    }
    case 23:
    case 24: {
      Statement s = named_statement(Kind::fetch, "hold" + n);
      s.rows = static_cast<std::uint32_t>(r.between(1, 4));
      return s;
    }
    case 25:
      return r.chance(300) ? Statement{Kind::close_all}
                           : named_statement(Kind::close_cursor, "hold" + n);
    case 26: {
      Statement s{Kind::prepare, token(), "sql" + n};
      s.params = r.chance(400) ? 1 : 0;
      return s;
    }
    case 27:
    case 28: {
      Statement s{Kind::execute, "", "sql" + n};
      s.params = r.chance(200) ? 1 : 0;
      if (const Statement* prepared = ahead.statement(s.name)) s.params = prepared->params;
      if (s.params > 0) s.value = token();
      return s;
    }
    case 29:
      return named_statement(Kind::deallocate, "sql" + n);
    case 30:
    case 31:
      return named_statement(Kind::listen, "news" + n);
    case 32:
      return r.chance(300) ? Statement{Kind::unlisten_all}
                           : named_statement(Kind::unlisten, "news" + n);
    case 33:
    case 34:
      return {Kind::notify, token(), "news" + n};
    case 35:
      return r.chance(500) ? Statement{Kind::notify_call, token(), "news" + n}
                           : Statement{Kind::channels};
    case 36:
      return {Kind::nextval};
    case 37:
      return {r.chance(500) ? Kind::currval : Kind::lastval};
    case 38: {
      constexpr Kind kDiscards[] = {Kind::discard_temp, Kind::discard_sequences,
                                    Kind::discard_plans};
      return {kDiscards[r.below(3)]};
    }
    case 39:
      return {Kind::echo, token()};
    default:
      return {Kind::state};
  }
}

Statement Script::transaction_end() {
  Random& r = session_random_;
  if (r.chance(50)) return {Kind::prepare_transaction, token()};
  Statement s{r.chance(600) ? Kind::commit : Kind::rollback};
  s.params = r.chance(150) ? 1 : 0;
  return s;
}

std::vector<Request> Script::session_batch(const Model& ahead) {
  Random& r = session_random_;
  may_wait_ = true;
  if (ahead.status() == 'E' && r.chance(700)) return {query({{Kind::rollback}})};
  if (r.chance(30)) return {query({{Kind::discard_all}})};
  const std::size_t n = r.chance(600) ? 1 : r.between(2, 4);
  std::vector<Statement> list;
  for (std::size_t i = 0; i < n; ++i) list.push_back(of_session(ahead));
  if (r.chance(600)) {
    if (ahead.status() == 'I' && r.chance(250)) list.insert(list.begin(), {Kind::begin});
    if (ahead.status() == 'T' && r.chance(400)) list.push_back(transaction_end());
    if (ahead.status() == 'T' && r.chance(150))
      list.push_back(named_statement(Kind::savepoint, "a"));
    if (ahead.has_savepoint("a") && r.chance(200))
      list.push_back(named_statement(Kind::rollback_to, "a"));
    if (r.chance(50)) list.push_back({Kind::error, token()});
    return {query(std::move(list))};
  }
  std::vector<Request> out;
  for (const Statement& s : list) {
    out.push_back(parse_request("", {s}));
    out.push_back(message('B'));
    if (r.chance(400)) out.push_back(on_name('D', 'P', ""));
    out.push_back(execute("", 0));
  }
  out.push_back(message('S'));
  return out;
}

}  // namespace pgw::sim

#include "script.h"

#include <fmt/format.h>

#include "script_requests.h"

namespace pgw::sim {

std::string Script::token() { return fmt::format("c{}.{}", taste_.client, ++counter_); }

void Script::new_session(int attempt) {
  table_ = fmt::format("tab_{}_{}", taste_.client, attempt);
  own_key_ = std::to_string(1000 * (taste_.client + 1) + attempt);
}

Statement Script::echo() {
  Statement s{Kind::echo, token()};
  s.params = random_.chance(400) ? static_cast<int>(random_.between(1, 3)) : 0;
  return s;
}

std::string Script::setting_value(const std::string& name) {
  if (name == "client_encoding") return random_.chance(500) ? "LATIN1" : "UTF8";
  return token();
}

Statement Script::setting() {
  const std::string name = kSettings[random_.below(kSettings.size())].name;
  switch (random_.below(8)) {
    case 0:
      return named_statement(Kind::reset, name);
    case 1:
      return {Kind::set_local, "", name, setting_value(name)};
    case 2:
      return random_.chance(300) ? Statement{Kind::reset_all} : named_statement(Kind::show, name);
    case 3:
    case 4:
      return named_statement(Kind::show, name);
    case 5:
      return named_statement(Kind::set, "no_such_setting");
    default:
      return {Kind::set, "", name, setting_value(name)};
  }
}

// A statement without parameters that may stand anywhere.
Statement Script::plain() {
  const std::size_t n = random_.below(100);
  if (n < 40) return {Kind::echo, token()};
  if (n < 48) return {Kind::insert, token()};
  if (n < 54) return {Kind::update, token()};
  if (n < 60) return {Kind::notice, token()};
  if (n < 66) return {Kind::error, token()};
  if (n < 74) {
    Statement s{Kind::big, token()};
    s.rows = static_cast<std::uint32_t>(random_.below(taste_.big_rows + 1));
    s.size = static_cast<std::uint32_t>(random_.below(taste_.big_size + 1));
    return s;
  }
  if (n < 80 && taste_.sleeps) {
    Statement s{Kind::sleep, token()};
    s.rows = static_cast<std::uint32_t>(random_.below(300));
    return s;
  }
  if (n < 86 && taste_.copies) {
    Statement s{Kind::copy_out, token()};
    s.rows = static_cast<std::uint32_t>(random_.below(20));
    return s;
  }
  if (n < 92 && taste_.settings) return setting();
  if (n < 94 && taste_.ddl) return {Kind::table, token(), table_};
  return {Kind::echo, token()};
}

// A statement that fits the transaction's state: now and then it begins or ends one.
Statement Script::in_block(const Model& ahead) {
  const std::vector<std::string> marks{"a", "b"};
  if (ahead.status() == 'I') return random_.chance(300) ? Statement{Kind::begin} : plain();
  if (ahead.status() == 'E') {
    if (random_.chance(200)) return plain();
    if (ahead.has_savepoint("a") && random_.chance(500))
      return named_statement(Kind::rollback_to, "a");
    return {random_.chance(700) ? Kind::rollback : Kind::commit};
  }
  switch (random_.below(12)) {
    case 0:
    case 1:
      return {Kind::commit};
    case 2:
      return {Kind::rollback};
    case 3:
      return named_statement(Kind::savepoint, random_.pick(marks));
    case 4:
      return named_statement(random_.chance(500) ? Kind::rollback_to : Kind::release,
                             random_.pick(marks));
    case 5:
      return random_.chance(200) ? Statement{Kind::begin} : plain();
    default:
      return plain();
  }
}

std::vector<Request> Script::batch(const Model& ahead) {
  if (ahead.in_copy()) return in_copy(ahead);
  if (taste_.session > 0 && session_random_.chance(taste_.session)) return session_batch(ahead);
  const std::size_t n = random_.below(100);
  if (n < 30) return simple(ahead);
  if (n < 45) return extended(ahead);
  if (n < 62) return named(ahead);
  if (n < 74) return pipeline(ahead);
  if (n < 82) return portals(ahead);
  if (n < 88) return taste_.copies ? copy_in(ahead) : simple(ahead);
  if (n < 92) return taste_.ddl ? ddl(ahead) : named(ahead);
  if (n < 95) {
    Request r = message('F');
    r.limit = random_.chance(200) ? 2 : 1;
    r.params = {token()};
    return {r};
  }
  return mistakes(ahead);
}

std::vector<Request> Script::settle(const Model& ahead) {
  std::vector<Request> out;
  if (ahead.in_copy()) {
    out.push_back(message('c'));
    if (ahead.copy_is_extended()) out.push_back(message('S'));
    return out;
  }
  if (ahead.pipeline_open() || ahead.skipping()) return {message('S')};
  if (ahead.status() != 'I') return {query({{Kind::rollback}})};
  return out;
}

std::vector<Request> Script::simple(const Model& ahead) {
  std::vector<Statement> list;
  const std::size_t n = random_.chance(250) ? random_.between(2, 5) : 1;
  for (std::size_t i = 0; i < n; ++i) list.push_back(in_block(ahead));
  if (random_.chance(20)) list.clear();
  if (random_.chance(15)) list = {{Kind::deallocate_all}};
  if (random_.chance(15)) list = {named_statement(Kind::deallocate, some_name())};
  if (random_.chance(10)) list = {{Kind::discard_all}};
  return {query(std::move(list))};
}

// Sync, or Flush with the Sync left to a later batch.
void Script::finish(std::vector<Request>& out) {
  out.push_back(message(random_.chance(120) ? 'H' : 'S'));
}

void Script::bind_execute(std::vector<Request>& out, const std::string& name, int params,
                          const Model& ahead) {
  Request bind = message('B');
  bind.statement = name;
  if (random_.chance(150)) bind.portal = ahead.has_portal("p1") ? "p2" : "p1";
  for (int i = 0; i < params; ++i) bind.params.push_back(token());
  bind.format = random_.chance(200) ? 1 : 0;
  const std::string portal = bind.portal;
  out.push_back(std::move(bind));
  if (random_.chance(400)) out.push_back(on_name('D', 'P', portal));
  out.push_back(execute(portal, random_.chance(60) ? 1000 : 0));
  if (!portal.empty() && random_.chance(700)) out.push_back(on_name('C', 'P', portal));
}

std::vector<Request> Script::extended(const Model& ahead) {
  std::vector<Request> out;
  const Statement s = random_.chance(500) ? echo() : in_block(ahead);
  out.push_back(parse_request("", {s}));
  if (random_.chance(150)) out.back().types.assign(static_cast<std::size_t>(s.params), 23);
  if (random_.chance(300)) out.push_back(on_name('D', 'S', ""));
  if (random_.chance(100)) {  // the statement is used by a later batch
    out.push_back(message('S'));
    return out;
  }
  bind_execute(out, "", s.params, ahead);
  finish(out);
  return out;
}

// Parse once, bind later; now and then Describe or Close.
std::vector<Request> Script::named(const Model& ahead) {
  std::vector<Request> out;
  const std::string name = random_.chance(150) ? "" : some_name();
  const std::size_t n = random_.below(100);
  if (!ahead.has_statement(name)) {
    Statement s = random_.chance(700) ? echo() : plain();
    out.push_back(parse_request(name, {s}));
    if (random_.chance(500)) out.push_back(on_name('D', 'S', name));
    if (random_.chance(400)) bind_execute(out, name, s.params, ahead);
  } else if (n < 75) {
    for (std::size_t i = random_.between(1, 3); i > 0; --i)
      bind_execute(out, name, ahead.params_of(name), ahead);
  } else if (n < 88) {
    out.push_back(on_name('D', 'S', name));
  } else {
    out.push_back(on_name('C', 'S', name));
    if (random_.chance(400)) out.push_back(parse_request(name, {echo()}));
  }
  finish(out);
  return out;
}

// Several transactions in flight, each with its Sync; errors skip to the next one.
std::vector<Request> Script::pipeline(const Model& ahead) {
  std::vector<Request> out;
  const std::size_t n = random_.between(2, 8);
  for (std::size_t i = 0; i < n; ++i) {
    const std::vector<Request> part = random_.chance(600)   ? extended(ahead)
                                      : random_.chance(700) ? named(ahead)
                                                            : simple(ahead);
    out.insert(out.end(), part.begin(), part.end());
    if (random_.chance(100)) out.push_back(message('H'));
  }
  out.push_back(message('S'));
  return out;
}

// A result read in pieces, inside a transaction.
std::vector<Request> Script::portals(const Model& ahead) {
  std::vector<Request> out;
  if (const auto open = ahead.open_portal(); open && random_.chance(700)) {
    out.push_back(execute(*open, static_cast<std::uint32_t>(random_.below(8))));
    finish(out);
    return out;
  }
  if (ahead.status() == 'I') {
    out.push_back(parse_request("", {{Kind::begin}}));
    out.push_back(message('B'));
    out.push_back(execute("", 0));
  }
  Statement s{Kind::big, token()};
  s.rows = static_cast<std::uint32_t>(random_.between(1, 30));
  s.size = 50;
  out.push_back(parse_request("", {s}));
  Request bind = message('B');
  bind.portal = ahead.has_portal("cur") ? "" : "cur";
  const std::string portal = bind.portal;
  out.push_back(std::move(bind));
  for (std::size_t i = random_.between(1, 3); i > 0; --i) {
    out.push_back(execute(portal, static_cast<std::uint32_t>(random_.between(1, 12))));
    if (random_.chance(300)) out.push_back(message('H'));
  }
  finish(out);
  return out;
}

std::vector<Request> Script::copy_in(const Model& ahead) {
  const Statement s{Kind::copy_in, token()};
  if (random_.chance(500)) return {query({s})};
  std::vector<Request> out{parse_request("", {s}), message('B'), execute("", 0)};
  if (random_.chance(500)) {
    out.push_back(message('H'));
    return out;
  }
  // All of it without waiting for the server's consent.
  (void)ahead;
  for (std::size_t i = random_.below(6); i > 0; --i) {
    out.push_back(message('d'));
    out.back().data = token() + "\tblind\n";
  }
  out.push_back(message('c'));
  out.push_back(message('S'));
  return out;
}

std::vector<Request> Script::in_copy(const Model& ahead) {
  std::vector<Request> out;
  for (std::size_t i = random_.below(12); i > 0; --i) {
    out.push_back(message('d'));
    out.back().data = token() + "\t" + std::string(random_.below(400), 'y') + "\n";
    if (random_.chance(10)) out.back().data = "bad";
    if (random_.chance(60)) out.push_back(message('H'));
    random_.chance(60);  // drawn so that seeds keep their meaning
  }
  if (out.empty() || random_.chance(400)) {
    out.push_back(message(random_.chance(850) ? 'c' : 'f'));
    if (out.back().type == 'f') out.back().data = "no more " + token();
    if (ahead.copy_is_extended()) out.push_back(message('S'));
  }
  return out;
}

std::vector<Request> Script::ddl(const Model& ahead) {
  if (random_.chance(400)) return {query({named_statement(Kind::alter, table_)})};
  std::vector<Request> out;
  const std::string name = "on_table";
  if (!ahead.has_statement(name))
    out.push_back(parse_request(name, {{Kind::table, token(), table_}}));
  if (random_.chance(400)) out.push_back(on_name('D', 'S', name));
  bind_execute(out, name, 0, ahead);
  out.push_back(message('S'));
  return out;
}

// What PostgreSQL answers with an error of its own.
std::vector<Request> Script::mistakes(const Model& ahead) {
  std::vector<Request> out;
  switch (random_.below(8)) {
    case 0:
      bind_execute(out, "no_such", 0, ahead);
      break;
    case 1:
      out = {execute("no_such", 0)};
      break;
    case 2:
      out = {on_name('D', 'P', "no_such")};
      break;
    case 3:
      out = {on_name('D', 'S', "no_such")};
      break;
    case 4:
      out = {parse_request("", {echo(), echo()})};
      break;
    case 5:
      out = {parse_request("", {})};
      out.back().garbled = true;
      break;
    case 6: {
      out = {message('Q')};
      out.back().garbled = true;
      return out;
    }
    default: {
      const std::string name = some_name();
      out = {parse_request(name, {echo()}), parse_request(name, {echo()})};
      bind_execute(out, name, 5, ahead);
    }
  }
  out.push_back(message('S'));
  return out;
}

}  // namespace pgw::sim

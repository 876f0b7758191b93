#include "sql.h"

#include <fmt/format.h>

#include <charconv>

#include "base/bytes.h"
#include "sql_words.h"

namespace pgw::sim {

const std::vector<Setting> kSettings = {
    {"application_name", "", true},     {"client_encoding", "UTF8", true},
    {"DateStyle", "ISO, MDY", true},    {"TimeZone", "Etc/UTC", true},
    {"work_mem", "4MB", false},         {"search_path", "\"$user\", public", false},
    {"extra_float_digits", "1", false}, {"statement_timeout", "0", false},
};

namespace {
constexpr Setting kRole = {"role", "none", false};
}

const Setting* find_setting(std::string_view name) {
  const std::string wanted = lowered(name);
  if (wanted == kRole.name) return &kRole;
  for (const Setting& s : kSettings)
    if (lowered(s.name) == wanted) return &s;
  return nullptr;
}

bool is_custom(std::string_view setting) { return setting.contains('.'); }

std::string setting_name(std::string_view name) {
  if (is_custom(name)) return lowered(name);
  const Setting* s = find_setting(name);
  return s ? s->name : "";
}

bool ends_transaction(Kind kind) {
  return kind == Kind::commit || kind == Kind::rollback || kind == Kind::rollback_to ||
         kind == Kind::prepare_transaction;
}

int placeholders(const Statement& s) {
  if (s.kind == Kind::echo) return s.params;
  int most = 0;
  for (const Assignment& one : s.sets) most = std::max(most, one.parameter);
  return most;
}

bool is_of_session(Kind kind) { return kind >= Kind::current_setting; }

bool returns_rows(Kind kind) {
  switch (kind) {
    case Kind::echo:
    case Kind::big:
    case Kind::sleep:
    case Kind::error:
    case Kind::notice:
    case Kind::table:
    case Kind::show:
    case Kind::set_config:
    case Kind::nothing:
    case Kind::current_setting:
    case Kind::lock:
    case Kind::try_lock:
    case Kind::unlock:
    case Kind::unlock_all:
    case Kind::lock_here:
    case Kind::try_lock_here:
    case Kind::count:
    case Kind::fetch:
    case Kind::execute:
    case Kind::notify_call:
    case Kind::channels:
    case Kind::nextval:
    case Kind::currval:
    case Kind::lastval:
    case Kind::state:
    case Kind::inspect:
    case Kind::survey:
    case Kind::numbers:
      return true;
    default:
      return false;
  }
}

std::string big_row(const Statement& s, std::uint32_t index) {
  std::string out = fmt::format("{}:{}:", s.token, index);
  if (out.size() < s.size) out.append(s.size - out.size(), 'x');
  return out;
}

std::string copy_row(const Statement& s, std::uint32_t index) {
  return fmt::format("{}\t{}\n", s.token, index);
}

std::string render(const Statement& s) {
  switch (s.kind) {
    case Kind::empty:
      return "";
    case Kind::echo: {
      std::string out = fmt::format("SELECT '{}'", s.token);
      for (int i = 1; i <= s.params; ++i) out += fmt::format(", ${}", i);
      return out;
    }
    case Kind::big:
      return fmt::format("SELECT big({}, {}, '{}')", s.rows, s.size, s.token);
    case Kind::sleep:
      return fmt::format("SELECT pg_sleep({}, '{}')", s.rows, s.token);
    case Kind::error:
      return fmt::format("SELECT error('{}')", s.token);
    case Kind::notice:
      return fmt::format("SELECT notice('{}')", s.token);
    case Kind::table:
      return fmt::format("SELECT * FROM \"{}\" WHERE v = '{}'", s.name, s.token);
    case Kind::insert:
      return fmt::format("INSERT INTO t VALUES ('{}')", s.token);
    case Kind::update:
      return fmt::format("UPDATE t SET v = '{}'", s.token);
    case Kind::begin:
      return "BEGIN";
    case Kind::commit:
      return s.params ? "COMMIT AND CHAIN" : "COMMIT";
    case Kind::rollback:
      return s.params ? "ROLLBACK AND CHAIN" : "ROLLBACK";
    case Kind::prepare_transaction:
      return fmt::format("PREPARE TRANSACTION '{}'", s.token);
    case Kind::savepoint:
      return fmt::format("SAVEPOINT {}", s.name);
    case Kind::rollback_to:
      return fmt::format("ROLLBACK TO {}", s.name);
    case Kind::release:
      return fmt::format("RELEASE {}", s.name);
    case Kind::set:
      return fmt::format("SET {} TO '{}'", s.name, s.value);
    case Kind::set_local:
      return fmt::format("SET LOCAL {} TO '{}'", s.name, s.value);
    case Kind::reset:
      return fmt::format("RESET {}", s.name);
    case Kind::reset_all:
      return "RESET ALL";
    case Kind::show:
      return fmt::format("SHOW {}", s.name);
    case Kind::deallocate:
      return fmt::format("DEALLOCATE \"{}\"", s.name);
    case Kind::deallocate_all:
      return "DEALLOCATE ALL";
    case Kind::discard_all:
      return "DISCARD ALL";
    case Kind::copy_in:
      return fmt::format("COPY \"{}\" FROM STDIN", s.token);
    case Kind::copy_out:
      return fmt::format("COPY \"{}\" TO STDOUT (rows {})", s.token, s.rows);
    case Kind::alter:
      return fmt::format("ALTER TABLE \"{}\" ADD COLUMN x text", s.name);
    case Kind::set_config: {
      if (s.name == kHidden)
        return fmt::format("SELECT {}('{}')", keeper_of(s.sets[0].name), *s.sets[0].value);
      std::string out = "SELECT ";
      for (const auto& [name, value, local, parameter] : s.sets) {
        if (out.size() > 7) out += ", ";
        const std::string given = value ? fmt::format("'{}'", *value) : "NULL";
        out += fmt::format("pg_catalog.set_config('{}',{},{})", name,
                           parameter > 0 ? fmt::format("${}", parameter) : given, local);
      }
      return out;
    }
    case Kind::nothing:
      return "SELECT 1";
    case Kind::replicate:
      return fmt::format("START_REPLICATION '{}' {}", s.token, s.rows);
    default:
      return render_session(s);
  }
}

std::string render(const std::vector<Statement>& statements) {
  std::string out;
  for (const Statement& s : statements) {
    if (!out.empty()) out += "; ";
    out += render(s);
  }
  return out;
}

namespace {

// SELECT set_config('name', 'value' or NULL, false or true)[, set_config(...)]
std::optional<Statement> parse_set_config(const Words& w) {
  Statement s{Kind::set_config};
  for (std::size_t at = 1; at < w.size(); at += 9) {
    if (at + 7 >= w.size() || !w[at].text.ends_with("set_config") || !w[at + 7].sign(')'))
      return std::nullopt;
    s.sets.push_back({w[at + 2].text, w[at + 4].text, w[at + 6].is("true")});
    if (w[at + 4].is("null")) s.sets.back().value.reset();
    if (w[at + 4].sort == 'w' && w[at + 4].text.starts_with('$'))
      s.sets.back().parameter = std::atoi(w[at + 4].text.c_str() + 1);
  }
  return s;
}

std::optional<Statement> parse_select(const Words& w) {
  Statement s;
  if (w.size() < 2) return std::nullopt;
  if (w[1].sort == 's') {
    s.kind = Kind::echo;
    s.token = w[1].text;
    for (const Word& x : w) s.params += x.sort == 'w' && x.text.starts_with('$') ? 1 : 0;
    return s;
  }
  if (w[1].sort == 'n') {
    s.kind = Kind::nothing;
    return s;
  }
  if (w[1].sign('*') && w.size() == 8 && w[2].is("from")) {
    s = {Kind::table, w[7].text, w[3].text};
    return s;
  }
  if (w[1].sort == 'w' && w[1].text.ends_with("set_config")) return parse_set_config(w);
  if (w.size() < 5 || !w[2].sign('(')) return std::nullopt;
  s.token = w[w.size() - 2].text;
  if (w[1].is("big") && w.size() == 9) {
    s.kind = Kind::big;
    s.rows = number(w[3]);
    s.size = number(w[5]);
  } else if (w[1].is("pg_sleep")) {
    s.kind = Kind::sleep;
    s.rows = number(w[3]);
  } else if (w[1].is("error")) {
    s.kind = Kind::error;
  } else if (w[1].is("notice")) {
    s.kind = Kind::notice;
  } else {
    return std::nullopt;
  }
  return s;
}

// SET [SESSION | LOCAL] name (TO | =) value[, value]
std::optional<Statement> parse_set(const Words& w) {
  std::size_t at = 1;
  Statement s{Kind::set, "", "", ""};
  if (at < w.size() && w[at].is("local")) s.kind = Kind::set_local;
  if (at < w.size() && (w[at].is("local") || w[at].is("session"))) ++at;
  if (at + 2 >= w.size() || !(w[at + 1].is("to") || w[at + 1].sign('='))) return std::nullopt;
  s.name = w[at].text;
  if (w[at + 2].is("default")) return Statement{Kind::reset, "", s.name};
  for (at += 2; at < w.size(); ++at) {
    if (w[at].sign(',')) {
      s.value += ", ";
    } else {
      s.value += w[at].text;
    }
  }
  return s;
}

std::optional<Statement> parse_copy(const Words& w) {
  if (w.size() < 4) return std::nullopt;
  if (w[2].is("from") && w[3].is("stdin")) return Statement{Kind::copy_in, w[1].text};
  if (!w[2].is("to") || w.size() != 8) return std::nullopt;
  Statement s{Kind::copy_out, w[1].text};
  s.rows = number(w[6]);
  return s;
}

std::optional<Statement> parse_one(const Words& w) {
  const std::string& verb = w[0].text;
  const std::size_t n = w.size();
  if (w[0].sort != 'w') return std::nullopt;
  if (auto session = parse_session(w)) return session;
  if (verb == "select") return parse_select(w);
  if (verb == "set") return parse_set(w);
  if (verb == "start_replication" && n == 3)
    return Statement{Kind::replicate, w[1].text, "", "", number(w[2])};
  if (verb == "copy") return parse_copy(w);
  if (verb == "begin" || verb == "start") return Statement{Kind::begin};
  const int chain = n == 3 && w[1].is("and") && w[2].is("chain") ? 1 : 0;
  if (verb == "commit" || verb == "end") return Statement{Kind::commit, "", "", "", 0, 0, chain};
  if (verb == "prepare" && n == 3) return Statement{Kind::prepare_transaction, w[2].text};
  if (verb == "rollback" || verb == "abort") {
    if (n >= 3 && w[1].is("to")) return Statement{Kind::rollback_to, "", w[n - 1].text};
    return Statement{Kind::rollback, "", "", "", 0, 0, chain};
  }
  if (n == 6 && verb == "insert") return std::nullopt;
  if (n == 7 && verb == "insert") return Statement{Kind::insert, w[5].text};
  if (n == 6 && verb == "update") return Statement{Kind::update, w[5].text};
  if (n >= 3 && verb == "alter") return Statement{Kind::alter, "", w[2].text};
  if (n == 3 && verb == "deallocate" && w[1].is("prepare"))
    return Statement{Kind::deallocate, "", w[2].text};
  if (n != 2) return std::nullopt;
  if (verb == "savepoint") return Statement{Kind::savepoint, "", w[1].text};
  if (verb == "release") return Statement{Kind::release, "", w[1].text};
  if (verb == "reset" && w[1].is("all")) return Statement{Kind::reset_all};
  if (verb == "reset") return Statement{Kind::reset, "", w[1].text};
  if (verb == "show") return Statement{Kind::show, "", w[1].text};
  if (verb == "discard" && w[1].is("all")) return Statement{Kind::discard_all};
  if (verb == "deallocate" && w[1].is("all")) return Statement{Kind::deallocate_all};
  if (verb == "deallocate") return Statement{Kind::deallocate, "", w[1].text};
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<Statement>> parse(std::string_view text) {
  if (auto asked = parse_inspection(text)) return std::vector{std::move(*asked)};
  if (auto refill = parse_refill(text)) return std::vector{std::move(*refill)};
  const auto all = words(text);
  if (!all) return std::nullopt;
  std::vector<Statement> out;
  Words one;
  const auto take = [&] {
    if (one.empty()) return true;
    auto statement = parse_one(one);
    one.clear();
    if (!statement) return false;
    out.push_back(std::move(*statement));
    return true;
  };
  for (const Word& w : *all) {
    if (!w.sign(';')) {
      one.push_back(w);
    } else if (!take()) {
      return std::nullopt;
    }
  }
  if (!take()) return std::nullopt;
  return out;
}

}  // namespace pgw::sim

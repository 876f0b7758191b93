// The little language's words, and its statements about what a session keeps.
#include "sql_words.h"

#include <fmt/format.h>

#include <charconv>

#include "base/bytes.h"

namespace pgw::sim {

namespace {

bool wordy(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || c == '.';
}

// A quoted piece whose opening quote is at `at`; false when it does not end.
bool quoted(std::string_view text, std::size_t& at, Word& word) {
  const char quote = text[at++];
  word.sort = quote == '"' ? 'q' : 's';
  for (; at < text.size(); ++at) {
    if (text[at] == quote) {
      if (at + 1 >= text.size() || text[at + 1] != quote) return ++at, true;
      ++at;
    }
    word.text += text[at];
  }
  return false;
}

}  // namespace

std::optional<Words> words(std::string_view text) {
  std::vector<Word> out;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      ++at;
      continue;
    }
    if (text.substr(at).starts_with("/*")) {
      const std::size_t end = text.find("*/", at);
      if (end == std::string_view::npos) return std::nullopt;
      at = end + 2;
      continue;
    }
    Word word;
    if (c == '\'' || c == '"') {
      if (!quoted(text, at, word)) return std::nullopt;
    } else if (wordy(c)) {
      word.sort = c >= '0' && c <= '9' ? 'n' : 'w';
      while (at < text.size() && wordy(text[at])) word.text += lowered(text[at++]);
      if (word.text == "e" && at < text.size() && text[at] == '\'') {
        word.text.clear();
        if (!quoted(text, at, word)) return std::nullopt;
      }
    } else {
      word.sort = 'p';
      word.text = c;
      ++at;
    }
    out.push_back(std::move(word));
  }
  return out;
}

std::uint32_t number(const Word& w) {
  std::uint32_t value = 0;
  std::from_chars(w.text.data(), w.text.data() + w.text.size(), value);
  return value;
}

Statement inner(const Statement& s) {
  Statement out{s.kind == Kind::declare ? Kind::big : Kind::echo, s.token};
  out.rows = s.rows;
  out.size = s.size;
  out.params = s.params;
  return out;
}

std::string render_session(const Statement& s) {
  switch (s.kind) {
    case Kind::current_setting:
      return fmt::format("SELECT current_setting('{}', true)", s.name);
    case Kind::do_set:
      return fmt::format("DO 'BEGIN PERFORM set_config(\'\'{}\'\', \'\'{}\'\', false); END'",
                         s.name, s.value);
    case Kind::lock:
      return fmt::format("SELECT pg_advisory_lock({})", s.name);
    case Kind::try_lock:
      return fmt::format("SELECT pg_try_advisory_lock({})", s.name);
    case Kind::unlock:
      return fmt::format("SELECT pg_advisory_unlock({})", s.name);
    case Kind::unlock_all:
      return "SELECT pg_advisory_unlock_all()";
    case Kind::lock_here:
      return fmt::format("SELECT pg_advisory_xact_lock({})", s.name);
    case Kind::try_lock_here:
      return fmt::format("SELECT pg_try_advisory_xact_lock({})", s.name);
    case Kind::create_temp:
      return fmt::format("CREATE TEMP TABLE \"{}\" (v text){}", s.name,
                         s.params ? " ON COMMIT DROP" : "");
    case Kind::insert_temp:
      return fmt::format("INSERT INTO \"{}\" VALUES ('{}')", s.name, s.token);
    case Kind::count:
      return fmt::format("SELECT count(*) FROM \"{}\"", s.name);
    case Kind::drop:
      return fmt::format("DROP TABLE \"{}\"", s.name);
    case Kind::declare:
      return fmt::format("DECLARE \"{}\" CURSOR WITH HOLD FOR {}", s.name, render(inner(s)));
    case Kind::fetch:
      return fmt::format("FETCH {} FROM \"{}\"", s.rows, s.name);
    case Kind::close_cursor:
      return fmt::format("CLOSE \"{}\"", s.name);
    case Kind::close_all:
      return "CLOSE ALL";
    case Kind::prepare:
      return fmt::format("PREPARE \"{}\"{} AS {}", s.name, s.params ? " (text)" : "",
                         render(inner(s)));
    case Kind::execute:
      return fmt::format("EXECUTE \"{}\"{}", s.name,
                         s.params ? fmt::format(" ('{}')", s.value) : "");
    case Kind::listen:
      return fmt::format("LISTEN \"{}\"", s.name);
    case Kind::unlisten:
      return fmt::format("UNLISTEN \"{}\"", s.name);
    case Kind::unlisten_all:
      return "UNLISTEN *";
    case Kind::notify:
      return fmt::format("NOTIFY \"{}\", '{}'", s.name, s.token);
    case Kind::notify_call:
      return fmt::format("SELECT pg_notify('{}', '{}')", s.name, s.token);
    case Kind::channels:
      return "SELECT pg_listening_channels() ORDER BY 1";
    case Kind::nextval:
      return "SELECT nextval('sq')";
    case Kind::currval:
      return "SELECT currval('sq')";
    case Kind::lastval:
      return "SELECT lastval()";
    case Kind::state:
      return "SELECT * FROM session_state";
    case Kind::discard_temp:
      return "DISCARD TEMP";
    case Kind::discard_sequences:
      return "DISCARD SEQUENCES";
    case Kind::discard_plans:
      return "DISCARD PLANS";
    default:
      return "";
  }
}

namespace {

constexpr std::string_view kInspection = "/* pgweir: what is in this session? */";
constexpr std::string_view kNumbers = "/* pgweir: how many connections are there? */";
constexpr std::string_view kSurvey = "/* pgweir: what may functions leave in a session? */";
constexpr std::string_view kRefill = "/* pgweir: refill */";

// A call in a list of SELECT: the name without its schema.
std::optional<Statement> parse_call(const Words& w) {
  const std::size_t n = w.size();
  if (n == 4 && w[1].sign('*') && w[3].is("session_state")) return Statement{Kind::state};
  if (n < 4 || w[1].sort != 'w' || !w[2].sign('(')) return std::nullopt;
  std::string_view name = w[1].text;
  if (name.starts_with("pg_catalog.")) name.remove_prefix(11);
  const std::string argument = n > 4 ? w[3].text : "";
  if (name.starts_with(kHidden)) {
    name.remove_prefix(kHidden.size());
    Statement out{Kind::set_config, "", std::string(kHidden)};
    const bool known = find_setting(name) != nullptr;
    out.sets.push_back({known ? std::string(name) : fmt::format("app.{}", name), argument});
    return out;
  }
  if (name == "current_setting") return Statement{Kind::current_setting, "", lowered(argument)};
  if (name == "pg_advisory_lock") return Statement{Kind::lock, "", argument};
  if (name == "pg_try_advisory_lock") return Statement{Kind::try_lock, "", argument};
  if (name == "pg_advisory_xact_lock") return Statement{Kind::lock_here, "", argument};
  if (name == "pg_try_advisory_xact_lock") return Statement{Kind::try_lock_here, "", argument};
  if (name == "pg_advisory_unlock") return Statement{Kind::unlock, "", argument};
  if (name == "pg_advisory_unlock_all") return Statement{Kind::unlock_all};
  if (name == "pg_notify" && n == 7) return Statement{Kind::notify_call, w[5].text, argument};
  if (name == "pg_listening_channels") return Statement{Kind::channels};
  if (name == "nextval") return Statement{Kind::nextval};
  if (name == "currval") return Statement{Kind::currval};
  if (name == "lastval") return Statement{Kind::lastval};
  if (name == "count" && n == 7) return Statement{Kind::count, "", w[6].text};
  return std::nullopt;
}

// The rest of a DECLARE or PREPARE, from this word on.
std::optional<Statement> parse_inner(const Words& w, std::size_t from, Kind kind) {
  std::string text;
  for (std::size_t i = from; i < w.size(); ++i)
    text += w[i].sort == 's' ? fmt::format("'{}' ", w[i].text) : w[i].text + " ";
  const auto query = parse(text);
  if (!query || query->size() != 1) return std::nullopt;
  const Statement& q = query->front();
  if (q.kind != (kind == Kind::declare ? Kind::big : Kind::echo)) return std::nullopt;
  Statement out{kind, q.token, w[1].text, "", q.rows, q.size, q.params};
  return out;
}

// DO 'BEGIN PERFORM set_config(...); END'
std::optional<Statement> parse_do(const Words& w) {
  const auto body = w.size() == 2 ? words(w[1].text) : std::nullopt;
  if (!body || body->size() != 12 || !(*body)[1].is("perform") || !(*body)[2].is("set_config"))
    return std::nullopt;
  return Statement{Kind::do_set, "", (*body)[4].text, (*body)[6].text};
}

}  // namespace

std::string keeper_of(std::string_view setting) {
  return fmt::format("{}{}", kHidden, setting.starts_with("app.") ? setting.substr(4) : setting);
}

std::optional<Statement> parse_session(const Words& w) {
  const std::string& verb = w[0].text;
  const std::size_t n = w.size();
  if (verb == "select") return parse_call(w);
  if (verb == "do") return parse_do(w);
  if (n < 2) return std::nullopt;
  const std::string& name = w[1].text;
  if (verb == "create" && n >= 8 && (w[1].is("temp") || w[1].is("temporary")))
    return Statement{Kind::create_temp, "", w[3].text, "", 0, 0, w[n - 1].is("drop") ? 1 : 0};
  if (verb == "insert" && n == 7 && w[2].sort == 'q')
    return Statement{Kind::insert_temp, w[5].text, w[2].text};
  if (verb == "drop" && n == 3) return Statement{Kind::drop, "", w[2].text};
  if (verb == "declare" && n > 6) return parse_inner(w, 6, Kind::declare);
  if (verb == "prepare" && n > 4) return parse_inner(w, w[2].is("as") ? 3 : 6, Kind::prepare);
  if (verb == "fetch" && n == 4) return Statement{Kind::fetch, "", w[3].text, "", number(w[1])};
  if (verb == "execute")
    return Statement{Kind::execute, "", name, n == 5 ? w[3].text : "", 0, 0, n == 5 ? 1 : 0};
  if (verb == "notify" && n == 4) return Statement{Kind::notify, w[3].text, name};
  if (n != 2) return std::nullopt;
  if (verb == "close")
    return w[1].is("all") ? Statement{Kind::close_all} : Statement{Kind::close_cursor, "", name};
  if (verb == "listen") return Statement{Kind::listen, "", name};
  if (verb == "unlisten")
    return w[1].sign('*') ? Statement{Kind::unlisten_all} : Statement{Kind::unlisten, "", name};
  if (verb != "discard") return std::nullopt;
  if (w[1].is("temp") || w[1].is("temporary")) return Statement{Kind::discard_temp};
  if (w[1].is("sequences")) return Statement{Kind::discard_sequences};
  if (w[1].is("plans")) return Statement{Kind::discard_plans};
  return std::nullopt;
}

// ... (VALUES ('name','value'),('name','value')) w ...
std::optional<Statement> parse_refill(std::string_view text) {
  if (!text.starts_with(kRefill)) return std::nullopt;
  const std::size_t from = text.find("VALUES ");
  const auto all = from == std::string_view::npos ? std::nullopt : words(text.substr(from + 7));
  if (!all) return std::nullopt;
  Statement out{Kind::set_config};
  out.params = 1;
  for (std::size_t at = 0; at + 5 < all->size() && (*all)[at].sign('('); at += 6)
    out.sets.push_back({(*all)[at + 1].text, (*all)[at + 3].text});
  return out;
}

std::optional<Statement> parse_inspection(std::string_view text) {
  if (text.starts_with(kSurvey)) {
    const bool reads = text.find("'routine'") != std::string_view::npos;
    const bool marks = text.find("'mark'") != std::string_view::npos;
    return Statement{Kind::survey, "", reads ? "read" : marks ? "mark" : "reach"};
  }
  if (text.starts_with(kNumbers)) return Statement{Kind::numbers};
  if (!text.starts_with(kInspection)) return std::nullopt;
  Statement out{Kind::inspect};
  const std::size_t from = text.find("ARRAY[");
  if (from == std::string_view::npos) return out;
  const auto names = words(text.substr(from + 6));
  if (!names) return std::nullopt;
  for (const Word& w : *names) {
    if (w.sort == 's') out.sets.push_back({w.text, std::nullopt});
    if (w.sign(']')) break;
  }
  return out;
}

}  // namespace pgw::sim

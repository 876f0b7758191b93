#include "sql/analysis.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "base/bytes.h"
#include "sql/lexer.h"

namespace pgw::sql {
namespace {

using Kind = Token::Kind;

bool one_of(const Token& token, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [&](auto word) { return token.is(word); });
}

// Functions that carry out a text they are given: what is in it is not seen here.
constexpr auto kDynamic = std::to_array<std::string_view>(
    {"crosstab", "crosstab2", "crosstab3", "crosstab4", "crosstabn", "connectby", "query_to_xml",
     "query_to_xml_and_xmlschema", "query_to_xmlschema", "ts_rewrite", "ts_stat", "xpath_table"});

constexpr int kDepthMost = 3;

class Analyst {
 public:
  // `depth`: in how many bodies of a DO.
  explicit Analyst(std::string_view text, int depth = 0, bool routine = false)
      : lexer_(text), depth_(depth), routine_(routine) {}

  Analysis run() {
    for (read(); now_.kind != Kind::end; read()) {
      if (now_.identifier()) {
        word();
      } else if (now_.kind == Kind::string) {
        literal();
      }
    }
    end_statement();
    out_.makes = lasting_ || !lexer_.reliable();
    out_.temporary = (creates_ || does_) && !out_.makes;
    if (!lexer_.reliable()) out_.leaves = out_.frees = out_.reads_sequences = true;
    if (in_path_ && sets_any_) out_.leaves = true;
    return std::move(out_);
  }

 private:
  // now_ becomes the next token; what stood before is in before_.
  void read() {
    start_ = now_.kind == Kind::end || now_.sign(';') ||
             (depth_ > 0 && one_of(now_, {"begin", "then", "else", "loop"}));
    before_ = now_;
    now_ = ahead_.kind == Kind::end ? lexer_.next() : ahead_;
    ahead_ = {};
    if (start_) end_statement();
  }
  const Token& peek() {
    if (ahead_.kind == Kind::end) ahead_ = lexer_.next();
    return ahead_;
  }

  void end_statement() {
    if (makes_temporary_) out_.shows |= Pin::temporary;
    makes_temporary_ = holds_rows_ = fills_ = false;
    first_ = now_;
  }

  void literal() {
    if (now_.text.find("pg_temp") != std::string_view::npos) in_path_ = true;
    if (!body_) return;
    lasting_ |= !now_.plain;
    if (depth_ >= kDepthMost) {
      out_.opaque = out_.indelible = lasting_ = true;
      return;
    }
    Analysis inner = Analyst(now_.text, depth_ + 1).run();
    lasting_ |= inner.makes;
    out_.indelible |= inner.indelible;
    out_.opaque |= inner.opaque;
    out_.reads_sequences |= inner.reads_sequences;
    out_.shows |= inner.shows;
    std::ranges::move(inner.custom, std::back_inserter(out_.custom));
  }

  void word() {
    if (now_.kind == Kind::word && start_ && statement()) return;
    if (now_.kind == Kind::word) keyword();
    const std::string value = now_.value();
    if (value.starts_with("pg_temp")) {
      out_.leaves = true;
      makes_temporary_ |=
          first_.is("create") || (before_.is("into") && one_of(first_, {"select", "with"}));
    }
    if (value == "pg_settings") settings_view_ = true;
    if (settings_view_ && updates_) out_.leaves = out_.sets = out_.opaque = true;
    if (settings_view_ && says_update_) out_.shows |= Pin::setting;
    if (peek().sign('(') && plain(value)) call(value);
  }

  // PostgreSQL's own functions have plain names.
  static bool plain(const std::string& name) {
    return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
  }

  // The first word of a statement; true: nothing more is to be found in it.
  bool statement() {
    updates_ |= now_.is("update") || now_.is("with");
    if (now_.is("set") || now_.is("reset")) return set(now_.is("reset")), true;
    if (depth_ == 0) transaction();
    if (now_.is("prepare")) {
      if (!peek().is("transaction")) {
        out_.leaves = true;
        out_.shows |= Pin::prepared;
      }
      touches_shared();
    } else if (routine_ && one_of(now_, {"call", "execute"})) {
      return false;
    } else if (one_of(now_, {"do", "call", "execute"})) {
      unseen();
      if (now_.is("do")) body_ = does_ = true;
    } else if (now_.is("listen")) {
      out_.leaves = true;
      out_.shows |= Pin::listen;
    } else if (now_.is("load")) {
      out_.leaves = out_.indelible = true;
      out_.shows |= Pin::indelible;
    } else if (one_of(now_, {"discard", "deallocate", "unlisten", "close", "drop", "rollback"})) {
      out_.frees = true;
      if (now_.is("deallocate")) touches_shared();
      if (now_.is("discard") && peek().is("all")) out_.resets.emplace_back("*");
      if (now_.is("discard") && one_of(peek(), {"all", "sequences"}))
        out_.shows = without(out_.shows, Pins{} | Pin::sequence);
    }
    return false;
  }

  // What was reset, and then undone within the same text, is not reset.
  void transaction() {
    if (one_of(now_, {"commit", "end"})) {
      marks_.assign(1, {std::string(), out_.resets.size()});
    } else if (now_.is("savepoint") && peek().identifier()) {
      marks_.emplace_back(peek().value(), out_.resets.size());
    } else if (one_of(now_, {"rollback", "abort"})) {
      out_.undoes = out_.frees = true;
      while (one_of(peek(), {"work", "transaction"})) read();
      if (peek().is("to")) return back_to();
      out_.undoes_all = true;
      back_to(0);
    }
  }
  void back_to() {
    read();
    if (peek().is("savepoint")) read();
    const std::string name = peek().identifier() ? peek().value() : std::string();
    std::size_t at = marks_.size() - 1;
    while (at > 0 && marks_[at].first != name) --at;
    back_to(at);
  }
  void back_to(std::size_t mark) {
    marks_.resize(mark + 1);
    out_.resets.resize(std::min(out_.resets.size(), marks_.back().second));
  }

  // The functions in it are for later: CREATE VIEW, a DEFAULT; but CREATE TABLE ... AS calls them.
  bool defines() const { return first_.is("alter") || (first_.is("create") && !fills_); }

  void call_shows(Pin pin) {
    if (!defines()) out_.shows |= pin;
  }

  void keyword() {
    holds_rows_ |= one_of(now_, {"table", "materialized"});
    fills_ |= holds_rows_ && now_.is("as");
    if (one_of(now_, {"create", "alter"})) {
      lasting_ |= !one_of(peek(), {"temp", "temporary", "local", "global"});
      creates_ = true;
    } else if (now_.is("import") || (now_.is("execute") && depth_ > 0) ||
               (now_.is("language") && does_ && !peek().is("plpgsql"))) {
      lasting_ = true;  // a body's texts and its language may hide anything
    }
    if (one_of(now_, {"temp", "temporary"})) {
      if (one_of(before_, {"create", "local", "global", "into", "replace"}))
        out_.leaves = makes_temporary_ = true;
    } else if (now_.is("drop")) {
      if (before_.is("commit")) makes_temporary_ = false;
    } else if (now_.is("hold")) {
      if (!before_.is("with")) return;
      out_.leaves = true;
      out_.shows |= Pin::cursor;
    } else if (now_.is("update")) {
      updates_ = says_update_ = true;
    } else if (now_.is("execute") && !routine_) {
      if (before_.sign(')') || one_of(before_, {"explain", "analyze", "analyse", "verbose", "as"}))
        unseen();
    }
  }

  // A name that pgweir gives to statements which clients share: after that nobody knows what it is.
  void touches_shared() {
    if (!peek().identifier() || !peek().value().starts_with("pgweir_")) return;
    out_.leaves = out_.indelible = true;
    out_.shows |= Pin::indelible;
  }

  void unseen() { out_.leaves = out_.sets = true; }

  void call(const std::string& name) {
    const auto has = [&](std::string_view part) { return name.find(part) != std::string::npos; };
    if (name == "set_config") return set_config();
    const bool own = name.starts_with("pg_");
    if (own && has("advisory") && has("unlock")) {
      out_.frees = true;
    } else if (own && has("advisory") && has("lock") && !has("xact")) {
      out_.leaves = true;
      call_shows(Pin::lock);
    } else if (name == "setseed" || name.starts_with("dblink_connect") ||
               (own && (has("_replication_slot") || has("replication_origin_session")))) {
      out_.leaves = out_.indelible = true;
      if (!name.starts_with("pg_drop") && !name.starts_with("pg_get")) call_shows(Pin::indelible);
    } else if (std::ranges::binary_search(kDynamic, name)) {
      unseen();
    } else if (name == "currval" || name == "lastval") {
      out_.reads_sequences = true;
      call_shows(Pin::sequence);
    } else if (name == "nextval" || name == "setval") {
      call_shows(Pin::sequence);
    }
  }

  // SET [SESSION | LOCAL] name ..., or RESET name. The name's tokens are taken.
  void set(bool reset) {
    read();
    bool local = false;
    if (!reset && now_.identifier() && !peek().sign('.')) {
      const bool more = peek().identifier() && !peek().is("to");  // else it is a setting's name
      local = now_.is("local") && more;
      if (more && one_of(now_, {"transaction", "constraints"})) return;
      if (more && (local || now_.is("session"))) read();
    }
    sets_any_ = true;
    std::string name = now_.identifier() ? now_.value() : std::string();
    if (now_.is("time") && peek().is("zone")) name = "timezone";
    if (now_.is("names")) name = "client_encoding";
    bool dotted = false;
    while (peek().sign('.')) {
      read();
      read();
      dotted = true;
      name += '.';
      name += now_.value();
    }
    if (local) return;
    out_.sets = true;
    if (reset || ends_with_default(name == "search_path")) {
      out_.resets.push_back(name == "all" ? "*" : lowered(name));
    } else {
      out_.resets.push_back('!' + lowered(name));
    }
    if (dotted) out_.custom.push_back(lowered(name));
  }

  // The rest of a SET: TO DEFAULT and its like.
  bool ends_with_default(bool path) {
    while (peek().kind != Kind::end && !peek().sign(';')) {
      read();
      if (now_.kind == Kind::string) literal();
      if (path && now_.kind != Kind::sign && now_.text.find("pg_temp") != std::string_view::npos)
        out_.shows |= Pin::temporary;
      if (one_of(now_, {"default", "local"})) return true;  // SET TIME ZONE LOCAL
    }
    return false;
  }

  // set_config('name', value, true) ends with the transaction.
  void set_config() {
    sets_any_ = true;
    read();  // (
    std::string name;
    bool known = false;
    bool local = false;
    int depth = 0;
    int argument = 0;
    Token only;      // the argument, if it is one token
    int tokens = 0;  // of it
    const auto finish = [&] {
      const bool single = tokens == 1;
      if (argument == 0 && single && only.kind == Kind::string && only.plain) {
        known = true;
        name = lowered(only.value());
      }
      if (argument == 2 && single) {
        const std::string value = lowered(only.value());
        local =
            (only.kind == Kind::word || (only.kind == Kind::string && only.plain)) &&
            (value == "true" || value == "t" || value == "on" || value == "yes" || value == "1");
      }
      ++argument;
      tokens = 0;
    };
    for (read(); now_.kind != Kind::end; read()) {
      if (depth == 0 && now_.sign(')')) break;
      if (now_.sign('(') || now_.sign('[')) ++depth;
      if (now_.sign(')') || now_.sign(']')) --depth;
      if (depth == 0 && now_.sign(',')) {
        finish();
        continue;
      }
      // What is called in an argument counts, too.
      if (now_.identifier() && peek().sign('(')) {
        const std::string inner = now_.value();
        if (inner == "set_config") {
          out_.leaves = out_.sets = out_.opaque = true;
          out_.shows |= Pin::setting;
        } else {
          call(inner);
        }
      }
      if (now_.kind == Kind::string) literal();
      only = now_;
      ++tokens;
    }
    finish();
    if (local && argument == 3) return;
    out_.leaves = out_.sets = true;
    if (known) out_.resets.push_back('!' + name);
    if (known && name == "search_path" && in_path_) out_.shows |= Pin::temporary;
    if (!known) {
      out_.opaque = true;
      out_.shows |= Pin::setting;
    } else if (name.find('.') != std::string::npos) {
      out_.custom.push_back(std::move(name));
    }
  }

  Lexer lexer_;
  Analysis out_;
  Token now_;
  Token before_;
  Token ahead_;
  int depth_;
  bool routine_;
  bool start_ = true;             // now_ begins a statement
  Token first_;                   // of the statement
  bool makes_temporary_ = false;  // the statement
  bool updates_ = false;          // the word UPDATE was seen, or may be hidden
  bool holds_rows_ = false;       // it makes a table or a materialized view
  bool fills_ = false;            // ... from the query that follows
  bool says_update_ = false;      // it was seen
  bool settings_view_ = false;    // the view pg_settings was seen
  bool in_path_ = false;          // a string has pg_temp in it
  bool sets_any_ = false;
  bool creates_ = false;
  bool lasting_ = false;  // CREATE of what is not temporary, ALTER, or what may hide one
  bool does_ = false;     // DO
  // Savepoints, and how many resets stood before each; the first is the transaction's beginning.
  std::vector<std::pair<std::string, std::size_t>> marks_{{std::string(), 0}};
  bool body_ = false;  // strings may be the body of a DO
};

}  // namespace

Analysis analyze(std::string_view text) { return Analyst(text).run(); }
Analysis analyze_routine(std::string_view body) { return Analyst(body, 1, true).run(); }

}  // namespace pgw::sql

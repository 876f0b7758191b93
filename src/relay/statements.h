// Prepared statements, interned: one text with one list of types in one scope has one name on all
// servers of a pool. Thread: each worker has its own table.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/bytes.h"
#include "relay/scan.h"
#include "relay/suspects.h"
#include "sql/analysis.h"

namespace pgw::relay {

class Statements;

class Statement {
 public:
  std::string_view text() const { return std::string_view(bytes_).substr(0, text_bytes_); }
  Bytes types() const { return Bytes(bytes_).substr(text_bytes_); }
  const std::string& server_name() const { return server_name_; }
  const Scan& scan() const { return scan_; }
  // What it may leave behind; worth asking when scan().closer. Worked out once.
  const sql::Analysis& analysis() const;
  // What it may do by what it names. Worked out once for each set of names.
  Marks marks(const Suspects& names) const;
  // A server has accepted it.
  bool proven() const { return proven_; }
  void prove() { proven_ = true; }
  std::size_t bytes() const { return sizeof(*this) + bytes_.size() + server_name_.size(); }
  // On how many servers it is, or will be; each of them holds a reference.
  void on_one_more_server() { ++servers_; }
  void on_one_less_server() { --servers_; }
  // Nobody but servers holds it: it costs memory and serves nobody.
  bool unused() const { return refs_ <= servers_; }

 private:
  friend class Statements;
  friend class StatementRef;
  std::string bytes_;  // the text, then the list of types as Parse carries it
  std::size_t text_bytes_ = 0;
  std::uint64_t scope_ = 0;
  std::size_t hash_ = 0;
  std::string server_name_;
  Scan scan_;
  mutable std::unique_ptr<sql::Analysis> analysis_;
  mutable Marks marks_ = 0;
  bool proven_ = false;
  mutable std::uint64_t judged_by_ = 0;  // the version of the names that gave marks_
  Statements* home_ = nullptr;
  std::uint32_t refs_ = 0;
  std::uint32_t servers_ = 0;
};

// Shares a statement; the last one to go frees it.
class StatementRef {
 public:
  StatementRef() = default;
  explicit StatementRef(Statement* statement) : it_(statement) {
    if (it_) ++it_->refs_;
  }
  StatementRef(const StatementRef& other) : StatementRef(other.it_) {}
  StatementRef(StatementRef&& other) noexcept : it_(std::exchange(other.it_, nullptr)) {}
  StatementRef& operator=(StatementRef other) noexcept {
    std::swap(it_, other.it_);
    return *this;
  }
  ~StatementRef();
  Statement* get() const { return it_; }
  Statement* operator->() const { return it_; }
  Statement& operator*() const { return *it_; }
  explicit operator bool() const { return it_ != nullptr; }
  bool operator==(const StatementRef&) const = default;

 private:
  Statement* it_ = nullptr;
};

class Statements {
 public:
  // `prefix` makes the names of one worker differ from those of all others ("pgweir_2_").
  explicit Statements(std::string prefix) : prefix_(std::move(prefix)) {}
  ~Statements();  // all references are gone by then
  Statements(const Statements&) = delete;
  Statements& operator=(const Statements&) = delete;

  // The statement of this text and these types in `scope`. A new scope is had from fresh_scope();
  // what is the same scope shares statements, so it must stand for everything that gives a text its
  // meaning (database, user, search_path, ..., and the schema's version).
  StatementRef intern(std::uint64_t scope, std::string_view text, Bytes types);
  // The same, if somebody has it already; else null.
  StatementRef find(std::uint64_t scope, std::string_view text, Bytes types) const;
  std::uint64_t fresh_scope() { return ++scopes_; }
  std::size_t count() const { return table_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  friend class StatementRef;
  struct Key {
    std::uint64_t scope;
    std::string_view text;
    Bytes types;
    std::size_t hash;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const Key& key) const { return key.hash; }
    std::size_t operator()(const Statement* statement) const { return statement->hash_; }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Statement* a, const Statement* b) const { return a == b; }
    bool operator()(const Key& a, const Statement* b) const {
      return a.scope == b->scope_ && a.text == b->text() && a.types == b->types();
    }
    bool operator()(const Statement* a, const Key& b) const { return (*this)(b, a); }
  };
  static Key key_of(std::uint64_t scope, std::string_view text, Bytes types);
  void forget(Statement* statement);

  std::string prefix_;
  std::uint64_t scopes_ = 0;
  std::uint64_t names_ = 0;
  std::size_t bytes_ = 0;
  std::unordered_set<Statement*, Hash, Equal> table_;
};

}  // namespace pgw::relay

#include "relay/statements.h"

#include <fmt/format.h>

#include "base/check.h"

namespace pgw::relay {

const sql::Analysis& Statement::analysis() const {
  if (!analysis_) analysis_ = std::make_unique<sql::Analysis>(sql::analyze(text()));
  return *analysis_;
}

Marks Statement::marks(const Suspects& names) const {
  if (judged_by_ != names.version()) {
    judged_by_ = names.version();
    marks_ = names.marks_in(text());
  }
  return marks_;
}

StatementRef::~StatementRef() {
  if (it_ && --it_->refs_ == 0) it_->home_->forget(it_);
}

Statements::~Statements() { PGW_ASSERT(table_.empty()); }

Statements::Key Statements::key_of(std::uint64_t scope, std::string_view text, Bytes types) {
  const std::hash<std::string_view> hash;
  return {scope, text, types, hash(text) ^ (hash(types) * 31) ^ (scope * 0x9e3779b97f4a7c15u)};
}

StatementRef Statements::find(std::uint64_t scope, std::string_view text, Bytes types) const {
  const auto found = table_.find(key_of(scope, text, types));
  return found == table_.end() ? StatementRef() : StatementRef(*found);
}

StatementRef Statements::intern(std::uint64_t scope, std::string_view text, Bytes types) {
  const Key key = key_of(scope, text, types);
  if (const auto found = table_.find(key); found != table_.end()) return StatementRef(*found);
  auto made = std::make_unique<Statement>();
  made->bytes_.reserve(text.size() + types.size());
  made->bytes_.append(text).append(types);
  made->text_bytes_ = text.size();
  made->scope_ = scope;
  made->hash_ = key.hash;
  made->server_name_ = fmt::format("{}{:x}", prefix_, ++names_);
  made->scan_ = scan(text);
  made->home_ = this;
  bytes_ += made->bytes();
  table_.insert(made.get());
  return StatementRef(made.release());
}

void Statements::forget(Statement* statement) {
  const std::unique_ptr<Statement> owned(statement);
  bytes_ -= statement->bytes();
  table_.erase(statement);
}

}  // namespace pgw::relay

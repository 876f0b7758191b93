#include "client/names.h"

#include <algorithm>

#include "base/check.h"

namespace pgw::client {

Names::Look Names::look(std::string_view name, std::uint32_t group) const {
  for (std::size_t i = pending_.size(); i > first_; --i) {
    const Change& change = pending_[i - 1];
    if (change.name != name) continue;
    if (change.group != group) return {.unsure = true, .value = nullptr};
    return {.unsure = false, .value = change.value.statement ? &change.value : nullptr};
  }
  const auto found = names_.find(name);
  return {.unsure = false, .value = found == names_.end() ? nullptr : &found->second};
}

bool Names::will_exist(std::string_view name) const {
  for (std::size_t i = pending_.size(); i > first_; --i)
    if (pending_[i - 1].name == name) return static_cast<bool>(pending_[i - 1].value.statement);
  return names_.contains(name);
}

void Names::define(std::string_view name, Value value, std::uint32_t group) {
  const int more = name.empty() ? 0 : bool(value.statement) - will_exist(name);
  more_ += more;
  pending_.push_back({std::string(name), std::move(value), group, more});
}

std::size_t Names::count() const {
  const auto now = static_cast<long>(names_.size()) - names_.contains(std::string_view());
  return static_cast<std::size_t>(std::max(0l, now + more_));
}

void Names::settle(relay::Fate fate) {
  PGW_ASSERT(first_ < pending_.size());
  Change& change = pending_[first_];
  more_ -= change.more;
  if (fate == relay::Fate::happened) {
    if (change.value.statement) {
      names_.insert_or_assign(std::move(change.name), std::move(change.value));
    } else {
      names_.erase(change.name);
    }
  } else if (fate == relay::Fate::failed && change.name.empty()) {
    names_.erase(
        change.name);  // PostgreSQL drops the unnamed statement before it looks at the new text
  }
  change = {};
  if (++first_ == pending_.size()) {
    pending_.clear();
    first_ = 0;
  }
}

void Names::told(const std::string& name, const relay::StatementRef& statement,
                 std::uint64_t shape) {
  const auto found = names_.find(name);
  if (found != names_.end() && found->second.statement == statement) found->second.shape = shape;
}

std::map<std::string, relay::StatementRef, std::less<>> Names::named() const {
  std::map<std::string, relay::StatementRef, std::less<>> out;
  for (const auto& [name, value] : names_)
    if (!name.empty()) out.emplace(name, value.statement);
  for (std::size_t i = first_; i < pending_.size(); ++i) {
    const Change& change = pending_[i];
    if (change.name.empty()) continue;
    if (change.value.statement) {
      out.insert_or_assign(change.name, change.value.statement);
    } else {
      out.erase(change.name);
    }
  }
  return out;
}

const std::string* Names::name_of(std::string_view server_name) const {
  for (const auto& [name, value] : names_)
    if (value.statement->server_name() == server_name) return &name;
  for (const Change& change : pending_)
    if (change.value.statement && change.value.statement->server_name() == server_name)
      return &change.name;
  return nullptr;
}

}  // namespace pgw::client

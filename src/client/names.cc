#include "client/names.h"

#include <algorithm>

#include "base/check.h"

namespace pgw::client {

namespace {
constexpr std::size_t kPendingKept = 8;  // changes for which a client that is idle has room
}

std::vector<Names::Entry>::const_iterator Names::place(const void* id) const {
  return std::ranges::lower_bound(entries_, id, std::less<>(),
                                  [](const Entry& entry) { return entry.name.id(); });
}

const Names::Entry* Names::find(std::string_view name) const {
  const void* id = table_->find(name);
  if (!id) return nullptr;
  const auto at = place(id);
  return at != entries_.end() && at->name.id() == id ? &*at : nullptr;
}

Names::Look Names::look(std::string_view name, std::uint32_t group) const {
  for (std::size_t i = pending_.size(); i > first_; --i) {
    const Change& change = pending_[i - 1];
    if (change.name != name) continue;
    if (change.group != group) return {.unsure = true, .value = {}};
    if (!change.value.statement) return {};
    return {.unsure = false, .value = change.value};
  }
  if (name.empty()) return {.unsure = false, .value = unnamed_};
  const Entry* entry = find(name);
  if (!entry) return {};
  Value value;
  value.statement = entry->statement;
  value.shape = entry->shape;
  if (deallocators_) {
    const auto at = deallocators_->find(name);
    if (at != deallocators_->end()) value.deallocates = at->second;
  }
  return {.unsure = false, .value = std::move(value)};
}

bool Names::will_exist(std::string_view name) const {
  for (std::size_t i = pending_.size(); i > first_; --i)
    if (pending_[i - 1].name == name) return static_cast<bool>(pending_[i - 1].value.statement);
  return find(name) != nullptr;
}

void Names::erase(const void* id) {
  const auto at = place(id);
  if (at == entries_.end() || at->name.id() != id) return;
  if (deallocators_) deallocators_->erase(at->name.text());
  entries_.erase(at);
}

void Names::put(std::string name, Value value) {
  if (name.empty()) {
    unnamed_ = std::move(value);
    return;
  }
  auto shared = table_->share(name);
  erase(shared.id());
  if (!value.deallocates.empty()) {
    if (!deallocators_)
      deallocators_ = std::make_unique<std::map<std::string, std::string, std::less<>>>();
    deallocators_->insert_or_assign(std::move(name), std::move(value.deallocates));
  }
  // More than a client needs would be there a thousand times.
  if (entries_.size() == entries_.capacity())
    entries_.reserve(entries_.size() +
                     std::max({std::size_t{8}, entries_.size() / 8, pending_.size() - first_}));
  const auto at = place(shared.id());
  entries_.insert(at, Entry{std::move(shared), std::move(value.statement), value.shape});
}

void Names::forget_all() {
  entries_.clear();
  entries_.shrink_to_fit();
  deallocators_.reset();
}

void Names::define(std::string_view name, Value value, std::uint32_t group) {
  const int more = name.empty() ? 0 : bool(value.statement) - will_exist(name);
  more_ += more;
  pending_.push_back({std::string(name), std::move(value), group, more});
}

std::size_t Names::count() const {
  return static_cast<std::size_t>(std::max(0l, static_cast<long>(entries_.size()) + more_));
}

void Names::settle(relay::Fate fate) {
  PGW_ASSERT(first_ < pending_.size());
  Change& change = pending_[first_];
  more_ -= change.more;
  if (fate == relay::Fate::happened) {
    if (change.value.statement) {
      put(std::move(change.name), std::move(change.value));
    } else if (change.name.empty()) {
      unnamed_.reset();
    } else {
      lose(change.name);
    }
  } else if (fate == relay::Fate::failed && change.name.empty()) {
    unnamed_.reset();  // PostgreSQL drops it before it looks at the new text
  }
  change = {};
  if (++first_ == pending_.size()) {
    pending_.clear();
    if (pending_.capacity() > kPendingKept) pending_.shrink_to_fit();
    first_ = 0;
  }
}

void Names::told(const std::string& name, const relay::StatementRef& statement,
                 std::uint64_t shape) {
  const Entry* entry = find(name);
  if (entry && entry->statement == statement)
    entries_[static_cast<std::size_t>(entry - entries_.data())].shape = shape;
}

std::map<std::string, relay::StatementRef, std::less<>> Names::named() const {
  std::map<std::string, relay::StatementRef, std::less<>> out;
  for (const Entry& entry : entries_) out.emplace(entry.name.text(), entry.statement);
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
  for (const Entry& entry : entries_)
    if (entry.statement->server_name() == server_name) return &entry.name.text();
  for (const Change& change : pending_)
    if (change.value.statement && change.value.statement->server_name() == server_name)
      return &change.name;
  return nullptr;
}

}  // namespace pgw::client

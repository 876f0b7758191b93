#include "server/prepared.h"

#include "base/check.h"

namespace pgw::server {

Prepared::Has Prepared::has(const relay::StatementRef& statement, std::uint32_t group) {
  const auto found = entries_.find(statement.get());
  if (found == entries_.end()) return Has::no;
  Entry& entry = found->second;
  if (entry.unsettled > 0) {
    if (entry.group != group) return Has::unsure;
    return entry.will_be ? Has::yes : Has::no;
  }
  by_use_.push_back(entry);
  return entry.present ? Has::yes : Has::no;
}

void Prepared::note(Entry& entry, std::uint32_t group, bool adds) {
  ++entry.unsettled;
  entry.group = group;
  entry.will_be = adds;
  entry.shape = 0;
  by_use_.push_back(entry);
  changes_.push_back({entry.statement.get(), adds});
}

void Prepared::parse_sent(const relay::StatementRef& statement, std::uint32_t group) {
  Entry& entry = entries_[statement.get()];
  if (!entry.statement) {
    entry.statement = statement;
    statement->on_one_more_server();
  }
  note(entry, group, true);
}

void Prepared::close_sent(relay::Statement& statement, std::uint32_t group) {
  const auto found = entries_.find(&statement);
  PGW_ASSERT(found != entries_.end());
  note(found->second, group, false);
}

void Prepared::settle(bool happened) {
  PGW_ASSERT(!changes_.empty());
  const Change change = changes_.front();
  changes_.pop_front();
  const auto found = entries_.find(change.statement);
  PGW_ASSERT(found != entries_.end());
  Entry& entry = found->second;
  --entry.unsettled;
  if (happened && change.adds) change.statement->prove();
  if (happened && entry.present != change.adds) {
    entry.present = change.adds;
    present_ += change.adds ? 1 : std::size_t(-1);
  }
  if (!entry.present && entry.unsettled == 0) entries_.erase(found);
}

std::uint64_t Prepared::shape(const relay::StatementRef& statement) const {
  const auto found = entries_.find(statement.get());
  return found == entries_.end() ? 0 : found->second.shape;
}

void Prepared::set_shape(const relay::StatementRef& statement, std::uint64_t shape) {
  const auto found = entries_.find(statement.get());
  // While changes are under way the reply may be about the one before.
  if (found != entries_.end() && found->second.unsettled == 0) found->second.shape = shape;
}

void Prepared::forget_all() {
  for (auto at = entries_.begin(); at != entries_.end();) {
    at->second.present = false;
    at = at->second.unsettled == 0 ? entries_.erase(at) : std::next(at);
  }
  present_ = 0;
}

relay::Statement* Prepared::oldest() const {
  const Entry* first = by_use_.front();
  return first ? first->statement.get() : nullptr;
}

std::vector<relay::Statement*> Prepared::oldest(std::size_t most) const {
  std::vector<relay::Statement*> out;
  for (Entry* entry = by_use_.front(); entry && out.size() < most; entry = by_use_.after(*entry))
    out.push_back(entry->statement.get());
  return out;
}

std::vector<relay::Statement*> Prepared::all() const {
  std::vector<relay::Statement*> out;
  for (const auto& [statement, entry] : entries_)
    if (entry.unsettled > 0 ? entry.will_be : entry.present) out.push_back(statement);
  return out;
}

std::vector<relay::Statement*> Prepared::unused() const {
  std::vector<relay::Statement*> out;
  for (const auto& [statement, entry] : entries_)
    if (entry.present && statement->unused()) out.push_back(statement);
  return out;
}

}  // namespace pgw::server

#include "client/slow.h"

#include <algorithm>

namespace pgw::client {
namespace {

// `more` has the same fingerprint.
void join(SlowStatement& into, SlowStatement more) {
  more.count += into.count;
  more.busy += into.busy;
  if (more.longest() >= into.longest()) {
    into = std::move(more);
  } else {
    into.count = more.count;
    into.busy = more.busy;
  }
}

}  // namespace

void SlowStatements::note(SlowStatement one) {
  one.count = 1;
  one.busy = one.longest();
  const std::scoped_lock lock(mutex_);
  const auto found = by_fingerprint_.find(one.fingerprint);
  if (found != by_fingerprint_.end()) return join(found->second, std::move(one));
  if (by_fingerprint_.size() >= kMost) {
    const auto fastest = std::ranges::min_element(
        by_fingerprint_, {}, [](const auto& entry) { return entry.second.longest(); });
    if (fastest->second.longest() >= one.longest()) return;
    by_fingerprint_.erase(fastest);
  }
  by_fingerprint_.emplace(one.fingerprint, std::move(one));
}

void SlowStatements::add_to(std::vector<SlowStatement>& out) const {
  const std::scoped_lock lock(mutex_);
  for (const auto& [fingerprint, one] : by_fingerprint_) out.push_back(one);
}

std::vector<SlowStatement> merged(std::vector<SlowStatement> all) {
  std::map<std::uint64_t, SlowStatement> by_fingerprint;
  for (SlowStatement& one : all) {
    const auto [at, fresh] = by_fingerprint.try_emplace(one.fingerprint, one);
    if (!fresh) join(at->second, std::move(one));
  }
  std::vector<SlowStatement> out;
  for (auto& [fingerprint, one] : by_fingerprint) out.push_back(std::move(one));
  std::ranges::sort(out, std::ranges::greater{}, &SlowStatement::longest);
  return out;
}

}  // namespace pgw::client

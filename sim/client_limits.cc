// The scripted client: when its time is over, and that it is ended then.
#include "client.h"

namespace pgw::sim {

namespace {
constexpr Duration kSlack = 3s;  // for the way to the client, and what is asked before
}

void Client::note_sent() {
  const Time now = sim_.now();
  if (model_.idle()) {
    busy_since_ = now;
    if (!model_.in_copy()) run_since_ = now;
    const bool outside = status_ == 'I' && model_.status() == 'I' && !model_.in_copy() &&
                         !model_.pipeline_open() && !model_.skipping();
    if (outside) block_since_ = now;
  }
  sent_ = now;
}

// Whether such an end may have come of a limit: not before its time.
bool Client::limit_passed(std::string_view state) const {
  const auto& limits = rules_.limits;
  const auto passed = [&](Duration limit, Time since) {
    return limit > 0us && sim_.now() >= since + limit;
  };
  if (state == "57014") return passed(limits.query, run_since_);
  if (state == "25P04") return passed(limits.transaction, block_since_);
  if (state == "25P03") return passed(limits.idle_in_transaction, sent_before_);
  if (state == "57P05") return passed(limits.client_idle, sent_before_) && status_ == 'I';
  return false;
}

// In a transaction in which PostgreSQL waits for it, it says nothing more: it must be ended.
bool Client::linger() {
  const auto& limits = rules_.limits;
  if (std::exchange(lingering_, false)) {
    fail("it was idle in a transaction for longer than the limit");
    return true;
  }
  if (rules_.faults || paused_ || limits.idle_in_transaction == 0us) return false;
  const bool open = status_ != 'I' && model_.idle() && model_.status() != 'I' &&
                    !model_.in_copy() && !model_.pipeline_open() && !model_.skipping();
  if (!open || !random_.chance(plan_.lingers)) return false;
  sim_.trace("c{} lingers", plan_.number);
  lingering_ = true;
  loop_.arm(timer_, limits.idle_in_transaction + kSlack);
  return true;
}

}  // namespace pgw::sim

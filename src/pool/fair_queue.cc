#include "pool/fair_queue.h"

#include <algorithm>

namespace pgw::pool {

bool FairQueue::Before::operator()(const Line& a, const Line& b) const {
  if (a.rank != b.rank) return a.rank < b.rank;
  const auto left = std::uint64_t{a.share.leased} * b.share.terms.weight;
  const auto right = std::uint64_t{b.share.leased} * a.share.terms.weight;
  if (left != right) return left < right;
  return a.since < b.since;
}

void FairQueue::rank(Line& line, Time now) const {
  const Share& share = line.share;
  line.lifts_at = Time::max();
  if (share.leased < share.terms.min) {
    line.rank = 0;
    return;
  }
  const Time first = line.since + patience_;
  const Time second = share.terms.background ? first + patience_ : first;
  if (share.leased == 0 && now >= second) {
    line.rank = 0;
  } else if (share.terms.background && now < first) {
    line.rank = 2;
    line.lifts_at = first;
  } else {
    line.rank = 1;
    if (share.leased == 0) line.lifts_at = second;
  }
}

void FairQueue::order(Line& line, Time now) {
  if (line.count == 0 || line.blocked) {
    ready_.remove(line);
    ageing_.remove(line);
    return;
  }
  line.since = line.waiters.front()->waits_since;
  rank(line, now);
  ready_.put(line);
  if (line.lifts_at == Time::max()) {
    ageing_.remove(line);
  } else {
    ageing_.put(line);
  }
}

// Changes what both of a share's lines are ordered by. The heap can put one element right at a
// time, so one of two is out of it meanwhile.
void FairQueue::change(Share& share, Time now, auto&& apply) {
  auto& [one, other] = share.lines;
  const bool both = one.in_ready != Line::kNowhere && other.in_ready != Line::kNowhere;
  if (both) ready_.remove(other);
  unmet_ -= share.unmet();
  apply();
  unmet_ += share.unmet();
  for (Line* line : {&one, &other})
    if (line->in_ready != Line::kNowhere || (both && line == &other)) order(*line, now);
}

void FairQueue::set_terms(Share& share, const Terms& terms, Time now) {
  change(share, now, [&] { share.terms = terms; });
}

void FairQueue::enter(Share& share) {
  unmet_ -= share.unmet();
  ++share.clients;
  unmet_ += share.unmet();
}

void FairQueue::leave(Share& share) {
  unmet_ -= share.unmet();
  --share.clients;
  unmet_ += share.unmet();
}

void FairQueue::push(Line& line, Waiter& waiter, Time now) {
  waiter.line = &line;
  line.waiters.push_back(waiter);
  ++waiting_;
  if (++line.count == 1) order(line, now);
}

void FairQueue::remove(Waiter& waiter, Time now) {
  Line& line = *waiter.line;
  const bool first = line.waiters.front() == &waiter;
  waiter.waiting.unlink();
  --line.count;
  --waiting_;
  if (first) order(line, now);
}

void FairQueue::block(Line& line) {
  line.blocked = true;
  ready_.remove(line);
  ageing_.remove(line);
}

void FairQueue::unblock(Line& line, Time now) {
  line.blocked = false;
  order(line, now);
}

Line* FairQueue::first(Time now) {
  while (Line* line = ageing_.top()) {
    if (line->lifts_at > now) break;
    order(*line, now);
  }
  return ready_.top();
}

Line* FairQueue::best(Time now) {
  Line* const line = first(now);
  return line && (line->rank == 0 || room() > 0) ? line : nullptr;
}

Waiter& FairQueue::begin(Line& line, Time now) {
  Waiter& waiter = *line.waiters.pop_front();
  --line.count;
  --waiting_;
  if (line.count == 0) order(line, now);  // else begin() does it
  begin(line.share, now);
  return waiter;
}

bool FairQueue::may_begin(const Share& share) const {
  return share.leased < share.terms.min || room() > 0;
}

void FairQueue::begin(Share& share, Time now) {
  ++leased_;
  change(share, now, [&] { ++share.leased; });
}

void FairQueue::end(Share& share, Time now) {
  --leased_;
  change(share, now, [&] { --share.leased; });
}

std::size_t FairQueue::room() const {
  const std::size_t kept = std::min(unmet_, std::max<std::size_t>(places_, 1) - 1);
  return places_ > leased_ + kept ? places_ - leased_ - kept : 0;
}

Time FairQueue::next_lift() const {
  const Line* const line = ageing_.top();
  return line ? line->lifts_at : Time::max();
}

}  // namespace pgw::pool

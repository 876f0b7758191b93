#include "relay/pipeline.h"

#include <utility>

namespace pgw::relay {
namespace {

Verdict broken(Verdict verdict) {
  verdict.known = false;
  verdict.forward = false;
  return verdict;
}

}  // namespace

void Pipeline::push(Expected entry) {
  // COPY data cannot be followed by anything but its end: the COPY fails. What pgweir answers
  // itself is never sent, and changes nothing.
  if (entry.want != Want::invent) copy_open_ = false;
  queue_.push_back(entry);
  if (ends_group(entry.want)) {
    ++groups_;
    ++group_;
    unsynced_ = false;
  } else if (entry.want != Want::invent) {
    unsynced_ = true;
  }
}

bool Pipeline::push_sync() {
  if (copy_open_) return false;
  skipping_ = false;
  push({.want = Want::sync});
  return true;
}

void Pipeline::push_copy_end() {
  copy_open_ = false;
  if (!queue_.empty()) queue_.push_back({.want = Want::copy_end});
}

// Takes the front entry because its reply has come, and the markers behind it that have lost their
// meaning.
void Pipeline::pop(Effects& effects) {
  const Expected entry = queue_.front();
  queue_.pop_front();
  groups_ -= ends_group(entry.want);
  if (entry.followed())
    effects.settled(entry, entry.has(Expected::refused) ? Fate::failed : Fate::happened);
  while (!queue_.empty() && queue_.front().want == Want::copy_end) queue_.pop_front();
}

void Pipeline::drop_front(Effects& effects, Fate fate) {
  const Expected entry = queue_.front();
  queue_.pop_front();
  groups_ -= ends_group(entry.want);
  if (entry.followed()) effects.settled(entry, fate);
}

// An error: everything up to the next Sync is skipped by PostgreSQL, a simple Query too.
void Pipeline::fail_group(Effects& effects) {
  for (Fate fate = Fate::failed; !queue_.empty() && queue_.front().want != Want::sync;
       fate = Fate::skipped)
    drop_front(effects, fate);
  if (queue_.empty()) unsynced_ = skipping_ = true;
}

char Pipeline::invented(Effects& effects) {
  if (queue_.empty() || queue_.front().want != Want::invent) return 0;
  const char tag = queue_.front().tag;
  pop(effects);
  return tag;
}

bool Pipeline::owes_only(std::initializer_list<Want> wants) const {
  if (queue_.size() != wants.size()) return false;
  std::size_t i = 0;
  for (const Want want : wants) {
    const Expected& entry = queue_.at(i++);
    if (entry.want != want || entry.has(Expected::client_op) || entry.has(Expected::server_op))
      return false;
  }
  return true;
}

void Pipeline::make_ours_quiet() {
  for (std::size_t i = 0; i < queue_.size(); ++i)
    queue_.at(i).flags |= Expected::ours | Expected::quiet;
}

void Pipeline::abandon(Effects& effects) {
  while (!queue_.empty()) drop_front(effects, Fate::skipped);
  copying_ = copy_open_ = unsynced_ = skipping_ = false;
}

// CopyInResponse: a Sync that was sent right behind it was read inside COPY data, and ignored. Any
// other message but CopyDone and CopyFail makes the COPY fail.
void Pipeline::begin_copy() {
  copying_ = true;
  std::size_t next = 1;
  while (next < queue_.size()) {
    const Want want = queue_.at(next).want;
    if (want == Want::sync) {
      --groups_;
      --group_;  // it has ended nothing
      queue_.erase(next);
    } else if (want == Want::invent) {
      ++next;  // was never sent
    } else {
      break;
    }
  }
  copy_open_ = next == queue_.size();
  // Whether a group is open is for the last message to say that asks for a reply.
  std::size_t last = queue_.size() - 1;
  while (queue_.at(last).want == Want::invent || queue_.at(last).want == Want::copy_end) --last;
  unsynced_ = !ends_group(queue_.at(last).want);
}

// The COPY is over, well or not: its end, if the client has sent it, has no meaning any more.
void Pipeline::end_copy() {
  if (!copying_) return;
  copying_ = copy_open_ = false;
  std::size_t i = 1;
  while (i < queue_.size() && queue_.at(i).want == Want::invent) ++i;
  // Behind other messages it would be a later COPY's.
  if (i < queue_.size() && queue_.at(i).want == Want::copy_end) queue_.erase(i);
}

Verdict Pipeline::ready(Verdict verdict, Effects& effects) {
  if (queue_.empty() || !ends_group(queue_.front().want)) return broken(verdict);
  copying_ = copy_open_ = false;
  verdict.ready = true;
  pop(effects);
  return verdict;
}

Verdict Pipeline::error(Verdict verdict, Effects& effects) {
  end_copy();
  verdict.unasked = queue_.empty();
  if (verdict.unasked) return verdict;
  const Expected entry = queue_.front();
  verdict.quiet_error = entry.has(Expected::quiet);
  verdict.forward = !verdict.quiet_error;
  if (!ends_group(entry.want)) {
    fail_group(effects);
  } else {
    queue_.front().flags |= Expected::refused;
  }
  return verdict;
}

// CommandComplete, EmptyQueryResponse or PortalSuspended.
Verdict Pipeline::complete(Verdict verdict, Effects& effects) {
  if (queue_.empty()) return broken(verdict);
  const Want want = queue_.front().want;
  if (want != Want::execute && want != Want::query) return broken(verdict);
  end_copy();
  if (want == Want::execute) pop(effects);
  return verdict;
}

Verdict Pipeline::reply(char tag, Effects& effects) {
  Verdict verdict;
  if (!queue_.empty()) {
    verdict.entry = queue_.front();
    verdict.forward = !verdict.entry.has(Expected::ours);
  }
  const auto take = [&](Want want) {
    if (queue_.empty() || queue_.front().want != want) return broken(verdict);
    pop(effects);
    return verdict;
  };
  switch (tag) {
    case 'D':
    case 'd':
    case 'c':
    case 'H':
    case 'V':
      return queue_.empty() ? broken(verdict) : verdict;
    case 'A':  // has nothing to do with what is being answered
      verdict.forward = true;
      return verdict;
    case 'N':
    case 'S':
      return verdict;
    case '1':
      return take(Want::parse);
    case '2':
      return take(Want::bind);
    case '3':
      return take(Want::close);
    case 't':
      return queue_.empty() || queue_.front().want != Want::describe_statement ? broken(verdict)
                                                                               : verdict;
    case 'T':
      if (queue_.empty()) return broken(verdict);
      if (queue_.front().want == Want::describe_statement ||
          queue_.front().want == Want::describe_portal)
        pop(effects);
      return verdict;
    case 'n':
      if (queue_.empty() || (queue_.front().want != Want::describe_statement &&
                             queue_.front().want != Want::describe_portal))
        return broken(verdict);
      pop(effects);
      return verdict;
    case 's':  // only Execute has a limit of rows
      if (!queue_.empty() && queue_.front().want == Want::query) return broken(verdict);
      [[fallthrough]];
    case 'C':
    case 'I':
      return complete(verdict, effects);
    case 'G':
      if (queue_.empty() ||
          (queue_.front().want != Want::execute && queue_.front().want != Want::query))
        return broken(verdict);
      begin_copy();
      return verdict;
    case 'W':
      return broken(verdict);  // replication only, which is not relayed by messages
    case 'E':
      return error(verdict, effects);
    case 'Z':
      return ready(verdict, effects);
    default:
      return broken(verdict);
  }
}

}  // namespace pgw::relay

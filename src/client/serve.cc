// What a client sends: cut into messages, given a server, passed on in runs as long as possible.
#include <algorithm>

#include "base/check.h"
#include "client/client.h"
#include "client/worker.h"
#include "relay/scan.h"
#include "server/pool.h"
#include "wire/frame.h"
#include "wire/read.h"
#include "wire/write.h"

namespace pgw::client {

using relay::Expected;
using relay::Want;

namespace {

constexpr std::size_t kNamesMax = 64 * 1024;        // of the names in one Bind, Describe or Close
constexpr std::size_t kQueryLookMax = 256 * 1024;   // a longer query is not searched for words
constexpr std::size_t kOwedMax = 32 * 1024;         // replies owed; a further group waits
constexpr std::size_t kOwedInGroupMax = 1'000'000;  // messages without a Sync
constexpr std::uint16_t kGroupsPerLease =
    64;  // then a client with others behind it must queue again

// Outside of one. Close, Sync and Flush do not.
bool begins_transaction(char tag) {
  return tag == 'Q' || tag == 'P' || tag == 'B' || tag == 'D' || tag == 'E' || tag == 'F';
}

}  // namespace

void Client::on_bytes(Bytes bytes) {
  if (phase_ == Phase::raw && server_) {
    server_->send(bytes);
    server_full_ = server_->queued() >= net::Stream::kHighWater;
    if (server_full_) update_reading();
    return;
  }
  if (idle_) idle_->heard = worker_.loop().now();
  if (server_) {
    if (server_->watch.reminded > 0) end_leak(*server_, "it has sent something");
    server_->watch.last = worker_.loop().now();
  }
  const bool wait = blocked() || client_full_ || phase_ != Phase::serving;
  if (wait || pending_.size() + bytes.size() < need_) {
    pending_ += bytes;
    return;
  }
  serve(bytes);
}

// Deals with what is pending, and then with `bytes`.
void Client::serve(Bytes bytes) {
  std::string held;
  if (!pending_.empty()) {
    pending_ += bytes;
    held = std::exchange(pending_, {});
    bytes = held;
  }
  need_ = 0;
  serving_ = true;
  at_ = run_ = bytes.data();
  const char* const end = at_ + bytes.size();
  if (skip_ > 0) {
    const std::size_t n = std::min(skip_, bytes.size());
    at_ += n;
    skip_ -= n;
    if (skip_drop_) run_ = at_;
  }
  if (!serve_frames(end)) return;  // gone
  serving_ = false;
  cut();
  if (at_ < end) pending_.assign(at_, end);
  if (server_) server_->end_replay();
  if (server_ && server_->queued() >= net::Stream::kHighWater) server_full_ = true;
  update_reading();
  if (!blocked()) maybe_release();
}

void Client::cut() {
  if (at_ > run_ && server_) server_->send(Bytes(run_, static_cast<std::size_t>(at_ - run_)));
  run_ = at_;
}

// Messages from at_ on, as far as they go. False: the client is gone.
bool Client::serve_frames(const char* end) {
  end_ = end;
  while (at_ < end) {
    // Some messages are answered here, without a server that could be paused.
    client_full_ = stream_->queued() >= net::Stream::kHighWater;
    if (client_full_) return true;
    const Bytes left(at_, static_cast<std::size_t>(end - at_));
    wire::Header header;
    const auto most = static_cast<std::uint32_t>(worker_.settings().max_message);
    const auto peek = wire::peek_header(left, most, header);
    if (peek == wire::Peek::need_more) return true;
    if (peek == wire::Peek::broken) return end_with(wire::broken_header(left, most)) != Step::stop;
    const std::size_t total = wire::kHeaderBytes + header.body_bytes;
    const Frame frame{header.tag, left.substr(wire::kHeaderBytes, header.body_bytes), total,
                      left.size() >= total};
    if (!frame.whole && !ready_for(frame, need_)) return true;
    const std::size_t here = std::min(total, left.size());
    skip_drop_ = false;
    switch (open(frame)) {
      case Step::keep:
      case Step::replaced:
        break;
      case Step::drop:
        cut();
        run_ = at_ + here;
        skip_drop_ = true;
        break;
      case Step::stall:
        return true;
      case Step::stop:
        return false;
    }
    at_ += here;
    skip_ = total - here;
  }
  return true;
}

// Whether a message that is not all there can be begun with; if not, how many bytes to wait for.
bool Client::ready_for(const Frame& frame, std::size_t& need) const {
  const bool shared = mode_ == config::Mode::transaction;
  switch (frame.tag) {
    case 'd':
    case 'F':
      return true;
    case 'Q':
      if (frame.total > kQueryLookMax) return true;
      break;
    case 'B':
      if (!shared || wire::read_bind_front(frame.here) || frame.here.size() > kNamesMax)
        return true;
      need = 0;
      return false;
    case 'P':
      if (!shared || frame.total > worker_.settings().max_statement_bytes) return true;
      break;
    default:
      if (frame.total > kNamesMax) return true;
      break;
  }
  need = frame.total;
  return false;
}

Client::Step Client::end_with(const Error& why) {
  serving_ = false;
  cut();  // what stands before was promised to the pipeline; the server must not be left inside a
          // message
  leave(&why);
  return Step::stop;
}

Client::Step Client::wait_for_replies(bool all) {
  stalled_ = true;
  waits_for_all_ = all;
  barrier_ |= all;
  return Step::stall;
}

// A message at the front; its head, or all of it, is there.
Client::Step Client::open(const Frame& frame) {
  if (frame.tag == 'X') {
    serving_ = false;
    cut();
    skip_ = 0;
    leave(nullptr, true, "it said goodbye");
    return Step::stop;
  }
  if (cancelled_ || discarding_) return discard(frame);
  if (!server_) {
    const Step step = without_server(frame);
    if (step != Step::keep) return step;
  }
  const bool at_rest = server_->watch.run == Time{} || server_->pipeline().empty();
  if (server_->pipeline().synced() && begins_group(frame.tag)) {
    const Step step = begin_group();
    if (step != Step::keep) return step;
  }
  if (at_rest) server_->watch.begin_run(worker_.loop().now());
  if (server_->watch.block == Time{} && begins_transaction(frame.tag))
    server_->watch.block = worker_.loop().now();
  if (server_->pipeline().size() > kOwedInGroupMax)
    return end_with(Error(Code::too_large,
                          fmt::format("more than {} messages without a Sync", kOwedInGroupMax)));
  const bool shared = mode_ == config::Mode::transaction;
  switch (frame.tag) {
    case 'Q':
      return on_query(frame);
    case 'P':
      return shared ? on_parse(frame) : on_parse_of_session(frame);
    case 'B':
      return shared ? on_bind(frame) : pass(Want::bind);
    case 'D':
      return on_describe(frame);
    case 'C':
      return shared ? on_close(frame) : pass(Want::close);
    case 'E':
      return on_execute(frame);
    case 'F':
      return on_call(frame);
    case 'S':
      return on_sync();
    case 'H':
      return Step::keep;
    case 'd':
    case 'c':
    case 'f':
      return on_copy(frame);
    default:
      return end_with(
          Error(Code::protocol,
                fmt::format("invalid frontend message type {}",
                            static_cast<unsigned>(static_cast<unsigned char>(frame.tag)))));
  }
}

Client::Step Client::discard(const Frame& frame) {
  std::string out;
  // Of these nothing can be cancelled; a Sync never fails.
  if (!discarding_ && std::string_view("SHdcf").contains(frame.tag)) return without_server(frame);
  if (std::exchange(cancelled_, false)) {
    wire::write_error(out, wire::Severity::error, sqlstate(Code::cancelled),
                      "canceling statement due to user request",
                      "It was waiting for a server and had not begun.");
    discarding_ = frame.tag != 'Q' && frame.tag != 'F';
    if (names_ && frame.tag == 'Q') names_->drop_unnamed();
    if (!discarding_) wire::write_ready(out, 'I');
  }
  if (frame.tag == 'S') {
    discarding_ = false;
    wire::write_ready(out, 'I');
  }
  stream_->send(out);
  return Step::drop;
}

// Flush and COPY data begin nothing; and what a COPY is sent must not wait for its end.
bool Client::begins_group(char tag) const {
  if (tag == 'd' || tag == 'c' || tag == 'f' || tag == 'H') return false;
  return !server_->pipeline().copying_in();
}

// keep: there is a server now.
Client::Step Client::without_server(const Frame& frame) {
  switch (frame.tag) {
    case 'S': {  // nothing was sent that it could end
      std::string out;
      wire::write_ready(out, 'I');
      stream_->send(out);
      return Step::drop;
    }
    case 'H':
    case 'd':
    case 'c':
    case 'f':
      return Step::drop;  // the rest of a COPY that has failed: PostgreSQL ignores it too
    case 'P':
    case 'C':
      if (mode_ == config::Mode::transaction && answer_alone(frame)) return Step::drop;
      break;
    case 'Q':
    case 'B':
    case 'D':
    case 'E':
    case 'F':
      break;
    default:
      return end_with(
          Error(Code::protocol,
                fmt::format("invalid frontend message type {}",
                            static_cast<unsigned>(static_cast<unsigned char>(frame.tag)))));
  }
  pool_.acquire(*this);
  return server_ && !waiting_for_prepare_ ? Step::keep : Step::stall;
}

// A message that begins a group: the place to take breath.
Client::Step Client::begin_group() {
  const auto& pipeline = server_->pipeline();
  // A cancel that is under way is meant for what was sent before, never for this.
  if (server_->cancelling()) return wait_for_replies(false);
  waits_for_replay_ = server_->replaying();
  if (waits_for_replay_) return wait_for_replies(false);
  if (server_->inspecting())
    return wait_for_replies(true);  // its settings may have to be put right
  if (hearing_ && hearing_->moving()) return wait_for_listening();
  const bool to_listen =
      hearing_ && hearing_->source == Hearing::Source::shared && concerns_channels();
  if (hearing_ && !to_listen) hearing_->limit.reset();
  const bool left = mode_ == config::Mode::transaction && server_->dirty();
  if (mode_ == config::Mode::transaction) server_->begin_group();
  if (!pipeline.quiet()) {
    // What pgweir does for itself may be under way while the client's settings are not in effect.
    if (barrier_ || to_listen || pipeline.size() >= kOwedMax ||
        (server_->status() == 'I' && server_->needs_prepare(profile_)))
      return wait_for_replies(true);
    if (leased_groups_ >= kGroupsPerLease && mode_ == config::Mode::transaction &&
        pool_.has_waiters())
      return wait_for_replies(true);
    return Step::keep;
  }
  // What it has set since it was last asked must not be taken for somebody else's.
  if (left && server_->status() == 'I' && server_->needs_prepare(profile_)) {
    cut();
    server_->inspect();
    return wait_for_replies(true);
  }
  barrier_ = false;
  if (has(pins_, server::Pin::unknown)) server_->make_dirty();  // to be asked again
  if (server_->status() == 'I' && server_->needs_prepare(profile_)) {
    resets_.reset();
    cut();
    waiting_for_prepare_ = server_->prepare(profile_, mode_ == config::Mode::session);
    if (server_->replayed) pinning_.replays.add(1);
    if (waiting_for_prepare_) return Step::stall;
    tell_changes();
  } else if (resets_ && server_->status() != 'E') {
    cut();
    if (resets_->due) restart_settings();
    if (server_->status() == 'I') resets_.reset();
  }
  if (to_listen && server_->status() == 'I') {
    cut();
    server_->end_replay();
    if (hearing_->subscription->ready()) take_back();
    return wait_for_listening();
  }
  return Step::keep;
}

Client::Step Client::pass(Want want, std::uint16_t flags) {
  server_->expect({.want = want, .flags = flags});
  return Step::keep;
}

Client::Step Client::on_query(const Frame& frame) {
  std::uint16_t flags = 0;
  Pins refused = 0;
  if (!frame.whole) {
    // Too long to be looked at: whatever it does, it is undone before the next client.
    server_->make_dirty();
    altered_ = true;
    barrier_ = true;
  } else {
    const auto text = wire::read_query(frame.here);
    if (!text) return end_with(text.error());
    const auto scan = relay::scan(*text);
    altered_ |= scan.alters;
    if (claims_sequences(scan) && server_->pipeline().groups() > 0) return wait_for_replies(false);
    const bool shared = mode_ == config::Mode::transaction;
    const auto marks = marks_of(*text, nullptr);
    const bool lists = scan.shows_statements() || has(marks, relay::Mark::lists);
    if ((scan.names || lists) && shared && !relay::deallocated_name(*text)) {
      const Step step = spell_out(scan, lists);
      if (step != Step::keep) return step;
    }
    if (!heed_names(*text, marks) || !hide_others()) return wait_for_replies(false);
    if (concerns(scan)) {
      const auto found = sql::analyze(*text);
      refused = forbidden(found, *text);
      if (refused == 0) flags |= heed(found);
    }
    if (scan.reset_all) flags |= Expected::resets;
    if (scan.unsettles && refused == 0 && shared) {
      if (const auto name = relay::deallocated_name(*text)) {
        const auto look = names().look(*name, server_->group());
        if (look.unsure) return wait_for_replies(false);
        barrier_ = true;
        if (look.value) {
          ++leased_groups_;
          server_->unnamed = 0;
          stand_in(true);
          names().undefine(*name, server_->group());
          std::string out;
          wire::write_query(out, "DEALLOCATE pgweir_gone");
          server_->send(out);
          server_->expect(
              {.want = Want::query, .flags = Expected::client_op | Expected::stands_in});
          return Step::drop;
        }
      }
      barrier_ = true;
    }
  }
  note_text(frame.here);
  ++leased_groups_;
  server_->unnamed = 0;
  if (names_) {
    const auto unnamed = names_->look({}, server_->group());
    if (unnamed.unsure || unnamed.value) {
      names_->undefine({}, server_->group());
      flags |= Expected::client_op;
    }
  }
  if (refused != 0) return refuse_query(refused, flags);
  return pass(Want::query, flags);
}

// A function call message: it begins with the function's oid.
Client::Step Client::on_call(const Frame& frame) {
  if (mode_ == config::Mode::transaction) {
    const auto oid = wire::Reader(frame.here).u32();
    const auto* names = pool_.suspicion().names();
    const auto marks = names ? names->marks_of(oid) : relay::Marks{0};
    if (has(marks, relay::Mark::lists)) {
      const Step step = spell_out({}, true);
      if (step != Step::keep) return step;
    }
    if (!hide_others()) return wait_for_replies(false);
    heed_call(oid);
  }
  server_->make_dirty();
  return pass(Want::function);
}

// Its names are its own affair; only what is shown of slow statements needs the text.
Client::Step Client::on_parse_of_session(const Frame& frame) {
  const auto name_end = frame.here.find('\0');
  if (name_end != Bytes::npos) note_text(frame.here.substr(name_end + 1));
  return pass(Want::parse);
}

// Its text begins here and ends with a NUL.
void Client::note_text(Bytes text) {
  const auto most = std::min(text.size(), server::Texts::kMost + 1);
  text = text.substr(0, std::min(text.find('\0'), most));
  server_->watch.texts.note(server_->group(), server_->answered(), text);
}

Client::Step Client::on_execute(const Frame& frame) {
  if (!rare_ || rare_->portals.empty()) return pass(Want::execute);
  wire::Reader reader(frame.here);
  const auto portal = rare_->portals.find(reader.text());
  if (portal == rare_->portals.end() || !reader.ok()) return pass(Want::execute);
  if (!portal->second.deallocates.empty())
    names().undefine(portal->second.deallocates, server_->group());
  return pass(Want::execute, portal->second.flags);
}

Client::Step Client::on_sync() {
  ++leased_groups_;
  cut();
  server_->send_sync();
  return Step::drop;
}

Client::Step Client::on_copy(const Frame& frame) {
  if (server_->pipeline().quiet()) return Step::drop;  // the COPY has failed
  if (frame.tag != 'd') server_->copy_end_sent();
  return Step::keep;
}

}  // namespace pgw::client

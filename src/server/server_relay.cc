// Replies: cut into messages, matched with what was asked, passed on in runs as long as possible.
#include "relay/shape.h"
#include "server/pool.h"
#include "server/server.h"
#include "wire/frame.h"
#include "wire/read.h"
#include "wire/write.h"

namespace pgw::server {

using relay::Effect;
using relay::Expected;
using relay::Want;

namespace {

constexpr std::uint32_t kMessageMax = 0x7fffffff - 4;
constexpr std::size_t kGatherMax =
    16 * 1024 * 1024;  // of messages that are looked into; none comes near it
constexpr std::size_t kBulkBytes = 128 * 1024;  // a reply this long is likely to go on
// A message this short is passed on whole: a client that is in the middle of one cannot be told why
// it must go.
constexpr std::size_t kWholeMax = 8 * 1024;

}  // namespace

// Messages whose bodies nobody looks into: they may be passed on in parts.
bool Server::streams(char tag, std::size_t total) const {
  if (total <= kWholeMax) return false;
  if (tag == 'T') return described_.empty();
  if (tag == 'D' && (inspection_ || survey_ || check_)) return false;
  return tag == 'D' || tag == 'd' || tag == 'V';
}

void Server::relay(Bytes bytes) {
  watch.heard_from_server(context_.loop.now());
  bulk(bytes.size());
  const bool replaying = replaying_;
  if (skip_ > 0) {
    const std::size_t n = std::min(skip_, bytes.size());
    if (skip_forward_) deliver(bytes.data(), bytes.data() + n);
    skip_ -= n;
    bytes.remove_prefix(n);
    deliver_invented();
  }
  if (!carry_.empty()) bytes = finish_carry(bytes);
  if (!stream_) return;
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  const char* run = at;
  at = relay_frames(at, end, run);
  if (!at) return;  // closing
  deliver(run, at);
  deliver_invented();
  if (at < end) carry_.assign(at, end);
  if (muted_) return;  // only the end is still to come
  const bool checked = std::exchange(checked_, false) || (replaying && !this->replaying());
  if (std::exchange(ready_seen_, false)) {
    ready();
  } else if ((checked || pipeline_.skipping()) && tenant_) {
    tenant_->progressed();  // what it waits for has come, or may have been skipped
  }
}

// Whole messages from `at` on; gives where the first that is not whole begins (null: the connection
// is closing).
const char* Server::relay_frames(const char* at, const char* end, const char*& run) {
  while (at < end) {
    const Bytes left(at, static_cast<std::size_t>(end - at));
    wire::Header header;
    const auto peek = wire::peek_header(left, kMessageMax, header);
    if (peek == wire::Peek::need_more) return at;
    if (peek == wire::Peek::broken) {
      broke_protocol(*at);
      return nullptr;
    }
    const std::size_t total = wire::kHeaderBytes + header.body_bytes;
    if (total > left.size()) {
      if (streams(header.tag, total)) {
        const auto missing = static_cast<std::uint32_t>(total - left.size());
        return stream_head(header.tag, left, missing, run) ? end : nullptr;
      }
      if (total <= kGatherMax) {
        carry_.reserve(total);
        return at;
      }
      broke_protocol(header.tag);
      return nullptr;
    }
    if (!frame(left.substr(0, total), run)) return nullptr;
    at += total;
  }
  return at;
}

bool Server::stream_head(char tag, Bytes part, std::uint32_t missing, const char*& run) {
  const auto verdict = pipeline_.reply(tag, *this);
  if (!verdict.known) {
    broke_protocol(tag);
    return false;
  }
  skip_ = missing;
  skip_forward_ = verdict.forward;
  if (!verdict.forward) {
    deliver(run, part.data());
    run = part.data() + part.size();
  }
  return true;
}

// Completes the message in carry_ from the front of `bytes`; gives what is left.
Bytes Server::finish_carry(Bytes bytes) {
  const auto take = [&](std::size_t want) {
    const std::size_t n = std::min(want - carry_.size(), bytes.size());
    carry_.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    return carry_.size() == want;
  };
  if (carry_.size() < wire::kHeaderBytes && !take(wire::kHeaderBytes)) return bytes;
  wire::Header header;
  const auto peek = wire::peek_header(carry_, kMessageMax, header);
  const std::size_t total = wire::kHeaderBytes + header.body_bytes;
  if (peek == wire::Peek::broken || (total > kGatherMax && !streams(header.tag, total))) {
    broke_protocol(carry_[0]);
    return {};
  }
  if (total > carry_.size() + bytes.size() && streams(header.tag, total)) {
    const std::string head = std::exchange(carry_, {});
    const char* run = head.data();
    if (!stream_head(header.tag, head, static_cast<std::uint32_t>(total - head.size()), run))
      return {};
    deliver(run, head.data() + head.size());
    if (skip_forward_) deliver(bytes.data(), bytes.data() + bytes.size());
    skip_ -= bytes.size();
    return {};
  }
  if (!take(total)) return bytes;
  const std::string whole = std::exchange(carry_, {});
  const char* run = whole.data();
  if (!frame(whole, run)) return {};
  deliver(run, whole.data() + whole.size());
  deliver_invented();
  return bytes;
}

bool Server::frame(Bytes message, const char*& run) {
  const char tag = message[0];
  healed_ = tag == 'E' && heal(message.substr(wire::kHeaderBytes));
  auto verdict = pipeline_.reply(tag, *this);
  // A goodbye after the end of a transaction is none of the client's business, unless the server is
  // its own for good.
  if (verdict.unasked && !session_ && status_ == 'I' && pipeline_.quiet()) verdict.forward = false;
  const char* const after = message.data() + message.size();
  if (!verdict.known) {
    deliver(run, message.data());
    broke_protocol(tag);
    return false;
  }
  if (tag == 'D' || tag == 'd') {
    if (verdict.forward) return true;
    if (verdict.entry.has(Expected::inspects) && inspection_ &&
        !take_row(message.substr(wire::kHeaderBytes), *inspection_))
      inspection_->pins |= Pin::unknown;
    if (survey_ && verdict.entry.has(Expected::quiet)) survey_row(message);
    if (check_ && !check_->take_row(message.substr(wire::kHeaderBytes))) drop_check();
    deliver(run, message.data());
    run = after;
    return true;
  }
  if (tag == 'A') {
    deliver(run, message.data());
    run = after;
    const auto note = wire::read_notification(message.substr(wire::kHeaderBytes));
    if (!note) {
      broke_protocol(tag);
      return false;
    }
    if (tenant_ && !muted_) tenant_->notified(pid_, *note, message);
    return stream_ != nullptr;
  }
  if (tag == 'Z' && reports_due_ && !replaying()) {
    reports_due_ = false;
    deliver(run, message.data());
    run = message.data();
    deliver_news();
  }
  if (!inspect(tag, message.substr(wire::kHeaderBytes), verdict)) return false;
  // What replaying the settings has changed, a client that may have reset them must know.
  const bool tell = tag == 'S' && session_ && !learning_;
  if (tag == 't' && verdict.entry.has(Expected::describes) && !verdict.entry.has(Expected::ours) &&
      std::exchange(parameters_told_, false))
    verdict.forward = false;
  if (!verdict.forward && !tell) {
    deliver(run, message.data());
    run = after;
  } else if (tag == 'E' && tenant_ && (verdict.entry.has(Expected::renamed) || watch.cancelled)) {
    deliver(run, message.data());
    tenant_->deliver_renamed_error(message);
    run = after;
  }
  if (fatal_told_ && !muted_) {  // the last that this client hears
    deliver(run, after);
    run = after;
    muted_ = true;
  }
  const auto* next = pipeline_.front();
  if (next && next->want == Want::invent) {
    deliver(run, after);
    run = after;
    deliver_invented();
  }
  return true;
}

bool Server::inspect(char tag, Bytes body, relay::Verdict& verdict) {
  switch (tag) {
    case 'C': {
      const auto end = body.find('\0');
      completed(body.substr(0, end), verdict);
      return true;
    }
    case 'Z':
      if (body.size() != 1 || (body[0] != 'I' && body[0] != 'T' && body[0] != 'E')) {
        broke_protocol(tag);
        return false;
      }
      status_ = body[0];
      group_failed_ = false;
      ready_seen_ = true;
      in_request_ = 0;
      if (resetting_ || discarding_) emptied();
      remembers_ = remembers_ && !pipeline_.quiet();
      if (bulk_) stream_->expect_bulk(bulk_ = false);
      run_over(verdict);
      if (verdict.entry.has(Expected::inspects)) inspected(verdict.entry.has(Expected::refused));
      if (status_ == 'I') ddl_.reset();
      if (survey_) survey_answered();
      if (check_) host_answered();
      if (learning_ && pipeline_.empty() && !quiet_failed_) {
        learning_->learn(reported_);
        if (learning_ == profile_) agreed_ = profile_->version;
      }
      if (pipeline_.empty()) learning_.reset();
      return true;
    case 'S': {
      const auto parameter = wire::read_parameter(body);
      if (!parameter) {
        broke_protocol(tag);
        return false;
      }
      if (relay::remember(reported_, parameter->first, parameter->second)) agreed_ = 0;
      if (!verdict.forward || !tenant_) return true;
      verdict.forward = tenant_->reported(parameter->first, parameter->second);
      (verdict.forward ? dirty_ : reports_due_) = true;
      return true;
    }
    case 't':
      if (verdict.entry.has(Expected::describes)) parameters_ = body;
      return true;
    case 'T':
    case 'n':
      if (verdict.entry.has(Expected::describes))
        learn_shape(body, verdict.entry.has(Expected::ours));
      return true;
    case 'E': {
      if (healed_) return true;
      group_failed_ = true;
      if (resetting_ || discarding_) dirty_ = true;
      resetting_ = discarding_ = false;
      parameters_.clear();
      parameters_told_ = false;
      unnamed = 0;  // it may have been its Parse that failed, or that was skipped
      const auto fields = wire::read_fields(body);
      // Whoever prepares this text from now on must not be given the old statement.
      if (fields.sqlstate == "0A000" && fields.routine == "RevalidateCachedQuery" && tenant_)
        tenant_->schema_changed();
      if (fields.severity == "FATAL" || fields.severity == "PANIC") {
        dying_ = true;
        fatal_told_ = verdict.forward && tenant_;
      }
      if (verdict.quiet_error && check_) {
        drop_check();
      } else if (verdict.quiet_error && survey_) {
        survey_error_ =
            Error(Code::connection, std::string(fields.message)).with_state(fields.sqlstate);
      } else if (verdict.quiet_error && !verdict.entry.has(Expected::inspects) &&
                 !verdict.entry.has(Expected::spells) && !verdict.entry.has(Expected::moves)) {
        quiet_failed_ = true;
        if (tenant_) {
          profile_.reset();
          dirty_ = true;
          tenant_->replay_failed(
              Error(Code::invalid_value, std::string(fields.message)).with_state(fields.sqlstate));
        }
      }
      return true;
    }
    case 'G':
      if (!tenant_ && state_ != State::closing && pipeline_.copying_in()) {
        std::string out;
        wire::write_copy_fail(out, "the client is gone");
        send(out);
        const bool extended = pipeline_.front()->want == Want::execute;
        pipeline_.push_copy_end();
        if (extended && !pipeline_.synced()) send_sync();
      }
      return true;
    default:
      return true;
  }
}

void Server::run_over(const relay::Verdict& verdict) {
  if (watch.run == Time{}) return;
  const Time now = context_.loop.now();
  if (tenant_ && now - watch.run >= watch.slow && !verdict.entry.has(Expected::ours))
    tenant_->was_slow();
  watch.end_run(now, status_ != 'I', !pipeline_.empty());
}

// `columns`: a RowDescription's body, empty for NoData.
void Server::learn_shape(Bytes columns, bool ours) {
  const Described it = std::move(described_.front());
  described_.pop_front();
  const auto shape = relay::shape_of(std::exchange(parameters_, {}), columns);
  prepared_.set_shape(it.statement, shape);
  if (ours) {
    checked_ = true;
  } else if (tenant_) {
    tenant_->described(it.name, it.statement, shape);
  }
}

void Server::completed(Bytes tag, const relay::Verdict& verdict) {
  const Effect effect = relay::effect_of(tag);
  if (effect == Effect::none) return;
  const Expected& entry = verdict.entry;
  const bool ours = entry.has(Expected::ours);
  // A reset may change what the client is promised, and nothing that PostgreSQL reports.
  reports_due_ |=
      !ours && (effect == Effect::set || effect == Effect::reset || effect == Effect::discard_all);
  switch (effect) {
    case Effect::set:
      if (!ours && !entry.has(Expected::mild_set)) dirty_ = true;
      return;
    case Effect::reset:
      if (ours) return;
      if (entry.has(Expected::resets) && entry.want == Want::query) {
        resetting_ = true;
      } else {
        dirty_ = true;
      }
      return;
    case Effect::schema:
      if (!ours && tenant_) tenant_->schema_changed();
      if (!ours && !entry.has(Expected::temporary)) schema_changes(tag);
      return;
    case Effect::dirty:
      if (ours) return;
      dirty_ = true;
      if (tag == "DO" && !entry.has(Expected::temporary)) schema_changes(tag);
      return;
    case Effect::deallocate:  // of a name that is not the client's: maybe one that others share
      if (!ours && !entry.has(Expected::stands_in)) dirty_ = true;
      return;
    case Effect::load:
      spoilt_ = true;
      return;
    case Effect::discard_sequences:
      lose_sequences(entry);
      return;
    case Effect::none:
      return;
    case Effect::discard_all:
      unnamed = 0;
      lose_sequences(entry);
      // What was sent behind it may leave something again.
      if (ours) {
        profile_.reset();
      } else if (pipeline_.size() <= 1) {
        discarding_ = true;
        dirty_ = false;
      } else {
        dirty_ = true;
      }
      [[fallthrough]];
    case Effect::deallocate_all:
      prepared_.forget_all();
      spelled_.clear();
      if (!ours && tenant_) tenant_->lost_all_statements();
      return;
  }
}

// The client has dropped the values of its sequences. What was sent behind it may have taken some
// again.
void Server::lose_sequences(const Expected& entry) {
  if (entry.has(Expected::ours) || entry.has(Expected::sequences)) return;
  if (pipeline_.size() > 1 && !pipeline_.owes_only({Want::close, Want::sync})) return;
  sequences_of = kSeveral;  // maybe not anybody's; then they are dropped once too often
}

void Server::deliver(const char* from, const char* to) {
  if (tenant_ && to > from && !muted_)
    tenant_->deliver(Bytes(from, static_cast<std::size_t>(to - from)));
}

// PostgreSQL reports a value at the end of a group, and only if it is not the one that it reported
// last. So if the client's group has set what the replay had changed back to what it was, nothing
// comes, and the client must be told all the same.
void Server::deliver_news() {
  if (!tenant_) return;
  const std::string news = tenant_->news(reported_);
  if (news.empty()) return;
  dirty_ |= !resetting_ && !discarding_;
  deliver(news.data(), news.data() + news.size());
}

void Server::deliver_invented() {
  if (skip_ > 0) return;  // never inside another message
  while (const char tag = pipeline_.invented(*this)) {
    const char message[5] = {tag, 0, 0, 0, 4};
    deliver(message, message + sizeof message);
  }
}

// A long reply: fewer and larger reads are better from now on, until it ends.
void Server::bulk(std::size_t bytes) {
  in_request_ += bytes;
  if (!bulk_ && in_request_ > kBulkBytes && tenant_ && !pipeline_.empty())
    stream_->expect_bulk(bulk_ = true);
}

void Server::broke_protocol(char tag) {
  const auto text = fmt::format("PostgreSQL sent message 0x{:02x} where it cannot be",
                                static_cast<unsigned char>(tag));
  log(Level::error, pool_.about(), "server {}: {}", pid_, text);
  state_ = State::closing;
  in_idle.unlink();
  lose(Error(Code::protocol, text));
}

// PostgreSQL is through with what was sent up to some Sync, or with everything.
void Server::ready() {
  switch (state_) {
    case State::leased:
      return pipeline_.quiet() ? tenant_->idle(status_) : tenant_->progressed();
    case State::cleaning:
      if (!pipeline_.quiet()) return;
      if (status_ != 'I' || dirty_) return clean();
      return become_idle();
    default:
      return;
  }
}

}  // namespace pgw::server

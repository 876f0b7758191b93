// A client that listens: its own server does that for it while it has to do with channels itself,
// the pool's listening server all the other time.
#include "client/hearing.h"

#include <algorithm>

#include "client/client.h"
#include "client/worker.h"
#include "relay/channels.h"
#include "server/pool.h"
#include "wire/frame.h"
#include "wire/read.h"

namespace pgw::client {

using Source = Hearing::Source;
using server::Pin;

namespace {

constexpr std::size_t kChannelsMost = 1'000;  // of one client; with more it keeps its server
constexpr std::size_t kNoteCost = 2 * sizeof(server::Note);
constexpr std::uint8_t kFailuresMost = 3;  // of one move

constexpr server::Pins without_listen(server::Pins pins) {
  return pins & static_cast<server::Pins>(~(server::Pins{} | Pin::listen));
}

// The listening server gives notifications as the database has them.
bool takes_them_as_they_are(const relay::Settings& reported) {
  const auto* theirs = relay::look_up(reported, "client_encoding");
  const auto* own = relay::look_up(reported, "server_encoding");
  return theirs && own && (*theirs == *own || *theirs == "SQL_ASCII" || *own == "SQL_ASCII");
}

}  // namespace

// --- which server ---

// Takes the channels that its server was found to listen to. Gives the reasons to keep the server,
// with or without LISTEN.
server::Pins Client::heed_channels(const server::Inspection& found) {
  const server::Pins rest = without_listen(found.pins);
  auto channels = found.channels;
  if (!channels.empty()) std::erase(channels, pool_.listening().marker());
  std::ranges::sort(channels);
  if (hearing_ && hearing_->source == Source::shared) {
    if (channels.empty()) return rest;
    // A function has listened, of which the text said nothing.
    std::vector<std::string> all;
    std::ranges::set_union(hearing_->channels, channels, std::back_inserter(all));
    hearing_->channels = std::move(all);
    return rest | Pin::listen;
  }
  if (channels.empty()) {
    hearing_.reset();
    return rest;
  }
  if (!hearing_) hearing_ = std::make_unique<Hearing>();
  hearing_->failures = 0;
  if (hearing_->channels != channels) {
    hearing_->subscription.reset();
    hearing_->channels = std::move(channels);
  }
  return rest | Pin::listen;
}

// LISTEN is the only reason why it keeps its server, and it is idle.
void Client::share_listening() {
  Hearing& h = *hearing_;
  if (h.moving() || leaving() || server_->cancelling() || h.failures >= kFailuresMost) return;
  if (h.source == Source::shared) return h.subscription->ready() ? take_back() : void();
  if (!pool_.may_share_listening() || h.channels.size() > kChannelsMost ||
      !takes_them_as_they_are(server_->reported()))
    return;
  auto& home = pool_.listening();
  server::Hearer& self = *this;
  if (!home.running()) {
    if (ignored_ != 0) return;  // nobody would clean that away
    // It would take the last place from those who do not listen.
    if (!server_->seat.settle_down()) return;
    pin(0);
    server::Server& server = part();
    home.adopt(server, h.channels);
    h.subscription = std::make_unique<server::Subscription>(home, self, h.channels);
    h.subscription->join_now();
    h.source = Source::shared;
    return queue_again();
  }
  if (!h.subscription)
    h.subscription = std::make_unique<server::Subscription>(home, self, h.channels);
  if (!h.subscription->ready()) return;  // may_move() follows
  h.token = home.fresh_token();
  h.source = Source::joining;
  h.subscription->join(h.token, server_->pid());
  server_->set_listening();
  server_->try_query(fmt::format("LISTEN \"{0}\"; NOTIFY \"{0}\", '{1}'", home.marker(), h.token));
}

// Its own server listens for it from now on: in a transaction of its own, before whatever the
// client does there.
void Client::take_back() {
  Hearing& h = *hearing_;
  auto& home = pool_.listening();
  h.token = home.fresh_token();
  h.source = Source::leaving;
  h.seen = h.left = false;
  h.subscription->leave(h.token, server_->pid());
  std::string sql = fmt::format("LISTEN \"{}\"", home.marker());
  for (const auto& channel : h.channels) sql += "; LISTEN " + relay::quoted_channel(channel);
  sql += fmt::format("; NOTIFY \"{}\", '{}'", home.marker(), h.token);
  server_->set_listening();
  server_->try_query(sql);
}

void Client::may_move() {
  if (!server_ || serving_ || !server_->pipeline().quiet()) return;
  if (std::exchange(stalled_, false)) return serve({});
  maybe_release();
}

void Client::left() {
  hearing_->left = true;
  if (server_ && server_->pipeline().quiet()) taken_back();
}

void Client::taken_back() {
  Hearing& h = *hearing_;
  if (!h.seen || !h.left) return;
  h.subscription.reset();
  h.source = Source::own;
  h.failures = 0;
  h.token.clear();
  pin(pins_ | Pin::listen);
  h.limit.reset();
  for (auto& note : std::exchange(h.behind, {})) h.waiting.push_back(std::move(note));
  tell_notes(true);
  server_->try_query(fmt::format("UNLISTEN \"{}\"", pool_.listening().marker()));
  barrier_ = false;
  if (std::exchange(stalled_, false)) serve({});
}

void Client::deaf(const Error& why) {
  Hearing& h = *hearing_;
  if (h.source == Source::own) return h.subscription.reset();
  if (h.source == Source::joining) {  // its own server still listens for it
    h.subscription.reset();
    h.token.clear();
    h.source = Source::own;
    server_->try_query(fmt::format("UNLISTEN \"{}\"", pool_.listening().marker()));
    return;
  }
  h.subscription.reset();
  h.token.clear();
  h.source = Source::none;
  // What has not begun must not, without the channels that it counts on.
  drain(Error(Code::connection, "the server that listened for this client was lost: " + why.what())
            .with_hint("Connect and LISTEN again; what was sent to its channels meanwhile is lost "
                       "to it."),
        Waiting::refuse);
}

// Its server owes nothing, outside of a transaction. False: that was dealt with.
bool Client::hearing_idle() {
  Hearing& h = *hearing_;
  if (h.source == Source::joining) {  // its token has not come: the query was refused
    ++h.failures;
    h.subscription->take_back_token();
    h.token.clear();
    h.source = Source::own;
  } else if (h.source == Source::leaving) {
    if (h.seen) return taken_back(), false;
    h.subscription->take_back_token();
    h.source = Source::shared;
    if (++h.failures < kFailuresMost) return take_back(), false;
    end(Error(Code::connection, "no server could be made to listen for this client"));
    return false;
  }
  tell_notes(false);
  return true;
}

// Whether the group of messages at hand may have to do with channels. What is not all there may.
bool Client::concerns_channels() {
  if (pool_.settings().suspect == "always" || pool_.suspicion().blind()) return true;
  const auto names_them = [&](Bytes text, const relay::Statement* statement) {
    return has(marks_of(text, statement), relay::Mark::channels);
  };
  for (const char* at = at_; at < end_;) {
    const Bytes left(at, static_cast<std::size_t>(end_ - at));
    wire::Header header;
    const auto most = static_cast<std::uint32_t>(worker_.settings().max_message);
    if (wire::peek_header(left, most, header) != wire::Peek::header) return true;
    if (wire::kHeaderBytes + header.body_bytes > left.size()) return true;
    const Bytes body = left.substr(wire::kHeaderBytes, header.body_bytes);
    if (header.tag == 'S') return false;
    if (header.tag == 'F') return true;
    if (header.tag == 'Q') {
      const auto text = wire::read_query(body);
      return !text || relay::concerns_channels(*text) || names_them(*text, nullptr);
    }
    if (header.tag == 'P') {
      const auto parse = wire::read_parse(body);
      if (!parse || relay::concerns_channels(parse->text)) return true;
      if (names_them(parse->text, nullptr)) return true;
    } else if (header.tag == 'B') {
      const auto front = wire::read_bind_front(body);
      if (!front) return true;
      // One that is not known yet was prepared in this group.
      const auto value = names().look(front->statement, server_->group()).value;
      if (value && (relay::concerns_channels(value->statement->text()) ||
                    names_them(value->statement->text(), value->statement.get())))
        return true;
    }
    at += wire::kHeaderBytes + header.body_bytes;
  }
  return true;
}

bool Client::waits_for_listening() const {
  if (!hearing_ || !server_) return false;
  return hearing_->moving() ||
         (stalled_ && hearing_->source == Source::shared && server_->pipeline().quiet());
}

Client::Step Client::wait_for_listening() {
  if (!hearing_->limit) {
    hearing_->limit = std::make_unique<net::Timer>(
        [](void* self) { static_cast<Client*>(self)->listening_overdue(); }, this);
    worker_.loop().arm(*hearing_->limit, pool_.settings().pool_timeout);
  }
  return wait_for_replies(true);
}

// One of the two servers does not answer. If it is the listening one, it hears for nobody.
void Client::listening_overdue() {
  const Error why =
      Error(Code::connection, fmt::format("PostgreSQL did not answer a LISTEN within {} ms",
                                          pool_.settings().pool_timeout.count() / 1000))
          .with_hint("The limit is pool_timeout.");
  if (server_ && server_->pipeline().quiet()) return pool_.listening().end(why);
  end(why);
}

// --- what it hears ---

// From its own server. Its own notifications have its server's process id, and it knows another as
// its own.
void Client::notified(std::uint32_t pid, const wire::Notification& note, Bytes message) {
  const auto tell = [&] {
    if (note.pid != pid) return deliver(message);
    std::string own(message);
    put_u32(own.data() + wire::kHeaderBytes, pid_);
    deliver(own);
  };
  if (!hearing_) return tell();
  Hearing& h = *hearing_;
  if (note.channel == pool_.listening().marker()) {
    if (note.pid != pid || h.token.empty() || note.payload != h.token) return;
    if (h.source == Source::leaving) h.seen = true;
    if (h.source != Source::joining) return;
    h.source = Source::shared;
    h.token.clear();
    pin(without_listen(pins_));
    return;
  }
  if (h.source == Source::none) return;
  const bool shared = h.source == Source::shared || h.source == Source::leaving;
  if (!shared) return tell();
  if (h.source == Source::leaving && h.seen) {
    h.behind.push_back(std::make_shared<const std::string>(message));
    h.bytes += message.size() + kNoteCost;
    if (h.bytes > pool_.settings().listen_queue_bytes) too_slow();
  } else if (!h.subscription->has(note.channel)) {
    tell();
  }
}

// From the listening server.
bool Client::hear(const server::Note& note) {
  Hearing& h = *hearing_;
  h.waiting.push_back(note);
  h.bytes += note->size() + kNoteCost;
  tell_notes(false);
  return h.bytes + stream_->queued() <= pool_.settings().listen_queue_bytes;
}

void Client::too_slow() {
  end(Error(Code::too_large,
            fmt::format("{} bytes of notifications and replies wait for this client, and the limit "
                        "is {} bytes",
                        hearing_->bytes + stream_->queued(), pool_.settings().listen_queue_bytes))
          .with_hint("It does not read them, or its transaction takes long. The limit is "
                     "listen_queue_bytes."));
}

// Sends what waits, if it is idle: between transactions, as PostgreSQL does. `all`: however much it
// has not read.
void Client::tell_notes(bool all) {
  Hearing& h = *hearing_;
  if (h.waiting.empty() || phase_ != Phase::serving) return;
  if (server_ &&
      (!server_->pipeline().quiet() || server_->status() != 'I' || server_->amid_message()))
    return;
  std::size_t sent = 0;
  for (; sent < h.waiting.size(); ++sent) {
    if (!all && stream_->queued() >= net::Stream::kHighWater) break;
    const auto& note = h.waiting[sent];
    stream_->send(*note);
    h.bytes -= std::min(h.bytes, note->size() + kNoteCost);
  }
  h.waiting.erase(h.waiting.begin(), h.waiting.begin() + static_cast<std::ptrdiff_t>(sent));
  if (h.waiting.empty()) h.waiting.shrink_to_fit();
}

}  // namespace pgw::client

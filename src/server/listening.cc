#include "server/listening.h"

#include <algorithm>

#include "base/check.h"
#include "relay/channels.h"
#include "server/pool.h"

namespace pgw::server {

namespace {
constexpr Duration kSweepAfter = 2s;  // most who leave come back at once
constexpr std::size_t kAskAtOnce = 500;
constexpr unsigned kFailuresMost = 5;

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}
}  // namespace

// --- Subscription ---

Subscription::Subscription(Listening& home, Hearer& hearer,
                           const std::vector<std::string>& channels)
    : home_(home), hearer_(hearer) {
  home_.subscriptions_.insert(this);
  home_.resting_ = false;
  seats_.reserve(channels.size());
  for (const auto& name : channels) {
    auto& channel = home_.want(name);
    channel.members.push_back({this, seats_.size()});
    seats_.push_back({&home_.channels_.find(name)->first, channel.members.size() - 1});
  }
  home_.work();
}

Subscription::~Subscription() {
  while (!tokens_.empty()) take_back_token();
  home_.subscriptions_.erase(this);
  home_.awaiting_.erase(this);
  for (const Seat& seat : seats_) {
    auto& members = home_.channels_.find(*seat.channel)->second.members;
    members[seat.index] = members.back();
    members[seat.index].who->seats_[members[seat.index].seat].index = seat.index;
    members.pop_back();
  }
  home_.sweep_later();
}

bool Subscription::ready() {
  const auto heard = [&](const std::string& name) {
    const auto at = home_.channels_.find(name);
    return at != home_.channels_.end() && at->second.state == Listening::State::heard;
  };
  const bool all =
      home_.running() && heard(home_.marker_) &&
      std::ranges::all_of(seats_, [&](const Seat& seat) { return heard(*seat.channel); });
  if (!all) home_.awaiting_.insert(this);
  return all;
}

bool Subscription::has(Bytes channel) const {
  return std::ranges::any_of(seats_, [&](const Seat& seat) { return *seat.channel == channel; });
}

void Subscription::join(std::string_view token, std::uint32_t pid) {
  tokens_.emplace_back(token);
  home_.tokens_[tokens_.back()] = {this, pid, false};
}

void Subscription::leave(std::string_view token, std::uint32_t pid) {
  join(token, pid);
  home_.tokens_[tokens_.back()].leaves = true;
}

void Subscription::take_back_token() {
  home_.tokens_.erase(tokens_.back());
  tokens_.pop_back();
}

// --- Listening ---

Listening::Listening(Context& context, Pool& pool)
    : context_(context),
      pool_(pool),
      marker_("pgweir_" + hex(context.random.bytes(8))),
      sweep_timer_([](void* self) { static_cast<Listening*>(self)->sweep(); }, this) {}

Listening::~Listening() = default;

About Listening::about() const { return pool_.about(); }

bool Listening::may_stay() const { return !server_ || server_->seat.may_stay(); }

std::string Listening::fresh_token() const { return hex(context_.random.bytes(12)); }

// Its settings are a client's: they go back to what every session begins with. The encoding is the
// database's own, whatever its or the role's default is: so nothing is converted.
void Listening::adopt(Server& server, const std::vector<std::string>& channels) {
  PGW_ASSERT(!server_);
  log(Level::info, about(), "server {} listens for the clients of this pool", server.pid());
  failures_ = 0;
  failed_ = resting_ = false;
  server_ = &server;
  server.pass_to(*this);
  for (const auto& name : channels) channels_[name].state = State::heard;
  want(marker_);
  relay::Settings settings;
  if (const auto* own = relay::look_up(server.reported(), "server_encoding"))
    settings.emplace_back("client_encoding", *own);
  server.prepare(pool_.profile(std::move(settings)), false);
  server.end_replay();
  restoring_ = !server.pipeline().quiet();
  work();
}

Listening::Channel& Listening::want(const std::string& name) {
  const auto [at, fresh] = channels_.try_emplace(name);
  if (fresh) wanted_.push_back(name);
  return at->second;
}

void Listening::work() {
  if (!server_ || !server_->pipeline().quiet()) return;
  if (resting_) return rest();
  if (wanted_.empty()) return;
  std::string sql;
  const std::size_t n = std::min(wanted_.size(), kAskAtOnce);
  for (std::size_t i = 0; i < n; ++i) {
    channels_[wanted_[i]].state = State::asked;
    if (i > 0) sql += "; ";
    sql += "LISTEN " + relay::quoted_channel(wanted_[i]);
  }
  asked_.assign(std::make_move_iterator(wanted_.begin()),
                std::make_move_iterator(wanted_.begin() + static_cast<std::ptrdiff_t>(n)));
  wanted_.erase(wanted_.begin(), wanted_.begin() + static_cast<std::ptrdiff_t>(n));
  server_->query(sql);
}

void Listening::replay_failed(const Error& why) {
  failed_ = true;
  why_ = why.what();
}

void Listening::idle(char) {
  const bool restoring = std::exchange(restoring_, false);
  if (std::exchange(failed_, false)) {
    if (restoring || ++failures_ >= kFailuresMost)
      return end(Error(Code::connection, fmt::format("it cannot listen: {}", why_)));
    for (auto& name : std::exchange(asked_, {})) {
      channels_[name].state = State::wanted;
      wanted_.push_back(std::move(name));
    }
    return work();
  }
  failures_ = 0;
  if (!asked_.empty()) {
    for (const auto& name : std::exchange(asked_, {})) channels_[name].state = State::heard;
    const std::vector<Subscription*> all(awaiting_.begin(), awaiting_.end());
    for (Subscription* one : all)
      if (awaiting_.erase(one) > 0 && one->ready()) one->hearer_.may_move();
    sweep_later();
  }
  work();
}

void Listening::notified(std::uint32_t, const wire::Notification& note, Bytes message) {
  if (note.channel == marker_) return token_seen(note.pid, note.payload);
  const auto at = channels_.find(note.channel);
  if (at == channels_.end() || at->second.members.empty()) return;
  const auto shared = std::make_shared<const std::string>(message);
  std::vector<Subscription*> slow;
  for (const Member& member : at->second.members)
    if (member.who->hears_ && !member.who->hearer_.hear(shared)) slow.push_back(member.who);
  for (Subscription* one : slow)
    if (subscriptions_.contains(one)) one->hearer_.too_slow();
}

// Only the server that was to send it may have: a client could have made one up.
void Listening::token_seen(std::uint32_t pid, Bytes token) {
  const auto at = tokens_.find(token);
  if (at == tokens_.end() || at->second.pid != pid) return;
  const Token found = at->second;
  std::erase(found.who->tokens_, at->first);
  tokens_.erase(at);
  found.who->hears_ = !found.leaves;
  if (found.leaves) found.who->hearer_.left();
}

void Listening::lost(const Error& why, bool) {
  server_ = nullptr;
  all_deaf(why);
}

void Listening::end(const Error& why) {
  if (Server* server = std::exchange(server_, nullptr)) {
    server->seat.move_on();
    if (server->pipeline().quiet()) {
      server->give_back(true);
    } else {
      server->abandon(false, true);
    }
  }
  all_deaf(why);
}

void Listening::all_deaf(const Error& why) {
  sweep_timer_.disarm();
  const std::vector<Subscription*> all(subscriptions_.begin(), subscriptions_.end());
  if (!all.empty())
    log(Level::warning, about(), "the listening server was lost, with {} clients: {}", all.size(),
        why.what());
  for (Subscription* one : all)
    if (subscriptions_.contains(one)) one->hearer_.deaf(why);
  PGW_ASSERT(subscriptions_.empty());
  tokens_.clear();
  channels_.clear();
  wanted_.clear();
  asked_.clear();
}

void Listening::rest() {
  if (!server_ || !subscriptions_.empty()) return;
  resting_ = !server_->pipeline().quiet();
  if (resting_) return;
  sweep_timer_.disarm();
  tokens_.clear();
  channels_.clear();
  wanted_.clear();
  asked_.clear();
  Server* const server = std::exchange(server_, nullptr);
  server->seat.move_on();
  server->give_back(true);
}

void Listening::sweep_later() {
  if (server_ && !sweep_timer_.armed()) context_.loop.arm(sweep_timer_, kSweepAfter);
}

// Channels that nobody has any more.
void Listening::sweep() {
  if (!server_) return;
  if (subscriptions_.empty()) return rest();
  if (!server_->pipeline().quiet()) return sweep_later();
  std::string sql;
  std::size_t n = 0;
  std::erase_if(channels_, [&](const auto& one) {
    const auto& [name, channel] = one;
    if (!channel.members.empty() || channel.state != State::heard || name == marker_) return false;
    if (++n > kAskAtOnce) return false;
    if (n > 1) sql += "; ";
    sql += "UNLISTEN " + relay::quoted_channel(name);
    return true;
  });
  if (n > kAskAtOnce) sweep_later();
  if (!sql.empty()) server_->query(sql);
}

}  // namespace pgw::server

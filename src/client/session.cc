// What a client has set and left in its session, and how it stays the client's: settings go with it
// from server to server, anything else keeps its server.
#include <algorithm>

#include "client/client.h"
#include "server/pool.h"
#include "wire/read.h"
#include "wire/write.h"

namespace pgw::client {

using relay::Expected;

namespace {
constexpr std::size_t kNamedMost = 200;  // as many as a pool knows
constexpr std::size_t kUnreadMost = 32 * 1024;
constexpr std::size_t kCallsMost = 100;
}  // namespace

// What its servers report is not what it was told at its login, or when it last had one.
void Client::tell_changes() {
  if (told_ == profile_->version) return;
  std::string out;
  for (const auto& [name, value] : profile_->since(std::exchange(told_, profile_->version)))
    wire::write_parameter(out, name, value);
  stream_->send(out);
}

// Settings go with the client; anything else it can have on this server only.
void Client::inspected(const server::Inspection* found) {
  if (!found) {
    if (unanswered_ < 255) ++unanswered_;
    return hold(static_cast<Pins>(pins_ | ignored_ | static_cast<Pins>(Pin::unknown)));
  }
  unanswered_ = 0;
  if (mode_ == config::Mode::session) return;
  heed_late();
  // PostgreSQL does not list a custom setting whose name is not known: only what sets all settings
  // back is sure to take it away.
  if (found->cleared) sticky_ = without(sticky_, Pins{} | Pin::setting);
  if (server_->sequences_of != serial()) sticky_ = without(sticky_, Pins{} | Pin::sequence);
  relay::Settings now = found->settings;
  // What is ignored goes when the server is cleaned, and must not be replayed in a wrong encoding.
  if (has(found->pins & policies_.ignore, Pin::setting)) std::erase_if(now, server::beyond_ascii);
  // An empty custom setting may be what somebody else has left: PostgreSQL cannot forget the name.
  std::erase_if(now, [&](const auto& one) {
    return one.second.empty() && one.first.contains('.') &&
           !relay::look_up(profile_->settings, one.first) &&
           !(rare_ && rare_->named.contains(one.first));
  });
  std::erase_if(now, [&](const auto& one) {
    return resets_ && resets_->include(one.first) &&
           std::ranges::find(found->maybe_reset, one.first) != found->maybe_reset.end();
  });
  if (rare_) rare_->named.clear();
  // What was reset goes back to what the client has asked for at its start.
  for (const auto& [name, value] : start_profile().settings)
    if (!relay::look_up(now, name)) relay::put(now, name, value);
  if (now != profile_->settings) adopt(now, server_->reported());
  resets_.reset();
  tell_drift();
  for (const auto& name : found->lost_statements) names().lose(name);
  if (!found->settings_only) {
    if (rare_) rare_->sql_statements.clear();
    if (!found->sql_statements.empty()) rare().sql_statements = found->sql_statements;
  }
  const Pins before = without(static_cast<Pins>(pins_ | ignored_), Pins{} | Pin::setting);
  const bool deaf = has(policies_.ignore, Pin::listen);
  const Pins now_there = found->settings_only ? before : deaf ? found->pins : heed_channels(*found);
  hold(static_cast<Pins>(now_there | sticky_));
}

void Client::adopt(const relay::Settings& settings, const relay::Settings& reported) {
  if (told_ != 0 || !drift_)
    tell_changes();  // else what it was not told yet would be taken for told
  relay::Settings told = profile_->reported;
  if (drift_) {
    for (const auto& [name, value] : *drift_) relay::remember(told, name, value);
  }
  if (!start_) start_ = std::make_unique<relay::ProfilePtr>(profile_);
  profile_ = pool_.profile(settings);
  if (profile_ == *start_) start_.reset();
  if (!profile_->known && !server_->needs_prepare(profile_)) profile_->learn(reported);
  told_ = profile_->version;
  drift_ =
      told == profile_->reported ? nullptr : std::make_unique<relay::Settings>(std::move(told));
}

bool Client::Resets::include(const std::string& name) const {
  const auto has = [&](const std::string& one) {
    return std::ranges::find(names, one) != names.end();
  };
  return (has("*") || has(name)) && !has('!' + name);
}

void Client::restart_settings() {
  relay::Settings wanted;
  for (const auto& one : start_profile().settings)
    if (resets_->include(one.first)) wanted.push_back(one);
  server_->refill(wanted);
  resets_->due = false;
}

void Client::tell_drift() {
  if (!drift_ || !profile_->known) return;
  told_ = profile_->version;
  std::string out;
  for (const auto& [name, value] : *drift_) {
    const auto* own = relay::look_up(profile_->reported, name);
    if (own && *own != value) wire::write_parameter(out, name, *own);
  }
  drift_.reset();
  stream_->send(out);
}

bool Client::reported(Bytes name, Bytes value) {
  if (mode_ == config::Mode::session) return true;
  // The server's own value, which will not last: news() tells what the client has asked for.
  if (put_back(name, value, server_->answered())) return false;
  return differs(name, value);
}

// Whether this is the server's own value, because the client has reset a setting that it had asked
// for at its start; and the value that it has asked for, as PostgreSQL reports it.
const std::string* Client::put_back(Bytes name, Bytes value, std::uint32_t group) const {
  if (!resets_ || static_cast<std::int32_t>(group - resets_->group) < 0) return nullptr;
  if (!server_->initially(name, value)) return nullptr;
  const std::string key = lowered(name);
  if (!relay::look_up(start_profile().settings, key) || !resets_->include(key)) return nullptr;
  // An error or ROLLBACK may have undone a reset. Then the value is the client's own if it has set
  // it to just that; the inspection, or refill(), will tell.
  if (group != resets_->last_group || server_->group_failed()) {
    const auto* before = relay::look_up(profile_->reported, name);
    if ((before && *before == value) || knows(name, value) || resets_->sets.contains(key))
      return nullptr;
  }
  return relay::look_up(start_profile().reported, name);
}

bool Client::knows(Bytes name, Bytes value) const {
  const std::string* told = drift_ ? relay::look_up(*drift_, name) : nullptr;
  if (!told) told = relay::look_up(profile_->reported, name);
  return told && *told == value;
}

// The client believes the value to be another; it is told now.
bool Client::differs(Bytes name, Bytes value) {
  if (knows(name, value)) return false;
  if (!drift_) drift_ = std::make_unique<relay::Settings>();
  relay::remember(*drift_, name, value);
  return true;
}

std::string Client::news(const relay::Settings& now) {
  std::string out;
  if (mode_ == config::Mode::session) return out;
  if (!drift_ && !resets_ && now == profile_->reported) return out;
  for (const auto& [name, value] : now) {
    const std::string* own = put_back(name, value, server_->answered() - 1);
    const std::string& mine = own ? *own : value;
    if (differs(name, mine)) wire::write_parameter(out, name, mine);
  }
  return out;
}

// What the session holds may be of clients before: it is dropped. In a transaction that has begun
// already its own goes with it; that happens once, because from then on every client of the pool
// begins its lease without.
void Client::claim_sequences() {
  pool_.uses_sequences = true;
  if (server_->sequences_of == serial() || server_->status() == 'E') return;
  const bool first = server_->pipeline().quiet();
  cut();
  server_->discard_sequences();
  if (first) server_->sequences_of = serial();
}

// Only what the client has asked for at its start is of interest: so there are never many.
void Client::note_reset(const std::string& name) {
  const bool set = name[0] == '!';
  const auto& start = start_profile().settings;
  if (start.empty() || (name != "*" && !relay::look_up(start, set ? name.substr(1) : name))) return;
  if (!resets_ || (!set && resets_->over)) resets_ = std::make_unique<Resets>();
  auto& names = resets_->names;
  if (!set) {
    resets_->last_group = server_->group();
    if (!std::exchange(resets_->any, true)) resets_->group = resets_->last_group;
  }
  if (set) resets_->sets.insert(name.substr(1));
  if (name == "*") names.clear();
  std::erase(names, set ? name.substr(1) : '!' + name);
  if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  if (!set) resets_->due = barrier_ = true;
}

relay::Marks Client::marks_of(Bytes text, const relay::Statement* statement) const {
  const auto* names = mode_ == config::Mode::session ? nullptr : pool_.suspicion().names();
  if (!names) return 0;
  return statement ? statement->marks(*names) : names->marks_in(text);
}

// What the text names may leave something, though the text does not say so. False: not before
// replies have come.
bool Client::heed_names(Bytes text, relay::Marks marks) {
  using relay::Mark;
  if (mode_ == config::Mode::session) return true;
  const auto& suspicion = pool_.suspicion();
  if (suspicion.unjudged()) {
    auto& texts = put_off().texts;
    texts.append(text.substr(0, kUnreadMost)).append(1, ' ');
    rare_->unread->too_much |= texts.size() > kUnreadMost;
  }
  if (marks == 0) return true;
  if (has(marks, Mark::sequences)) {
    if (server_->pipeline().groups() > 0) return false;
    claim_sequences();
  }
  if (has(marks, Mark::leaves) || (has(marks, Mark::frees) && may_be_pinned()))
    server_->make_dirty();
  altered_ |= has(marks, Mark::alters);
  heed_marks(marks);
  return true;
}

void Client::heed_marks(relay::Marks marks) {
  using relay::Mark;
  const auto& suspicion = pool_.suspicion();
  const bool leaves = has(marks, Mark::leaves);
  if (has(marks, Mark::indelible)) {
    server_->spoil();
    sticky_ |= server::Pin::indelible;
  }
  if (has(marks, Mark::opaque) || (leaves && suspicion.opaque())) sticky_ |= server::Pin::setting;
  if (!leaves) return;
  for (const auto& name : suspicion.names()->custom) {
    note_named(name);
  }
}

void Client::note_named(const std::string& setting) {
  auto& named = rare().named;
  if (named.size() < kNamedMost) named.insert(setting);
}

void Client::heed_call(std::uint32_t function) {
  const auto& suspicion = pool_.suspicion();
  if (suspicion.unjudged()) {
    auto& calls = put_off().calls;
    calls.push_back(function);
    rare_->unread->too_much |= calls.size() > kCallsMost;
  }
  if (const auto* names = suspicion.names()) heed_marks(names->marks_of(function));
}

// Room for one more.
Client::Unread& Client::put_off() {
  auto& unread = rare().unread;
  if (!unread) unread = std::make_unique<Unread>();
  if (unread->too_much) *unread = {.texts = {}, .calls = {}, .too_much = true};
  return *unread;
}

void Client::heed_late() {
  const auto unread = rare_ ? std::move(rare_->unread) : nullptr;
  const auto* names = pool_.suspicion().names();
  if (!unread || !names) return;
  relay::Marks marks = unread->too_much ? names->all() : names->marks_in(unread->texts);
  for (const auto oid : unread->calls) marks |= names->marks_of(oid);
  heed_marks(marks);
}

std::uint16_t Client::heed(const sql::Analysis& found) {
  std::uint16_t flags = found.sets ? 0 : Expected::mild_set;
  const bool keeps_sequences = has(without(found.shows, policies_.ignore), Pin::sequence);
  if ((found.reads_sequences || keeps_sequences) && mode_ == config::Mode::transaction)
    claim_sequences();
  if (keeps_sequences) {
    sticky_ |= Pin::sequence;
    flags |= Expected::sequences;
  }
  if (found.indelible) {
    server_->spoil();
    sticky_ |= server::Pin::indelible;
  }
  if (found.opaque) sticky_ |= server::Pin::setting;
  if (found.leaves || (found.frees && may_be_pinned())) server_->make_dirty();
  for (const auto& name : found.custom) {
    if (!pool_.know_setting(name)) sticky_ |= server::Pin::setting;
    note_named(name);
  }
  if (found.undoes && resets_) {
    std::erase_if(resets_->names, [](const auto& name) { return name[0] == '!'; });
    resets_->due = true;
    resets_->over |= found.undoes_all;
  }
  for (const auto& name : found.resets) {
    note_reset(name);
    if (name == "!statement_timeout" || name == "!transaction_timeout") server_->be_patient();
  }
  if (found.temporary) flags |= Expected::temporary;
  return flags;
}

}  // namespace pgw::client

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
  if (!found) return hold(static_cast<Pins>(pins_ | ignored_ | static_cast<Pins>(Pin::unknown)));
  if (mode_ == config::Mode::session) return;
  heed_late();
  // What sets all settings back takes those with it whose names were not known.
  if (found->all_reset) sticky_ = without(sticky_, Pins{} | Pin::setting);
  if (server_->sequences_of != serial()) sticky_ = without(sticky_, Pins{} | Pin::sequence);
  relay::Settings now = found->settings;
  // What is ignored goes when the server is cleaned, and must not be replayed in a wrong encoding.
  if (has(found->pins & policies_.ignore, Pin::setting)) std::erase_if(now, server::beyond_ascii);
  // An empty custom setting may be what somebody else has left: PostgreSQL cannot forget the name.
  std::erase_if(now, [&](const auto& one) {
    return one.second.empty() && one.first.contains('.') &&
           !relay::look_up(profile_->settings, one.first) &&
           !(named_ && named_->contains(one.first));
  });
  named_.reset();
  // What was reset goes back to what the client has asked for at its start.
  for (const auto& [name, value] : start_profile().settings)
    if (!relay::look_up(now, name)) relay::put(now, name, value);
  if (now != profile_->settings) adopt(now, server_->reported());
  tell_drift();  // as PostgreSQL does, before it says that it is ready
  for (const auto& name : found->lost_statements) names().lose(name);
  if (!found->settings_only) {
    sql_statements_.reset();
    if (!found->sql_statements.empty())
      sql_statements_ = std::make_unique<std::set<std::string, std::less<>>>(found->sql_statements);
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

void Client::restart_settings() {
  const auto resets = std::exchange(resets_, nullptr);
  if (server_->errors != resets->errors) return;  // maybe it was not done, or undone
  // Outside of a transaction, in transaction mode, inspected() sees to it.
  const bool session = mode_ == config::Mode::session;
  if (server_->status() == 'E' || (server_->status() == 'I' && !session)) return;
  relay::Settings wanted;
  for (const auto& one : start_profile().settings) {
    const bool meant = std::ranges::any_of(
        resets->names, [&](const auto& name) { return name == "*" || name == one.first; });
    const bool kept = std::ranges::find(resets->names, '!' + one.first) != resets->names.end();
    if (meant && !kept) wanted.push_back(one);
  }
  const std::string sql = relay::change({}, wanted);
  if (sql.empty()) return;
  if (session) {
    server_->reset_to(sql);
  } else {
    server_->query(sql);
  }
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
  // The server's own value, which will not last: what the client has asked for comes instead.
  if (resets_ && relay::look_up(start_profile().settings, lowered(name)) &&
      server_->initially(name, value))
    return false;
  const std::string* told = drift_ ? relay::look_up(*drift_, name) : nullptr;
  if (!told) told = relay::look_up(profile_->reported, name);
  if (told && *told == value) return false;
  if (!drift_) drift_ = std::make_unique<relay::Settings>();
  relay::remember(*drift_, name, value);
  return true;
}

std::string Client::news(const relay::Settings& now) {
  std::string out;
  if (!drift_ && now == profile_->reported) return out;
  for (const auto& [name, value] : now)
    if (reported(name, value)) wire::write_parameter(out, name, value);
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
  if (set && !resets_) return;
  const auto& start = start_profile().settings;
  if (start.empty() || (name != "*" && !relay::look_up(start, set ? name.substr(1) : name))) return;
  if (!resets_) {
    resets_ = std::make_unique<Resets>();
    resets_->errors = server_->errors;
  }
  if (name == "*") resets_->names.clear();
  std::erase(resets_->names, set ? name.substr(1) : '!' + name);
  if (std::ranges::find(resets_->names, name) == resets_->names.end())
    resets_->names.push_back(name);
  barrier_ = true;
}

// What the text names may leave something, though the text does not say so. False: not before
// replies have come.
bool Client::heed_names(Bytes text, const relay::Statement* statement) {
  using relay::Mark;
  if (mode_ == config::Mode::session) return true;
  const auto& suspicion = pool_.suspicion();
  if (suspicion.unjudged()) {
    auto& texts = put_off().texts;
    texts.append(text.substr(0, kUnreadMost)).append(1, ' ');
    unread_->too_much |= texts.size() > kUnreadMost;
  }
  const auto* names = suspicion.names();
  if (!names) return true;
  const relay::Marks marks = statement ? statement->marks(*names) : names->marks_in(text);
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
    if (!named_) named_ = std::make_unique<std::set<std::string>>();
    if (named_->size() < kNamedMost) named_->insert(name);
  }
}

// A function call message: it begins with the function's oid.
void Client::heed_call(Bytes function_call) {
  server_->make_dirty();
  if (mode_ == config::Mode::session) return;
  const auto oid = wire::Reader(function_call).u32();
  const auto& suspicion = pool_.suspicion();
  if (suspicion.unjudged()) {
    auto& calls = put_off().calls;
    calls.push_back(oid);
    unread_->too_much |= calls.size() > kCallsMost;
  }
  if (const auto* names = suspicion.names()) heed_marks(names->marks_of(oid));
}

// Room for one more.
Client::Unread& Client::put_off() {
  if (!unread_) unread_ = std::make_unique<Unread>();
  if (unread_->too_much) *unread_ = {.texts = {}, .calls = {}, .too_much = true};
  return *unread_;
}

void Client::heed_late() {
  const auto unread = std::move(unread_);
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
    if (!named_) named_ = std::make_unique<std::set<std::string>>();
    if (named_->size() < kNamedMost) named_->insert(name);
  }
  for (const auto& name : found.resets) note_reset(name);
  if (found.temporary) flags |= Expected::temporary;
  return flags;
}

}  // namespace pgw::client

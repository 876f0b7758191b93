// What a session of PostgreSQL holds for its client: the settings that it is given, and what it is
// found to hold.
#include <algorithm>

#include "base/check.h"
#include "server/pool.h"
#include "server/server.h"
#include "wire/write.h"

namespace pgw::server {

using relay::Expected;
using relay::Want;

namespace {

constexpr std::uint16_t kQuiet = Expected::ours | Expected::quiet;
// Settings that are set together, also those that are as they should be: then the messages are the
// same for whichever client was there before.
constexpr std::size_t kAllAtOnce = 8;

// The messages for lead_with().
std::string leading(std::string_view sql) {
  std::string out;
  for (const std::string_view text : {std::string_view("BEGIN ISOLATION LEVEL READ COMMITTED"), sql,
                                      std::string_view("COMMIT")}) {
    wire::write_parse(out, {}, text, Bytes("\0\0", 2));
    wire::write_bind_front(out, {}, {}, 6);
    out.append(6, '\0');
    wire::write_execute(out, {});
  }
  return out;
}

}  // namespace

bool Server::prepare(const relay::ProfilePtr& profile, bool session) {
  PGW_ASSERT(pipeline_.quiet() && status_ == 'I');
  bool wait = false;
  session_ = session;
  replayed = false;
  if (session) {
    if (prepared_.count() > 0) query("DEALLOCATE ALL");
  } else {
    if (std::exchange(shed_, false)) close_statements(prepared_.unused());
    if (prepared_.settled() && prepared_.count() > pool_.settings().server_statements)
      close_statements(prepared_.oldest(prepared_.count() - pool_.settings().server_statements));
  }
  static const relay::Settings kNone;
  const auto& from = profile_ ? profile_->settings : kNone;
  // Its reports may be others than those of the servers before: ALTER ROLE, a standby that was
  // promoted, an upgrade.
  const bool same = profile_ == profile && agreed_ == profile->version;
  const bool unknown = !same && !(profile->known && relay::agrees(profile->reported, reported_,
                                                                  from, profile->settings));
  if (profile_ != profile) {
    wait = session || !profile->safe || unknown || (profile_ && profile_->short_of_time);
    const bool all = !wait && !from.empty() && from.size() <= kAllAtOnce &&
                     relay::same_names(from, profile->settings);
    const std::string sql = all ? std::string() : relay::change(from, profile->settings);
    wait &= !sql.empty();
    agreed_ = 0;
    profile_ = profile;
    replayed = !sql.empty();
    if (session && wait) {
      run_apart(sql);
    } else if (wait) {
      query(sql);
    } else if (all) {
      if (profile->lead.empty()) profile->lead = leading(relay::change({}, profile->settings));
      lead_with(profile->lead);
    } else if (!sql.empty()) {
      lead_with(leading(sql));
    }
    if (wait && unknown) learning_ = profile;
  }
  if (unknown && !learning_) learn_reported();
  return wait;
}

// What it reports now is what profile_ brings about.
void Server::learn_reported() {
  profile_->learn(reported_);
  agreed_ = profile_->version;
}

// The same as query(), for a session in which the client may have an unnamed statement or portal,
// which a simple query would drop.
void Server::run_apart(std::string_view sql) {
  static constexpr std::string_view kName = "pgweir_settings";
  std::string out;
  wire::write_parse(out, kName, sql, Bytes("\0\0", 2));
  wire::write_bind_front(out, kName, kName, 6);
  out.append(6, '\0');
  wire::write_execute(out, kName);
  wire::write_close(out, 'P', kName);
  wire::write_close(out, 'S', kName);
  wire::write_sync(out);
  send(out);
  for (const Want want :
       {Want::parse, Want::bind, Want::execute, Want::close, Want::close, Want::sync})
    expect({.want = want, .flags = kQuiet});
}

void Server::refill(const relay::Settings& wanted) {
  if (wanted.empty()) return;
  run_apart(relay::refill(wanted));
  reports_due_ = !session_;
}

// Without a Sync: if any of it fails, PostgreSQL skips all that follows, a simple query too, up to
// the client's Sync. In a block of its own, so that it stays when the client's group fails: COMMIT
// ends the transaction at once, and what follows begins as if nothing had been before. The
// isolation level is given because the other client's default may be one that waits.
void Server::lead_with(Bytes messages) {
  send(messages);
  unnamed = 0;
  replaying_ = reports_due_ = true;
  for (int i = 0; i < 3; ++i)
    for (const Want want : {Want::parse, Want::bind, Want::execute})
      expect({.want = want, .flags = kQuiet});
}

bool Server::replaying() {
  const auto* front = pipeline_.front();
  replaying_ = replaying_ && front && front->has(Expected::quiet);
  return replaying_;
}

bool Server::end_replay() {
  if (!replaying() || pipeline_.synced() || !pipeline_.back()->has(Expected::quiet)) return false;
  std::string out;
  wire::write_sync(out);
  send(out);
  expect({.want = Want::sync, .flags = kQuiet});
  return true;
}

void Server::inspect() {
  if (defers_inspection()) return;
  dirty_ = false;
  std::vector<relay::Statement*> tainted;
  for (const auto& one : tainted_) {
    if (prepared_.has(one, pipeline_.group()) == Prepared::Has::yes) tainted.push_back(one.get());
  }
  close_statements(tainted);
  tainted_.clear();
  inspection_ = std::make_unique<Inspection>();
  std::string out;
  wire::write_query(out, inspection_query(pool_.custom_settings(), !spelled_.empty()));
  unnamed = 0;
  expect({.want = Want::query, .flags = kQuiet | Expected::inspects});
  for (const auto& [name, spelling] : spelled_) {
    if (spelling.made) inspection_->lost_statements.insert(name);  // until it is found
  }
  send(out);
}

// What is not lost is still there for nobody but this client, which has it elsewhere, too.
void Server::unspell(const Inspection& found) {
  std::string out;
  for (const auto& [name, spelling] : std::exchange(spelled_, {})) {
    if (!spelling.made || found.lost_statements.contains(name)) continue;
    wire::write_close(out, 'S', name);
    expect({.want = Want::close, .flags = kQuiet});
  }
  if (out.empty()) return;
  wire::write_sync(out);
  send(out);
  expect({.want = Want::sync, .flags = kQuiet});
}

// DISCARD ALL, or RESET ALL: what is there now is known without asking.
void Server::emptied() {
  const bool all = std::exchange(discarding_, false);
  resetting_ = false;
  if (session_) {
    if (status_ == 'I') profile_.reset();
    return;
  }
  static const relay::Settings kNone;
  const auto& settings = profile_ ? profile_->settings : kNone;
  // RESET ALL leaves who the client is.
  if (status_ != 'I' || dirty_ || !tenant_ ||
      (!all &&
       (relay::look_up(settings, "role") || relay::look_up(settings, "session_authorization")))) {
    dirty_ = true;
    return;
  }
  profile_.reset();
  Inspection nothing;
  nothing.cleared = true;
  nothing.settings_only = !all;
  tenant_->inspected(&nothing);
}

void Server::inspected(bool failed) {
  const auto found = std::move(inspection_);
  if (!found || !tenant_) return;
  if (failed) return tenant_->inspected(nullptr);
  if (!spelled_.empty()) unspell(*found);
  // Values come in the client's encoding and are replayed in the database's.
  const auto* theirs = relay::look_up(reported_, "client_encoding");
  const auto* own = relay::look_up(reported_, "server_encoding");
  if (theirs && own && *theirs != *own && std::ranges::any_of(found->settings, beyond_ascii))
    found->pins |= Pin::setting;
  if (!profile_ || profile_->settings != found->settings) {
    profile_ = found->settings.empty() ? nullptr : pool_.profile(found->settings);
    agreed_ = 0;
  }
  tenant_->inspected(found.get());
}

void Server::discard_sequences() {
  static constexpr std::string_view kName = "pgweir_sequences";
  std::string out;
  wire::write_parse(out, kName, "DISCARD SEQUENCES", Bytes("\0\0", 2));
  wire::write_bind_front(out, kName, kName, 6);
  out.append(6, '\0');
  wire::write_execute(out, kName);
  wire::write_close(out, 'P', kName);
  wire::write_close(out, 'S', kName);
  send(out);
  for (const Want want : {Want::parse, Want::bind, Want::execute, Want::close, Want::close})
    expect({.want = want, .flags = kQuiet});
}

}  // namespace pgw::server

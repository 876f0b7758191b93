// What a session of PostgreSQL holds for its client: the settings that it is given, and what it is
// found to hold.
#include <algorithm>
#include <array>

#include "base/check.h"
#include "relay/lead.h"
#include "server/pool.h"
#include "server/server.h"
#include "wire/write.h"

namespace pgw::server {

using relay::Expected;
using relay::Want;

namespace {

constexpr std::uint16_t kQuiet = Expected::ours | Expected::quiet;

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
    agreed_ = 0;
    if (wait) {
      const std::string sql = relay::change(from, profile->settings);
      replayed = wait = !sql.empty();
      if (session && wait) {
        run_apart(sql);
      } else if (wait) {
        query(sql);
      }
    } else if (from != profile->settings) {
      replayed = lead(from, *profile);
    }
    profile_ = profile;
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
// ends the transaction at once, and what follows begins as if nothing had been before. False:
// nothing has to be changed.
bool Server::lead(const relay::Settings& from, relay::Profile& profile) {
  if (relay::covers(profile.settings, from)) {
    if (!profile.lead || pool_.settings().suspect == "text")
      profile.lead = made_lead({}, profile.settings);
    if (profile.lead && lead_with(*profile.lead)) return true;
  } else if (const auto made = made_lead(from, profile.settings); made && lead_with(*made)) {
    return true;
  }
  const std::string sql = relay::change(from, profile.settings);
  if (sql.empty()) return false;
  send(relay::plain_lead(sql));
  unnamed = 0;
  expect_lead({Want::parse, Want::bind, Want::execute});
  return true;
}

// Not where functions may take the statements away unseen: then the lead would fail, and with it a
// client that has not done it.
std::shared_ptr<const relay::Lead> Server::made_lead(const relay::Settings& from,
                                                     const relay::Settings& to) {
  if (pool_.settings().suspect == "text") return nullptr;
  auto made = relay::lead(context_.statements, from, to);
  return made ? std::make_shared<const relay::Lead>(std::move(*made)) : nullptr;
}

// False: some of its statements are being closed.
bool Server::lead_with(const relay::Lead& lead) {
  std::array<Prepared::Has, 3> has{};
  for (std::size_t i = 0; i < has.size(); ++i) {
    has[i] = prepared_.has(lead.statements[i], pipeline_.group());
    if (has[i] == Prepared::Has::unsure) return false;
  }
  std::string lessons;
  for (std::size_t i = 0; i < has.size(); ++i) {
    if (has[i] == Prepared::Has::yes) continue;
    const auto& statement = lead.statements[i];
    wire::write_parse(lessons, statement->server_name(), statement->text(), statement->types());
    prepared_.parse_sent(statement, pipeline_.group());
    expect({.want = Want::parse, .flags = kQuiet | Expected::server_op});
  }
  if (!lessons.empty()) send(lessons);
  send(lead.messages);
  expect_lead({Want::bind, Want::execute});
  return true;
}

void Server::expect_lead(std::initializer_list<Want> wants) {
  replaying_ = reports_due_ = true;
  for (int i = 0; i < 3; ++i)
    for (const Want want : wants) expect({.want = want, .flags = kQuiet});
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
  const auto& custom = pool_.custom_settings();
  const bool patient = std::exchange(patient_, false) || (profile_ && profile_->short_of_time);
  wire::write_query(out, patient
                             ? patient_inspection_query(custom, !spelled_.empty(), major_version())
                             : inspection_query(custom, !spelled_.empty()));
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
  patient_ = failed;  // a limit of the client's may have been the reason
  if (failed) return tenant_->inspected(nullptr);
  static const relay::Settings kNone;
  keep_limits(*found, profile_ ? profile_->settings : kNone);
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

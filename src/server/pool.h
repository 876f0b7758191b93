// The servers for one (database, user) pair, and the clients that wait for one. Lives on one
// worker.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "config/snapshot.h"
#include "pool/backoff.h"
#include "server/budgets.h"
#include "server/context.h"
#include "server/credentials.h"
#include "server/listening.h"
#include "server/party.h"
#include "server/server.h"
#include "server/suspicion.h"
#include "server/tenant.h"

namespace pgw::server {

class Pool {
 public:
  // `database` is the name that clients ask for.
  Pool(Context& context, config::SnapshotPtr snapshot, const config::Database& settings,
       std::string database, std::string user);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // A client comes, with the name of its app, and goes. In between it may wait for a server.
  void enter(Tenant& tenant, const std::string& app, bool is_session);
  void quit(Tenant& tenant);
  // A server for this tenant, now or later: granted() is called, also from inside this call, or
  // refused(), never from inside it.
  void acquire(Tenant& tenant);
  void leave(Tenant& tenant);  // waits no longer
  // A server of the tenant's own, for replication: counted, but not within pool_size (PostgreSQL
  // counts these connections apart, too: max_wal_senders). granted() or refused() follows, never
  // from inside this call. A tenant that dies before it is granted one calls abandon_private().
  void acquire_private(Tenant& tenant, std::vector<std::pair<std::string, std::string>> parameters);
  void abandon_private(Tenant& tenant);
  bool has_waiters() const { return !queue_.empty(); }
  // --- from servers ---
  void server_free(Server& server);
  void server_gone(Server& server);
  void lease_over(Tenant& tenant);
  void lease_passes(Tenant& from, Tenant& to);
  void login_succeeded(const Server& server);
  void login_failed(Server& server, const Error& why, bool definite);
  // Another worker's pools have given places back, or go short.
  void budget_news();
  Account& account() { return *account_; }
  // A private one has waited too long for its place.
  void private_timed_out(Server& server);
  Cancel* cancel(Server& server, const net::Address& address, std::uint32_t pid,
                 const std::string& key, Wish wish);
  const auth::ScramKeys* derived(const auth::ScramChallenge& challenge) const;
  void keep_derived(auth::ScramKeys keys) { derived_ = std::move(keys); }

  // --- from lanes ---
  net::Loop& loop() { return context_.loop; }
  void look_after(Lane& lane);
  void block(pool::Line& line) { queue_.block(line); }
  void unblock(pool::Line& line);

  // --- configuration ---
  const config::Settings& settings() const { return database_settings_->settings; }
  const config::Upstream& upstream() const { return database_settings_->upstream; }
  const Credentials& credentials() const { return credentials_; }
  // What a client that has just proven who it is lets pgweir log in with. Those of the URL win.
  void offer_credentials(const Credentials& credentials);
  const std::string& database() const { return database_; }
  const std::string& configured_name() const { return database_settings_->name; }  // may be "*"
  const std::string& user() const { return user_; }
  const std::string& dbname() const {
    return upstream().dbname.empty() ? database_ : upstream().dbname;
  }
  std::string host() const { return config::place_of(upstream()); }
  // After a reload. Servers to another place than before are closed when they are free.
  void configure(config::SnapshotPtr snapshot, const config::Database& settings);
  // Every server closes the statements that no client has any more, when it is free.
  void shed_statements();
  // Called every `every`: ends servers whose host has been silent for `limit`.
  void end_silent(Duration every, Duration limit);
  // Closes what is free, and the rest when it comes back.
  void retire_all(const char* why);
  About about() const { return {.client = {}, .user = user_, .database = database_, .app = {}}; }

  // --- LISTEN: one server for all clients; not where it would be the only one ---
  bool may_share_listening() const { return most() > 1; }
  Listening& listening();

  // --- profiles: see relay::Profile ---
  relay::ProfilePtr profile(relay::Settings settings);
  // Names of custom settings that clients of this pool have set: PostgreSQL lists these only when
  // it is asked for them by name. Bounded; what has no room is pinned.
  bool know_setting(const std::string& name);
  const std::vector<std::string>& custom_settings() const { return custom_settings_; }
  // Some client of this pool asks for sequence values (currval, lastval).
  bool uses_sequences = false;
  Suspicion& suspicion() { return suspicion_; }
  void survey_over();
  // DDL was seen: statements prepared from now on are not shared with those from before.
  void schema_changed();

  bool unused() const {
    return clients == 0 && servers_.empty() && parties_.empty() && cancels_.empty();
  }
  unsigned clients = 0;  // logged in to this pool

  struct Counts {
    unsigned servers = 0, leased = 0, overflow = 0, waiting = 0;
  };
  Counts counts() const;

 private:
  friend class Cancel;
  void serve_waiters();
  void serve_soon();
  void serve_later();
  bool serve_at_once(Tenant& tenant);
  Tenant* next();
  void begin(Tenant& tenant, Tenant::Places places);
  void take_out(Tenant& tenant);
  void out_of_queue(Tenant& tenant);
  void turn_away(Tenant& tenant, Error why);
  void refuse(Tenant& tenant, const Error& why);
  void watch(Lane& lane);
  void tell_waiters(Lane& lane);
  void set_places();
  void set_terms(Party& party);
  void count_leases();
  std::size_t wanted();
  // pool_refusals.cc: each with the numbers, and the setting that would change it.
  Error timed_out_error(Tenant& tenant) const;
  Error too_many_waiting(const Party& party, bool of_app) const;
  std::string wait_text(const Lane& lane) const;
  std::string whose(const Party& party) const;
  std::string holders() const;
  std::string database_section() const;
  void open_servers();
  void maintain();
  void refuse_waiters(const Error& why);
  void bury(Server& server);
  // What the best of its waiters that a server would help can say for itself.
  std::optional<pool::Claim> best_claim();
  bool take_place();
  void need_no_place();
  bool waits_for_place() const;
  bool gives_way(Server& server);
  void yield_idle();
  void settle_account();
  bool nearly_full() const;
  void warn_if_full();
  void try_again();
  // The wait for a place was too long: which level is full, and who has it.
  std::optional<Error> full_error(const Seat& seat, const Tenant& tenant) const;
  void cancel_over(Cancel& cancel, bool reached, std::optional<Wish> next);
  void sweep_profiles();
  bool too_old(const Server& server) const;
  std::size_t most() const { return std::size_t{settings().pool_size} + settings().max_overflow; }
  std::size_t places() const { return most() + private_; }

  Context& context_;
  config::SnapshotPtr snapshot_;  // keeps database_settings_ alive
  const config::Database* database_settings_;
  std::string database_;
  std::string user_;
  Credentials offered_;      // by clients
  Credentials credentials_;  // to log in with: these, or the URL's
  std::optional<auth::ScramKeys> derived_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<Account> account_;  // before the servers, which have seats
  Seat wish_;                         // for the next server
  Time refreshed_{};                  // its claim was, last
  Time judged_{};                     // a server was, last, while clients waited
  RateLimit full_told_{std::chrono::minutes(1)};
  bool nearly_full_ = false;
  std::unordered_map<Server*, std::unique_ptr<Server>> servers_;
  std::size_t opening_ = 0;              // of them, not logged in yet
  List<Server, &Server::in_idle> idle_;  // most recently used first
  std::shared_ptr<Allowance> sessions_;  // of the database
  pool::FairQueue queue_;
  std::unordered_map<std::string, std::unique_ptr<Party>> parties_;  // by app
  std::size_t unshared_ = 0;  // leases of tenants that are no app's: the listening server's
  std::unordered_map<Tenant*, Error> turned_away_;           // to be told soon
  List<pool::Waiter, &pool::Waiter::waiting> turning_away_;  // the same
  std::size_t private_ = 0;                                  // of servers_, those for replication
  bool serving_ = false;
  bool serve_posted_ = false;
  std::unordered_map<Cancel*, std::unique_ptr<Cancel>> cancels_;
  pool::Backoff backoff_;
  Time no_connect_before_{};
  std::optional<Error> last_failure_;
  bool last_definite_ = false;
  net::Timer lift_timer_;        // somebody may begin a lease that could not before
  net::Timer connect_timer_;     // the backoff is over
  bool maintains_late_ = false;  // maintain_timer_ is for later than kMaintainEvery
  net::Timer maintain_timer_;    // idle and lifetime limits
  net::Timer yield_timer_;       // an idle server is ripe to be closed for others
  std::unordered_map<std::string, std::weak_ptr<relay::Profile>> profiles_;
  std::unordered_map<std::string, std::uint64_t> scopes_;  // by relay::meaning_key
  std::size_t profile_bytes_ = 0;  // of the keys of both, since they were last swept
  std::size_t sweep_at_ = 0;
  std::vector<std::string> custom_settings_;  // sorted
  std::unique_ptr<Listening> listening_;      // null: nobody has listened yet
  Suspicion suspicion_;
};

}  // namespace pgw::server

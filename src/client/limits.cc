// What becomes of a client whose time is over, of one that keeps a server and says nothing, and of
// slow statements. Its server has one timer for all of it (server/watch.h), which is not set and
// cleared for each query: when it fires, what is current is looked at, and it is set for the next
// that may be due.
#include <algorithm>

#include "client/client.h"
#include "client/worker.h"
#include "server/pool.h"
#include "sql/normalise.h"
#include "wire/read.h"
#include "wire/write.h"

namespace pgw::client {

namespace {

constexpr unsigned kDoublings = 20;  // of leak_threshold

auto ms(Duration span) { return span.count() / 1000; }

// "; last statement: ..."
std::string statement_text(const std::string& normalised) {
  return normalised.empty() ? std::string() : "; last statement: " + normalised;
}

}  // namespace

void Client::set_limits(const config::Settings& settings) {
  limits_ = worker_.time_limits().share(config::time_limits_of(settings));
  if (server_ && !replicates()) watch_lease();
  if (stream_ && !replicates()) watch_idleness();
}

std::string Client::limit_hint(std::string_view setting) const {
  const auto* database = worker_.snapshot().find(pool_.database());
  if (!database) return fmt::format("The limit is {}.", setting);
  return fmt::format("The limit is {}, from {}.", setting,
                     worker_.snapshot().source_of(setting, *database, pool_.user(), app()));
}

// --- while it has a server ---

void Client::watch_lease() {
  auto& watch = server_->watch;
  watch.slow = limits_->slow > 0us ? limits_->slow : Duration::max();
  const Duration soonest = limits_->soonest;
  if (soonest == 0us) return;
  if (!watch.timer.armed() || watch.timer.due() > worker_.loop().now() + soonest)
    worker_.loop().arm(watch.timer, soonest);
}

void Client::check_time() {
  if (phase_ == Phase::gone || replicates() || limits_->soonest == 0us) return;
  Time next = worker_.loop().now() + limits_->soonest;
  if (!check_transaction(next) || !check_query(next)) return;
  check_leak(next);
  const Time now = worker_.loop().now();
  worker_.loop().arm(server_->watch.timer, std::max(next - now, Duration(1000)));
}

// These give false when the client is gone; `next` becomes the earliest time at which something may
// be due.
bool Client::check_transaction(Time& next) {
  const auto& watch = server_->watch;
  if (watch.block == Time{}) return true;
  const Time now = worker_.loop().now();
  const auto over = [&](Duration limit, Time since) {
    if (limit == 0us) return false;
    if (now < since + limit) next = std::min(next, since + limit);
    return now >= since + limit;
  };
  if (waited_for() && over(limits_->idle_in_transaction, watch.last)) {
    pinning_.times.idle_in_transaction.add(1);
    end_for(Code::idle_in_transaction, "idle_in_transaction_timeout",
            fmt::format("idle in a transaction for {} ms", ms(limits_->idle_in_transaction)));
    return false;
  }
  if (!over(limits_->transaction, watch.block)) return true;
  pinning_.times.transactions.add(1);
  end_for(Code::transaction_timeout, "transaction_timeout",
          fmt::format("its transaction took longer than {} ms", ms(limits_->transaction)));
  return false;
}

bool Client::check_query(Time& next) {
  auto& watch = server_->watch;
  if (limits_->query == 0us || watch.run == Time{} || server_->pipeline().empty()) return true;
  const Time now = worker_.loop().now();
  const Duration patience = pool_.settings().cancel_timeout;
  if (watch.overdue == watch.run) {
    if (now < watch.give_up) {
      next = std::min(next, watch.give_up);
      return true;
    }
    end_for(Code::cancelled, "query_timeout",
            fmt::format("a statement took longer than {} ms, and could not be cancelled within {} "
                        "ms",
                        ms(limits_->query), ms(patience)));
    return false;
  }
  if (now < watch.run + limits_->query) {
    next = std::min(next, watch.run + limits_->query);
    return true;
  }
  watch.overdue = watch.run;
  watch.give_up = now + patience;
  watch.cancelled = true;
  next = std::min(next, watch.give_up);
  pinning_.times.queries.add(1);
  if (const auto left_out = worker_.tell_query.pass(now))
    log(Level::warning, about(),
        "a statement is cancelled, it took longer than {} ms (query_timeout){}{}",
        ms(limits_->query), statement_text(watch.texts.of(server_->answered())),
        more_text(*left_out));
  server_->cancel();
  return true;
}

// PostgreSQL has nothing to do before the client sends more.
bool Client::waited_for() const {
  return server_->pipeline().empty() && !blocked() && !client_full_ && !server_->inspecting();
}

void Client::end_for(Code code, std::string_view setting, const std::string& what) {
  told_why_ = true;
  log(Level::warning, about(), "is disconnected: {} ({}){}", what, setting,
      statement_text(server_->watch.texts.last()));
  end(Error(code, "terminating connection: " + what).with_hint(limit_hint(setting)));
}

bool Client::deliver_cancelled(std::string_view state) {
  if (!server_ || !server_->watch.cancelled || state != sqlstate(Code::cancelled)) return false;
  std::string out;
  wire::write_error(
      out, wire::Severity::error,
      Error(Code::cancelled,
            fmt::format("canceling statement: it took longer than {} ms", ms(limits_->query)))
          .with_hint(limit_hint("query_timeout")));
  deliver(out);
  return true;
}

// --- leaks ---

void Client::check_leak(Time& next) {
  auto& watch = server_->watch;
  const bool copying = server_->pipeline().copying_in() && !blocked();
  if (limits_->leak == 0us || (!copying && !waited_for())) return;
  const bool pinned = pins_ != 0 && mode_ == config::Mode::transaction;
  if (watch.block == Time{} && !pinned) return;
  const Time now = worker_.loop().now();
  const auto threshold = [&] { return limits_->leak * (std::int64_t{1} << watch.reminded); };
  if (now >= watch.last + threshold() && watch.reminded < kDoublings) {
    name_leak();
    while (now >= watch.last + threshold() && watch.reminded < kDoublings) ++watch.reminded;
  }
  if (watch.reminded < kDoublings) next = std::min(next, watch.last + threshold());
}

void Client::name_leak() {
  auto& watch = server_->watch;
  std::string reason;
  if (watch.block != Time{}) {
    const auto open = ms(worker_.loop().now() - watch.block);
    reason = fmt::format("in a {}transaction of {} ms{}", server_->status() == 'E' ? "failed " : "",
                         open, server_->pipeline().copying_in() ? ", in a COPY" : "");
  } else {
    reason = "kept by: " + names_of(pins_);
  }
  const std::string statement = watch.texts.last();
  if (watch.reminded == 0) pinning_.times.leaks.add(1);
  log(Level::warning, about(), "it keeps a server and has sent nothing for {} ms: {}{}",
      ms(worker_.loop().now() - watch.last), reason, statement_text(statement));
  watch.silent_since = watch.last;
  const auto who = about();
  worker_.leaks().put(serial(), {.client = who.client,
                                 .user = std::string(who.user),
                                 .database = std::string(who.database),
                                 .app = std::string(who.app),
                                 .since = watch.last,
                                 .reason = reason,
                                 .statement = statement});
}

void Client::end_leak(server::Server& server, std::string_view how) {
  server.watch.reminded = 0;
  worker_.leaks().remove(serial());
  log(Level::info, about(), "it kept a server and sent nothing for {} ms; {}",
      ms(worker_.loop().now() - server.watch.silent_since), how);
}

// --- slow statements ---

void Client::was_slow() {
  const auto& watch = server_->watch;
  const Time now = worker_.loop().now();
  const Time first = watch.first == Time{} ? now : watch.first;
  const auto who = about();
  SlowStatement slow{.text = watch.texts.of(server_->answered() - 1),
                     .waited = watch.waited,
                     .ran = first - watch.run,
                     .transfer = now - first,
                     .client = who.client,
                     .user = std::string(who.user),
                     .database = std::string(who.database),
                     .app = std::string(who.app)};
  slow.fingerprint = sql::fingerprint(slow.text);
  pinning_.times.slow.add(1);
  if (const auto left_out = worker_.tell_slow.pass(now))
    log(Level::warning, who,
        "slow statement: waited {} ms for a server, ran {} ms, was transferred in {} ms: {} "
        "(fingerprint {:016x}){}",
        ms(slow.waited), ms(slow.ran), ms(slow.transfer),
        slow.text.empty() ? "its text is not known" : slow.text, slow.fingerprint,
        *left_out == 0 ? std::string() : fmt::format(" ({} more suppressed)", *left_out));
  worker_.slow().note(std::move(slow));
}

// --- without one, and between its transactions ---

void Client::watch_idleness() {
  const Duration limit = limits_->client_idle;
  if (limit == 0us) return idle_.reset();
  const Time now = worker_.loop().now();
  if (!idle_) idle_ = std::make_unique<Idle>(now, this);
  const Time due = idle_->heard + limit;
  worker_.loop().arm(idle_->timer, std::max(due - now, Duration(0)));
}

void Client::check_idleness() {
  const Duration limit = limits_->client_idle;
  const bool busy = waiting.linked() || phase_ == Phase::welcoming ||
                    (server_ && (server_->status() != 'I' || !server_->pipeline().quiet()));
  if (busy) return worker_.loop().arm(idle_->timer, limit);
  const Time since = server_ ? std::max(idle_->heard, server_->watch.last) : idle_->heard;
  const Time now = worker_.loop().now();
  if (now < since + limit) return worker_.loop().arm(idle_->timer, since + limit - now);
  pinning_.times.client_idle.add(1);
  end(Error(Code::idle_timeout, fmt::format("terminating connection: idle for {} ms", ms(limit)))
          .with_hint(limit_hint("client_idle_timeout")));
}

}  // namespace pgw::client

// Which of the reasons for a server to stay with its client are allowed (config/policies.h), what
// becomes of the others, and how long each has lasted.
#include "client/policies.h"

#include <charconv>

#include "base/check.h"
#include "base/excerpt.h"
#include "client/client.h"
#include "client/worker.h"
#include "server/pool.h"

namespace pgw::client {

using relay::Expected;
using relay::Want;

namespace {

constexpr std::size_t kShownMost = 100;  // bytes of a statement

const PinKind& kind_of(Pin pin) { return pin_kinds()[index_of(pin)]; }

// One of them.
Pin first_of(Pins pins) { return static_cast<Pin>(pins & (~pins + 1)); }

}  // namespace

Error refusal_of(Pin pin) {
  const PinKind& kind = kind_of(pin);
  return Error(Code::unsupported,
               fmt::format("{} would keep a server connection for this client alone, and {} is "
                           "\"error\" here",
                           kind.what, kind.setting))
      .with_hint(fmt::format("Use the session port, or set {} to \"pin\" or \"warn\" for this app, "
                             "user or database.",
                             kind.setting));
}

Error refusal_of(std::string_view number) {
  std::size_t index = kPinCount;
  std::from_chars(number.data(), number.data() + number.size(), index);
  if (index >= kPinCount) return Error(Code::unsupported, "the statement is not allowed here");
  return refusal_of(pin_kinds()[index].pin);
}

void write_warning(std::string& out, Pin pin, std::string_view statement, bool hidden) {
  const PinKind& kind = kind_of(pin);
  const std::string text =
      fmt::format("a server connection stays with this client alone because of {}{}{}", kind.what,
                  statement.empty() ? "" : ": ", statement);
  const std::string_view word = hidden ? "error" : "warn";
  const std::string hint = fmt::format(
      "{}It is given back when they are gone, or the client leaves. {} is \"{}\" here.",
      hidden ? "No statement's text showed it before, as when a function or a trigger does it. "
             : "",
      kind.setting, word);
  wire::write_error(out, wire::Severity::warning, "01000", text, hint);
}

void Client::configure() {
  const auto& snapshot = worker_.snapshot();
  const auto* database = snapshot.find(pool_.database());
  if (!database) return;  // it is told to go
  const auto settings = snapshot.settings_for(*database, pool_.user(), app());
  set_limits(settings);
  if (mode_ == config::Mode::session) {
    policies_ = {.warn = 0, .error = 0, .ignore = static_cast<Pins>(~Pins{0})};
    return;
  }
  policies_ = config::policies_of(settings);
  if (!has(policies_.ignore, Pin::sequence)) pool_.uses_sequences = true;
  if (!server_ || (pins_ | ignored_) == 0) return;
  hold(static_cast<Pins>(pins_ | ignored_));
  maybe_release();
}

bool Client::concerns(const relay::Scan& scan) const {
  return scan.closer || (scan.frees && may_be_pinned()) ||
         (scan.takes_sequences && !has(policies_.ignore, Pin::sequence));
}

bool Client::claims_sequences(const relay::Scan& scan) const {
  return scan.reads_sequences || (scan.takes_sequences && !has(policies_.ignore, Pin::sequence) &&
                                  server_->sequences_of != serial());
}

Pins Client::forbidden(const sql::Analysis& found, Bytes text) {
  const Pins pins = found.shows & policies_.error;
  if (pins != 0) {
    const Pin pin = first_of(pins);
    auto& counters = pinning_.reasons[index_of(pin)];
    counters.refused.add(1);
    if (const auto left_out = counters.tell_refused.pass(worker_.loop().now()))
      log(Level::info, about(), "a statement was refused, {} is \"error\"{}", kind_of(pin).setting,
          more_text(*left_out));
    return pins;
  }
  if ((found.shows & policies_.warn) != 0) {
    if (!pinned_) pinned_ = std::make_unique<Pinned>();
    pinned_->shown = found.shows;
    pinned_->statement = excerpt(text, kShownMost);
  }
  return 0;
}

Client::Step Client::refuse_query(Pins pins, std::uint16_t flags) {
  cut();
  std::string out;
  wire::write_query(out, fmt::format("EXECUTE \"{}{}\"", kForbidden, index_of(first_of(pins))));
  server_->send(out);
  flags |= Expected::renamed;
  server_->expect({.want = Want::query, .flags = flags});
  return Step::drop;
}

Client::Step Client::refuse_bind(Pins pins) {
  return refuse(kForbidden, std::to_string(index_of(first_of(pins))), Want::bind);
}

void Client::hold_sticky() {
  if (server_->sequences_of != serial()) sticky_ = without(sticky_, Pins{} | Pin::sequence);
  const auto held = static_cast<Pins>(pins_ | ignored_);
  if (without(sticky_, held) != 0) hold(static_cast<Pins>(held | sticky_));
}

void Client::hold(Pins pins) {
  ignored_ = pins & policies_.ignore;
  pin(without(pins, policies_.ignore));
}

void Client::pin(Pins pins) {
  const Pins begin = without(pins, pins_);
  const Pins end = without(pins_, pins);
  count_pins();
  pins_ = pins;
  const Time now = worker_.loop().now();
  if (begin != 0 && !pinned_) pinned_ = std::make_unique<Pinned>();
  for (const PinKind& kind : pin_kinds()) {
    auto& counters = pinning_.reasons[index_of(kind.pin)];
    if (has(begin, kind.pin)) {
      pinned_->since[index_of(kind.pin)] = pinned_->counted[index_of(kind.pin)] = now;
      counters.begun.add(1);
      counters.pinned.add(1);
      if (const auto left_out = counters.tell_begun.pass(now))
        log(Level::info, about(), "its server stays with it: {}{}", kind.word,
            more_text(*left_out));
    } else if (has(end, kind.pin)) {
      counters.pinned.add(-1);
      const auto lasted = (now - pinned_->since[index_of(kind.pin)]).count() / 1000;
      if (const auto left_out = counters.tell_ended.pass(now))
        log(Level::info, about(), "its server stayed with it for {} ms: {}{}", lasted, kind.word,
            more_text(*left_out));
    }
  }
  warn_of(begin);
  if (pins_ == 0) pinned_.reset();
}

void Client::count_pins() {
  if (pins_ == 0) return;
  const Time now = worker_.loop().now();
  for (std::size_t i = 0; i < kPinCount; ++i) {
    if (!has(pins_, pin_kinds()[i].pin)) continue;
    const Duration more = now - std::exchange(pinned_->counted[i], now);
    pinning_.reasons[i].pinned_us.add(static_cast<std::uint64_t>(more.count()));
  }
}

// Nothing but whole messages has been sent to the client where this is called; it may come behind
// its ReadyForQuery, as notices may.
void Client::warn_of(Pins pins) {
  Pins due = pins & (policies_.warn | policies_.error);
  if (pool_.may_share_listening()) due = without(due, Pins{} | Pin::listen);  // not for long
  if (due == 0 || !server_ || server_->amid_message()) return;
  std::string out;
  for (const PinKind& kind : pin_kinds()) {
    if (!has(due, kind.pin)) continue;
    const bool known = has(pinned_->shown, kind.pin);
    write_warning(out, kind.pin, known ? std::string_view(pinned_->statement) : std::string_view(),
                  has(policies_.error, kind.pin));
  }
  stream_->send(out);
}

}  // namespace pgw::client

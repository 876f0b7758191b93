// The scripted client: what it and others know of each other, and notifications.
#include "board.h"
#include "client.h"

namespace pgw::sim {

namespace {

bool gives_up(Kind kind) {
  return kind == Kind::unlisten || kind == Kind::unlisten_all || kind == Kind::unlock ||
         kind == Kind::unlock_all || kind == Kind::discard_all;
}

}  // namespace

// Before the request goes out.
void Client::tell_board(const Request& r) {
  if (!rules_.board) return;
  std::vector<Statement> all;
  if (r.type == 'Q') all = r.statements;
  if (r.type == 'B')
    if (const Statement* s = ahead_.statement(r.statement)) all = {*s};
  // A cancel may have made another thing of what went before than ahead_ knows.
  if (r.type == 'P' && r.statement.empty()) unnamed_sent_ = r.statements;
  if (r.type == 'B' && r.statement.empty() && unnamed_sent_.size() == 1 &&
      (all.empty() || all[0].token != unnamed_sent_[0].token))
    all.push_back(unnamed_sent_[0]);
  for (const Statement& s : all) {
    rules_.board->sends(plan_.database, s);
    if (gives_up(s.kind)) rules_.board->uncertain(plan_.number);
  }
}

// A ReadyForQuery has come.
void Client::tell_ready() {
  if (!rules_.board) return;
  for (const Model::Note& note : model_.take_published())
    rules_.board->published(plan_.database, note, busy_since_, sim_.now());
  if (model_.idle() && status_ == 'I')
    rules_.board->settled(plan_.number, plan_.database, sim_.now(), model_, link_);
}

void Client::off_board() {
  if (rules_.board) rules_.board->gone(plan_.number);
}

void Client::check_lock(const Reply& reply, const Message& m) {
  const bool got = (reply.learn == 'l' || reply.learn == 'L') && m.body == data_row({"t"});
  if (!got || !rules_.board) return;
  if (const auto wrong =
          rules_.board->locked(plan_.number, plan_.database, reply.about, busy_since_))
    fail(*wrong);
}

// As a notice of PostgreSQL's it may come between any two messages.
void Client::on_warning(const Message& m) {
  if (!rules_.warns) return fail("a warning where nobody is to be warned");
  if (plan_.promise == Model::Promise::session || plan_.taste.session == 0)
    return fail("a warning, and it keeps nothing");
  if (const auto other = foreign_token(m.body, plan_.number))
    return fail(fmt::format("a warning with a token of c{}: {}", *other, readable(m, false)));
}

// Its own ones come before the ReadyForQuery of the transaction, those of others between
// transactions.
void Client::on_notification(const Message& m) {
  Reader in(m.body);
  in.u32();
  const std::string channel = in.text();
  const std::string payload = in.text();
  if (!in.ok() || !in.at_end()) return fail("a broken notification");
  const Reply* wanted = model_.expected();
  if (!rules_.board) return fail("a notification");
  if (const auto wrong = rules_.board->heard(plan_.number, plan_.database, channel, payload))
    return fail(*wrong);
  if (token_owner(payload) == plan_.number) {
    if (!wanted || wanted->type != 'A' || !model_.matches(m))
      return fail(fmt::format("its own notification {} came at the wrong time", payload));
    model_.pop();
    return after_reply();
  }
  if (!between_ &&
      !(wanted && (wanted->type == 'A' || (wanted->type == 'Z' && wanted->body == "I"))))
    return fail(fmt::format("notification {} came in the middle of something", payload));
  if (!model_.listens().contains(channel))
    return fail(
        fmt::format("notification {} on {}, to which it does not listen", payload, channel));
}

// Is a notification still on its way? It stays for it.
bool Client::awaits_notifications() {
  if (!rules_.board) return false;
  const auto since = rules_.board->owes(plan_.number);
  if (!since) return false;
  // A broken connection may be found out late.
  if (sim_.now() > *since + (may_break() ? 400s : 60s)) {
    fail("a notification never came");
    return false;
  }
  loop_.arm(timer_, 200ms);
  return true;
}

}  // namespace pgw::sim

// Prepared statements of transaction mode: a client's names stand for shared statements, and
// whichever server the client gets is taught what it lacks.
#include "client/client.h"
#include "client/policies.h"
#include "client/worker.h"
#include "server/pool.h"
#include "wire/frame.h"
#include "wire/read.h"
#include "wire/write.h"

namespace pgw::client {

using relay::Expected;
using relay::Want;
using server::Prepared;

namespace {

// No server has a statement of such a name: PostgreSQL itself refuses it, at the right place in the
// stream of replies and with all that an error brings; its text is then put right for the client.
constexpr std::string_view kNone = "pgweir_none:";
constexpr std::string_view kTaken = "pgweir_taken:";
constexpr std::string_view kStale = "pgweir_stale:";
constexpr std::string_view kTooMany = "pgweir_many:";
constexpr std::string_view kTooBig = "pgweir_big:";

// How all of pgweir's own names begin.
constexpr std::string_view kOwn = "pgweir_";

constexpr std::size_t kPortalsMax = 10'000;  // with something to remember, in one transaction

}  // namespace

Names& Client::names() {
  if (!names_) names_ = std::make_unique<Names>(worker_.names());
  return *names_;
}

Client::Step Client::refuse(std::string_view kind, Bytes name, Want want, std::uint16_t flags) {
  cut();
  std::string asked(kind);
  asked += name.substr(0, 256);
  std::string out;
  wire::write_bind_front(out, {}, asked, 6);
  out.append(6, '\0');  // no formats, no parameters, no result formats
  server_->send(out);
  flags |= Expected::renamed;
  server_->expect({.want = want, .flags = flags});
  return Step::drop;
}

// Within statements_bytes. If not, what nobody uses is thrown out, for those who come later.
bool Client::has_room_for(Bytes text) {
  if (worker_.statements().bytes() + text.size() <= worker_.settings().statements_bytes)
    return true;
  worker_.shed_statements();
  return false;
}

bool Client::answer_alone(const Frame& frame) {
  if (!frame.whole) return false;
  char tag = '1';
  if (frame.tag == 'P') {
    const auto parse = wire::read_parse(frame.here);
    if (!parse || parse->name.empty() || names().look(parse->name, 0).value) return false;
    if (names().count() >= worker_.settings().client_statements) return false;
    Names::Value value;
    value.statement = worker_.statements().find(profile_->scope, parse->text, parse->types);
    if (!value.statement || !value.statement->proven() || value.statement->scan().unsettles)
      return false;
    names().define(parse->name, std::move(value), 0);
  } else {
    const auto target = wire::read_target(frame.here);
    if (!target || target->kind != 'S' || target->name.empty()) return false;
    names().undefine(target->name, 0);
    tag = '3';
  }
  names().settle(relay::Fate::happened);
  const char message[5] = {tag, 0, 0, 0, 4};
  stream_->send(Bytes(message, sizeof message));
  return true;
}

Client::Step Client::on_parse(const Frame& frame) {
  if (!frame.whole || frame.total > worker_.settings().max_statement_bytes) {
    return end_with(
        std::move(Error(Code::too_large,
                        fmt::format("a statement of {} bytes is over the limit of {} bytes",
                                    frame.total, worker_.settings().max_statement_bytes)))
            .with_hint("The limit is max_statement_bytes."));
  }
  const auto parse = wire::read_parse(frame.here);
  if (!parse) return end_with(parse.error());
  if (parse->name.empty()) return parse_unnamed(frame, parse->text, parse->types);
  return parse_named(parse->name, parse->text, parse->types);
}

Client::Step Client::parse_unnamed(const Frame&, Bytes text, Bytes types) {
  if (!has_room_for(text)) {  // the one before is gone all the same, as after any failed Parse
    names().define({}, {}, server_->group());
    return refuse(kTooBig, {}, Want::parse, Expected::client_op);
  }
  Names::Value value;
  value.statement = worker_.statements().intern(0, text, types);
  value.token = worker_.next_token();
  const auto& scan = value.statement->scan();
  if (scan.unsettles) {
    if (auto name = relay::deallocated_name(text)) {
      const auto look = names().look(*name, server_->group());
      if (look.unsure) return wait_for_replies(false);
      if (look.value) {
        value.deallocates = std::move(*name);
        value.statement = worker_.statements().intern(0, "DEALLOCATE pgweir_gone", types);
        cut();
        std::string out;
        wire::write_parse(out, {}, value.statement->text(), types);
        server_->send(out);
        server_->unnamed = value.token;
        names().define({}, std::move(value), server_->group());
        server_->expect({.want = Want::parse, .flags = Expected::client_op});
        return Step::drop;
      }
    }
  }
  if (scan.names) {
    const Step step = spell_out(scan, false);  // what EXECUTE gives is found out now
    if (step != Step::keep) return step;
  }
  server_->unnamed = value.token;
  names().define({}, std::move(value), server_->group());
  return pass(Want::parse, Expected::client_op);
}

Client::Step Client::parse_named(Bytes name, Bytes text, Bytes types) {
  const auto look = names().look(name, server_->group());
  if (look.unsure) return wait_for_replies(false);
  const bool of_sql = rare_ && rare_->sql_statements.contains(name) && !server_->dirty();
  const auto scan = relay::scan(text);
  const bool asked = look.value && server_->has_spelled(name) && !scan.unsettles;
  if ((look.value && !asked) || of_sql) return refuse(kTaken, name, Want::parse);
  if (names().count() >= worker_.settings().client_statements)
    return refuse(kTooMany, name, Want::parse);
  if (!has_room_for(text)) return refuse(kTooBig, name, Want::parse);

  Names::Value value;
  if (scan.unsettles) {
    if (auto target = relay::deallocated_name(text)) {
      const auto its = names().look(*target, server_->group());
      if (its.unsure) return wait_for_replies(false);
      if (its.value) {
        value.deallocates = std::move(*target);
        text = "DEALLOCATE pgweir_gone";
      }
    }
  }
  if (scan.names && value.deallocates.empty()) {
    const Step step = spell_out(scan, false);
    if (step != Step::keep) return step;
  }
  const auto scope = scan.fleeting || scan.names || drift_ || altered_
                         ? worker_.statements().fresh_scope()
                         : profile_->scope;
  value.statement = worker_.statements().intern(scope, text, types);
  const auto statement = value.statement;
  const auto group = server_->group();
  if (asked) {  // a text may have taken it away there
    cut();
    names().define(name, std::move(value), group);
    server_->respell(name, statement, text, types);
    return Step::drop;
  }
  auto& prepared = server_->prepared();
  const auto has = prepared.has(statement, group);
  if (has == Prepared::Has::unsure) return wait_for_replies(false);
  cut();
  // Only where nothing can have gone wrong before may pgweir answer for PostgreSQL.
  if (has == Prepared::Has::yes && server_->status() != 'E' && server_->pipeline().groups() == 0 &&
      !server_->pipeline().copying_in()) {
    names().define(name, std::move(value), group);
    server_->expect({.want = Want::invent, .flags = Expected::client_op, .tag = '1'});
    server_->deliver_invented();
    return Step::drop;
  }
  std::string out;
  if (has == Prepared::Has::yes) {
    wire::write_close(out, 'S', statement->server_name());
    prepared.close_sent(*statement, group);
    server_->expect({.want = Want::close, .flags = Expected::ours | Expected::server_op});
  }
  wire::write_parse(out, statement->server_name(), text, types);
  server_->send(out);
  prepared.parse_sent(statement, group);
  names().define(name, std::move(value), group);
  server_->expect({.want = Want::parse,
                   .flags = Expected::client_op | Expected::server_op | Expected::renamed});
  return Step::drop;
}

// The text finds there what it would find without pgweir; afterwards that goes (Server::inspect).
Client::Step Client::spell_out(const relay::Scan& scan, bool hide) {
  const bool any = names_ && names_->count() > 0;
  if ((!any && !hide && !server_->spells_any()) || server_->status() == 'E') return Step::keep;
  if (server_->end_replay()) return wait_for_replies(true);
  if (server_->pipeline().groups() > 0) return wait_for_replies(false);
  cut();
  auto own = any ? names_->named() : server::Server::Own();
  std::erase_if(own, [](const auto& one) { return one.first.starts_with(kOwn); });
  // EXECUTE carries out a text that is not seen here.
  if (scan.names)
    hide |= std::ranges::any_of(own, [&](const auto& one) { return lists(*one.second); });
  server_->spell_out(own, hide);
  barrier_ = true;
  return Step::keep;
}

bool Client::lists(const relay::Statement& statement) const {
  return statement.scan().shows_statements() ||
         has(marks_of(statement.text(), &statement), relay::Mark::lists);
}

bool Client::hide_others() {
  if (mode_ == config::Mode::session || !pool_.suspicion().blind()) return true;
  if (server_->status() == 'E' || server_->pipeline().skipping()) return true;
  std::vector<const relay::Statement*> own;
  if (names_)
    for (const auto& [name, statement] : names_->named()) own.push_back(statement.get());
  std::ranges::sort(own);
  auto others = server_->prepared().all();
  std::erase_if(others, [&](const auto* one) { return std::ranges::binary_search(own, one); });
  if (others.empty()) return true;
  if (server_->pipeline().groups() > 0) return false;
  cut();
  server_->hide(others);
  return true;
}

bool Client::may_be_of_sql(Bytes name) const {
  return !name.empty() && !name.starts_with(kOwn) && may_be_pinned();
}

Client::Step Client::reach(Bytes name, Want want, std::string& server_name, Portal* portal) {
  const auto look = names().look(name, server_->group());
  if (look.unsure) return wait_for_replies(false);
  if (!look.value && may_be_of_sql(name)) {
    server_->make_dirty();
    return Step::keep;
  }
  if (!look.value) return refuse(kNone, name, want);
  const Names::Value& value = *look.value;
  const auto& scan = value.statement->scan();
  const auto marks = marks_of(value.statement->text(), value.statement.get());
  const bool shows =
      want == Want::bind && (scan.shows_statements() || has(marks, relay::Mark::lists));
  if ((scan.names || scan.lists || shows) && value.deallocates.empty()) {
    const Step step = spell_out(scan, shows);
    if (step != Step::keep) return step;
  }
  const bool spelled = shows && server_->spells(name);
  const auto has = name.empty() || spelled
                       ? Prepared::Has::yes
                       : server_->prepared().has(value.statement, server_->group());
  if (has == Prepared::Has::unsure) return wait_for_replies(false);
  if (want == Want::bind && value.shape != 0 && !name.empty() && !spelled) {
    const Step step = check_shape(name, value, has == Prepared::Has::yes);
    if (step != Step::keep) return step;
  }
  if (claims_sequences(scan) && server_->pipeline().groups() > 0) return wait_for_replies(false);
  if (portal && (!heed_names(value.statement->text(), marks) || !hide_others()))
    return wait_for_replies(false);
  altered_ |= scan.alters;
  if (scan.unsettles) barrier_ = true;
  if (portal) {
    if (concerns(scan)) {
      const auto& found = value.statement->analysis();
      // In an aborted block PostgreSQL refuses it anyway, and says so.
      const bool aborted = server_->status() == 'E' && server_->pipeline().quiet();
      const Pins refused = aborted ? Pins{0} : forbidden(found, value.statement->text());
      if (refused != 0) return refuse_bind(refused);
      portal->flags |= heed(found);
    }
    if (!value.deallocates.empty()) {
      portal->deallocates = value.deallocates;
      portal->flags |= Expected::client_op | Expected::stands_in;
      stand_in(false);
    }
    server_->watch.texts.note(server_->group(), server_->answered(), value.statement);
  }
  if (name.empty()) {
    if (server_->unnamed != value.token) {
      const bool quiet = server_->pipeline().quiet();
      cut();
      std::string out;
      wire::write_parse(out, {}, value.statement->text(), value.statement->types());
      server_->send(out);
      server_->expect({.want = Want::parse, .flags = Expected::ours});
      // In an aborted block PostgreSQL refuses most of them: then the next use must find out anew.
      const char status = server_->status();
      const bool taken = status == 'I' || (status == 'T' && quiet);
      server_->unnamed = taken ? value.token : 0;
    }
    return Step::keep;
  }
  if (spelled) {
    server_name = name;
    return Step::replaced;
  }
  if (has == Prepared::Has::no) {
    cut();
    server_->replay(value.statement, false);
    if (altered_) {  // it may be understood otherwise than for everybody else
      server_->taint(value.statement);
      server_->make_dirty();
    }
  }
  server_name = value.statement->server_name();
  return Step::replaced;
}

// A client that was told what the statement gives may rely on it, and PostgreSQL keeps that
// promise: once the tables have changed it says so instead of giving rows of another shape. A
// server that learned the statement after the change knows nothing of the promise, so it is asked
// what it would give; once for each statement and server.
Client::Step Client::check_shape(Bytes name, const Names::Value& value, bool taught) {
  const auto& pipeline = server_->pipeline();
  if (pipeline.skipping() || pipeline.copying_in() || server_->status() == 'E') return Step::keep;
  const auto shape = taught ? server_->prepared().shape(value.statement) : 0;
  if (shape == value.shape) return Step::keep;
  if (shape == 0) {
    cut();
    if (!taught) server_->replay(value.statement, false);
    server_->describe(value.statement, name, true);
    return wait_for_replies(false);
  }
  schema_changed();  // who prepares it anew must get another statement
  return refuse(kStale, name, Want::bind);
}

Client::Step Client::on_bind(const Frame& frame) {
  const auto front = wire::read_bind_front(frame.here);
  if (!front && frame.whole)
    return end_with(Error(Code::protocol, "a Bind message has no end of its names"));
  if (!front) return end_with(Error(Code::too_large, "the names in a Bind message are too long"));
  std::string server_name;
  const bool first = server_->pipeline().quiet();
  Portal portal;
  const Step step = reach(front->statement, Want::bind, server_name, &portal);
  if (step == Step::stall || step == Step::drop) return step;
  const bool noted = rare_ && !rare_->portals.empty();
  if ((noted || portal.flags != 0) && !note_portal(front->portal, std::move(portal)))
    return end_with(Error(Code::too_large, fmt::format("more than {} portals", kPortalsMax)));
  if (first && step == Step::replaced && server_->pipeline().quiet() && server_->status() == 'I') {
    cut();
    server_->begin_group_of(names().look(front->statement, server_->group()).value->statement);
  }
  server_->expect({.want = Want::bind, .flags = Expected::renamed});
  if (step == Step::keep) return step;
  cut();
  std::string out;
  wire::write_bind_front(out, front->portal, server_name,
                         frame.total - wire::kHeaderBytes - front->bytes);
  server_->send(out);
  run_ = at_ + wire::kHeaderBytes + front->bytes;
  return Step::replaced;
}

Client::Step Client::on_describe(const Frame& frame) {
  if (mode_ == config::Mode::session && !frame.whole)
    return end_with(Error(Code::too_large, "the name in a Describe message is too long"));
  if (!frame.whole)
    return end_with(Error(Code::too_large, "the name in a Describe message is too long"));
  const auto target = wire::read_target(frame.here);
  if (!target) return end_with(target.error());
  const Want want = target->kind == 'S' ? Want::describe_statement : Want::describe_portal;
  if (mode_ == config::Mode::session || target->kind == 'P') return pass(want);
  std::string server_name;
  const Step step = reach(target->name, want, server_name);
  if (step == Step::stall || step == Step::drop) return step;
  if (step == Step::keep) return pass(want, Expected::renamed);
  cut();
  const auto look = names().look(target->name, server_->group());
  server_->describe(look.value->statement, target->name, false);
  return Step::drop;
}

// False: there are too many.
bool Client::note_portal(Bytes name, Portal portal) {
  if (portal.flags == 0) {
    rare().portals.erase(std::string(name));
    return true;
  }
  rare().portals.insert_or_assign(std::string(name), std::move(portal));
  return rare_->portals.size() <= kPortalsMax;
}

// The statement stays on the server for others: only the client's name goes.
Client::Step Client::on_close(const Frame& frame) {
  if (!frame.whole)
    return end_with(Error(Code::too_large, "the name in a Close message is too long"));
  const auto target = wire::read_target(frame.here);
  if (!target) return end_with(target.error());
  if (target->kind == 'P') return pass(Want::close);
  const auto group = server_->group();
  const auto look = names().look(target->name, group);
  if (look.unsure) return wait_for_replies(false);
  std::uint16_t flags = 0;
  if (look.value) {
    names().undefine(target->name, group);
    flags = Expected::client_op;
  }
  if (target->name.empty()) {
    server_->unnamed = 0;
    return pass(Want::close, flags);
  }
  if (!look.value && may_be_of_sql(target->name)) {
    server_->make_dirty();
    return pass(Want::close);
  }
  cut();
  if (server_->pipeline().copying_in()) {  // it makes the COPY fail, and so it must be sent
    std::string out;
    wire::write_close(out, 'S', "pgweir_gone");
    server_->send(out);
    server_->expect({.want = Want::close, .flags = flags});
    return Step::drop;
  }
  server_->expect({.want = Want::invent, .flags = flags, .tag = '3'});
  server_->deliver_invented();
  return Step::drop;
}

// DEALLOCATE of a protocol-level statement's name is carried out on a statement made for the
// purpose: the shared one must stay, and PostgreSQL's answer is wanted, whatever it is.
void Client::stand_in(bool simple) {
  cut();
  std::string out;
  wire::write_close(out, 'S', "pgweir_gone");
  std::uint16_t flags = Expected::ours;
  if (simple) {  // a simple query drops the unnamed statement, too
    names().undefine({}, server_->group());
    flags |= Expected::client_op;
  }
  server_->expect({.want = Want::close, .flags = flags});
  wire::write_parse(out, "pgweir_gone", {}, Bytes("\0\0", 2));
  server_->expect({.want = Want::parse, .flags = Expected::ours});
  server_->send(out);
}

void Client::deliver_renamed_error(Bytes message) {
  const auto fields = wire::read_fields(message.substr(wire::kHeaderBytes));
  if (deliver_cancelled(fields.sqlstate)) return;
  const auto at = fields.message.find("pgweir_");
  if (at == Bytes::npos) return deliver(message);
  const auto close = fields.message.find('"', at);
  const Bytes found = fields.message.substr(at, close == Bytes::npos ? Bytes::npos : close - at);
  std::string out;
  const auto say = [&](Code code, const std::string& text, std::string_view hint = {}) {
    wire::write_error(out, wire::Severity::error, sqlstate(code), text, hint);
    deliver(out);
  };
  if (found.starts_with(kForbidden)) {
    wire::write_error(out, wire::Severity::error, refusal_of(found.substr(kForbidden.size())));
    return deliver(out);
  }
  if (found.starts_with(kTaken))
    return say(Code::duplicate_statement, fmt::format("prepared statement \"{}\" already exists",
                                                      found.substr(kTaken.size())));
  if (found.starts_with(kStale)) {
    wire::write_error(out, wire::Severity::error, sqlstate(Code::unsupported),
                      "cached plan must not change result type", {}, {}, "RevalidateCachedQuery");
    return deliver(out);
  }
  if (found.starts_with(kTooMany))
    return say(
        Code::too_large,
        fmt::format("this client has {} prepared statements, which is the limit", names().count()),
        "The limit is client_statements.");
  if (found.starts_with(kTooBig))
    return say(Code::too_large,
               fmt::format("prepared statements take {} bytes, and the limit is {} bytes",
                           worker_.statements().bytes(), worker_.settings().statements_bytes),
               "The limit is statements_bytes.");
  std::string text(fields.message);
  if (found.starts_with(kNone)) {
    if (found.size() == kNone.size())
      return say(Code::unknown_statement, "unnamed prepared statement does not exist");
    text.replace(at, kNone.size(), "");
  } else if (const auto* name = names().name_of(found)) {
    text.replace(at, found.size(), *name);
  }
  wire::write_error(out, wire::Severity::error, fields.sqlstate, text, fields.hint, fields.detail);
  deliver(out);
}

}  // namespace pgw::client

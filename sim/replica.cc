#include "replica.h"

#include "request.h"
#include "wire.h"

namespace pgw::sim {

Replica::Replica(SimLoop& loop, ClientPlan plan, Rules rules, Random random)
    : loop_(loop),
      plan_(std::move(plan)),
      rules_(rules),
      random_(random),
      rounds_(static_cast<unsigned>(random_.between(1, 5))),
      timer_([](void* self) { static_cast<Replica*>(self)->next(); }, this) {}

std::string Replica::describe() const {
  return fmt::format("replica {}: {} rounds left, {} messages wanted", plan_.number, rounds_,
                     wanted_.size());
}

void Replica::fail(std::string_view text) {
  loop_.simulation().fail(fmt::format("replica {}: {}", plan_.number, text));
}

void Replica::on_connected() {
  prover_.emplace(plan_.user, plan_.password, random_.fork());
  stream_->send(startup_packet(196608, {{"user", plan_.user},
                                        {"database", plan_.database},
                                        {"replication", "database"},
                                        {"application_name", fmt::format("c{}.0", plan_.number)}}));
}

void Replica::on_bytes(Bytes bytes) {
  framer_.feed(bytes);
  while (stream_) {
    const auto message = framer_.next();
    if (!message) break;
    loop_.simulation().trace("replica {} {}", plan_.number, readable(*message, false));
    take(*message);
  }
  if (framer_.broken()) fail("the server's bytes are no messages");
}

void Replica::take(const Message& m) {
  if (m.type == 'E' && error_field(m.body, 'S') == "FATAL") {
    told_ = true;
    const bool login = rules_.new_passwords && error_field(m.body, 'C') == "28P01";
    if (!may_break() && !login) fail(fmt::format("unexpected {}", readable(m, false)));
    return;
  }
  if (told_) return fail("a message after FATAL");
  if (!ready_) {
    if (m.type == 'R') stream_->send(prover_->answer(m.body));
    if (m.type == 'Z') {
      ready_ = true;
      loop_.arm(timer_, Duration(random_.below(20'000)));
    }
    return;
  }
  if (wanted_.empty() || !(wanted_.front() == m)) {
    return fail(fmt::format("got {}, wanted {}", readable(m, false),
                            wanted_.empty() ? "nothing" : readable(wanted_.front(), false)));
  }
  wanted_.pop_front();
  if (wanted_.empty()) loop_.arm(timer_, Duration(random_.below(200'000)));
}

void Replica::ask(const Statement& statement) {
  stream_->send(frame('Q', Body().text(render(statement)).take()));
}

void Replica::next() {
  if (finished_) return;
  if (!stream_) {
    stream_ = loop_.connect(plan_.address, *this);
    return;
  }
  if (streaming_) {  // its reports, and the end
    streaming_ = false;
    for (std::size_t i = random_.below(20); i > 0; --i)
      stream_->send(frame('d', fmt::format("c{}.{} report", plan_.number, ++tokens_)));
    if (random_.chance(200)) return finish();
    stream_->send(frame('c', ""));
    want('c', "");
    want('C', Body().text("START_STREAMING").take());
    return want('Z', "I");
  }
  if (rounds_-- == 0) return finish();
  Statement s{random_.chance(400) ? Kind::echo : Kind::replicate,
              fmt::format("c{}.{}", plan_.number, ++tokens_)};
  if (s.kind == Kind::echo) {
    ask(s);
    want('T', row_description({{"echo", 0}}));
    want('D', data_row({s.token}));
    want('C', Body().text("SELECT 1").take());
    return want('Z', "I");
  }
  s.rows = static_cast<std::uint32_t>(random_.between(1, 300));
  ask(s);
  streaming_ = true;
  want('W', Body().u8(0).u16(0).take());
  for (std::uint32_t i = 0; i < s.rows; ++i) want('d', copy_row(s, i));
}

void Replica::finish() {
  finished_ = true;
  if (random_.chance(500)) stream_->send(frame('X', ""));
  net::Stream::close_gently(std::move(stream_), 5s);
}

void Replica::on_end(const Error& why) {
  stream_.reset();
  timer_.disarm();
  finished_ = true;
  if (!told_ && !may_break()) fail(fmt::format("the connection ended: {}", why.what()));
}

}  // namespace pgw::sim

// The scripted client: what it does of its own accord.
#include "client.h"

namespace pgw::sim {

void Client::act() {
  if (stage_ == Stage::waiting) return connect();
  if (stage_ != Stage::ready || sim_.failure()) return;
  if (plan_.lingers > 0 && linger()) return;
  if (random_.chance(plan_.vanishes)) return vanish();
  const bool idle = model_.idle();
  if (idle) {
    in_flight_ = 0;
    ahead_ = model_;
  }
  if (wants_to_leave_ || batches_left_ == 0) {
    if (!idle) return;
    return leave();
  }
  if (in_flight_ < plan_.depth) send_batch();
  if (!stream_) return;
  if (has_key_ && random_.chance(plan_.cancels)) send_cancel();
  // Deep clients go on without waiting; the others are woken by the last reply.
  if (model_.idle() || in_flight_ < plan_.depth) wait(plan_.think_most);
}

void Client::send_batch() {
  --batches_left_;
  ++in_flight_;
  send(script_.batch(ahead_));
}

void Client::send(const std::vector<Request>& requests) {
  std::string bytes;
  note_sent();
  for (const Request& r : requests) {
    tell_board(r);
    std::string one = encode(r);
    if (sim_.tracing()) sim_.trace("c{} {}", plan_.number, readable({one[0], one.substr(5)}, true));
    bytes += one;
    model_.push(r);
    ahead_.push(r);
    ahead_.run_ahead();
  }
  if (random_.chance(plan_.vanishes)) {  // in the middle of a message
    bytes.resize(random_.below(bytes.size() + 1));
    stream_->send(bytes);
    return vanish();
  }
  stream_->send(bytes);
}

void Client::after_reply() {
  if (!stream_ || stage_ != Stage::ready || sim_.failure()) return;
  if (plan_.vanishes && random_.chance(plan_.vanishes / 10)) return vanish();
  if (model_.idle() && !timer_.armed()) wait(plan_.think_most);
}

// The end of the script.
void Client::leave() {
  const bool open =
      model_.status() != 'I' || model_.in_copy() || model_.pipeline_open() || model_.skipping();
  if (open && !random_.chance(plan_.leaves_open)) {
    wants_to_leave_ = true;
    send(script_.settle(model_));
    if (stream_ && model_.idle()) wait(plan_.think_most);
    return;
  }
  if (!open && awaits_notifications()) return;
  off_board();
  settled_ = !open;
  sim_.trace("c{} leaves", plan_.number);
  stage_ = Stage::finished;
  timer_.disarm();
  pause_timer_.disarm();
  stream_->resume();
  if (random_.chance(800)) stream_->send(frame('X', ""));
  net::Stream::close_gently(std::move(stream_), 5s);
}

// Goes without a word: a reset, an orderly end in the middle of something, or silence.
void Client::vanish() {
  sim_.trace("c{} vanishes", plan_.number);
  off_board();
  switch (random_.below(4)) {
    case 0:
      link_->break_now();
      break;
    case 1:
      if (rules_.faults) link_->go_silent();
      break;
    case 2:
      net::Stream::close_gently(std::move(stream_), 1s);
      break;
    default:
      break;
  }
  stream_.reset();
  pause_timer_.disarm();
  again_or_finish();
}

void Client::again_or_finish() {
  timer_.disarm();
  pause_timer_.disarm();
  if (sim_.failure()) return;
  if (plan_.reconnects == 0 || batches_left_ == 0) {
    stage_ = Stage::finished;
    return;
  }
  --plan_.reconnects;
  stage_ = Stage::waiting;
  wait(plan_.think_most + 50ms);
}

void Client::maybe_pause() {
  if (!stream_ || paused_ || stage_ != Stage::ready || !random_.chance(plan_.sleeps)) return;
  paused_ = true;
  stream_->pause();
  loop_.arm(pause_timer_, Duration(random_.below(200'000)));
}

}  // namespace pgw::sim

#include "sim_loop.h"

#include <algorithm>

#include "base/check.h"
#include "network.h"

namespace pgw::sim {

SimLoop::SimLoop(Simulation& sim, Network& network, std::string name)
    : sim_(sim),
      network_(network),
      name_(std::move(name)),
      alive_(std::make_shared<SimLoop*>(this)) {
  now_ = sim_.now();
}

SimLoop::~SimLoop() {
  *alive_ = nullptr;
  PGW_ASSERT(streams == 0);
}

void SimLoop::run() {
  while (!stopped_ && sim_.step()) {
  }
}

void SimLoop::ready(std::move_only_function<void()> work) {
  ready_.push_back(std::move(work));
  schedule_turn(sim_.random.chance(30) ? 2ms : 30us);
}

void SimLoop::flush_later(std::shared_ptr<Link> link, int side) {
  dirty_.emplace_back(std::move(link), side);
  schedule_turn(30us);
}

void SimLoop::post(std::move_only_function<void()> work) {
  const void* poster = sim_.current_loop;
  Time& last = last_post_[poster];
  const Duration wait(sim_.random.below(sim_.random.chance(50) ? 3000 : 60));
  last = std::max(last, sim_.now() + wait);
  sim_.at(last, [alive = alive_, w = std::move(work)]() mutable {
    SimLoop* self = *alive;
    if (self && !self->stopped_) self->ready(std::move(w));
  });
}

void SimLoop::arm(net::Timer& timer, Duration after) {
  const Time from = sim_.current_loop == this ? now_ : std::max(now_, sim_.now());
  timers_.arm(timer, from + after);
  schedule_timers();
}

void SimLoop::schedule_timers() {
  const auto due = timers_.next();
  if (!due || *due >= wake_) return;
  wake_ = *due;
  const Time when = std::max(*due, sim_.now()) + Duration(sim_.random.below(1000));
  sim_.at(when, [alive = alive_, due = *due] {
    SimLoop* self = *alive;
    if (!self || self->stopped_) return;
    if (self->wake_ == due) self->wake_ = Time::max();
    self->schedule_turn(0us);
  });
}

void SimLoop::schedule_turn(Duration within) {
  if (turn_scheduled_) return;
  turn_scheduled_ = true;
  const Duration wait(sim_.random.below(static_cast<std::size_t>(within.count()) + 1));
  sim_.after(wait, [alive = alive_] {
    if (SimLoop* self = *alive) self->turn();
  });
}

void SimLoop::turn() {
  turn_scheduled_ = false;
  if (stopped_) return;
  now_ = sim_.now();
  sim_.current_loop = this;
  timers_.run(now_);
  // Sometimes only a part of what is ready was seen by this turn.
  std::size_t n = ready_.size();
  if (n > 1 && sim_.random.chance(150)) n = sim_.random.between(1, n);
  while (n-- > 0 && !stopped_) {
    auto work = std::move(ready_.front());
    ready_.pop_front();
    work();
  }
  flush_all();
  sim_.current_loop = nullptr;
  schedule_timers();
  if (!ready_.empty()) schedule_turn(10us);
}

void SimLoop::flush_all() {
  std::vector<std::pair<std::shared_ptr<Link>, int>> now;
  now.swap(dirty_);
  for (const auto& [link, side] : now) {
    link->end(side).dirty = false;
    link->flush(side);
  }
}

Result<std::unique_ptr<net::Listener>> SimLoop::listen(const net::Address& address,
                                                       net::ListenSink& sink) {
  if (address.kind == net::Address::Kind::unix_path && network_.taken(address))
    return fail(Code::io, "{} is taken", address.host);
  return std::make_unique<SimListener>(*this, address, sink);
}

std::unique_ptr<net::Stream> SimLoop::connect(const net::Address& address, net::StreamSink& sink) {
  return network_.connect(*this, address, sink);
}

std::unique_ptr<net::Stream> SimLoop::adopt(net::Detached detached, net::StreamSink& sink) {
  const auto [link, side] = network_.find(detached.handle);
  PGW_ASSERT(link != nullptr);
  network_.forget(detached.handle);
  auto stream = std::make_unique<SimStream>(*this, link, side);
  link->adopt(side, *this, *stream, sink, std::move(detached));
  return stream;
}

void SimLoop::close_detached(net::Detached detached) {
  const auto [link, side] = network_.find(detached.handle);
  PGW_ASSERT(link != nullptr);
  network_.forget(detached.handle);
  link->end(side).detached = false;
  link->close(side);
}

unsigned SimLoop::lingering() const { return network_.lingering(*this); }

SimStream::SimStream(SimLoop& loop, std::shared_ptr<Link> link, int side)
    : loop_(loop), link_(std::move(link)), side_(side) {
  Link::End& e = link_->end(side);
  e.loop = &loop;
  e.stream = this;
  ++loop_.streams;
}

SimStream::~SimStream() {
  --loop_.streams;
  if (link_) link_->close(side_);
}

std::string SimStream::peer() const {
  if (link_->to().kind == net::Address::Kind::unix_path) return "unix";
  return fmt::format("127.0.0.1:{}", 20000 + link_->number() % 20000);
}

void SimStream::start_closing(std::unique_ptr<net::Stream> self, Duration linger) {
  const auto link = std::move(link_);
  link->close_gently(side_, linger);
  self.reset();
}

void SimStream::start_detaching(std::unique_ptr<net::Stream> self,
                                std::move_only_function<void(net::Detached)> done) {
  const auto link = std::move(link_);
  const int side = side_;
  SimLoop& loop = loop_;
  Link::End& e = link->end(side);
  e.stream = nullptr;
  e.sink = nullptr;
  e.detached = true;
  self.reset();
  loop.ready([&loop, link, side, then = std::move(done)]() mutable {
    net::Detached out = link->detach(side);
    loop.network().keep_detached(link, out.handle);
    then(std::move(out));
  });
}

}  // namespace pgw::sim

#include "link.h"

#include <algorithm>

#include "base/check.h"
#include "sim_loop.h"

namespace pgw::sim {

Link::Link(Simulation& sim, Weather& weather, int number, net::Address to)
    : sim_(sim), weather_(weather), number_(number), to_(std::move(to)) {}

Duration Link::latency() {
  Random& random = sim_.random;
  if (random.chance(weather_.slow))
    return Duration(random.below(static_cast<std::size_t>(weather_.slow_most.count()) + 1));
  return Duration(random.between(static_cast<std::size_t>(weather_.latency_least.count()),
                                 static_cast<std::size_t>(weather_.latency_most.count())));
}

// Where to cut the bytes that go out now: at the very start, at the very end, or anywhere.
std::size_t Link::cut(std::size_t most) {
  Random& random = sim_.random;
  if (most < 2 || !random.chance(weather_.split)) return most;
  switch (random.below(4)) {
    case 0:
      return random.between(1, std::min<std::size_t>(most, 6));
    case 1:
      return most - random.between(1, std::min<std::size_t>(most - 1, 6));
    default:
      return random.between(1, most);
  }
}

void Link::send(int side, Bytes bytes) {
  End& e = end(side);
  if (e.ended || e.reset || bytes.empty()) return;
  Pipe& pipe = pipes_[at(side)];
  pipe.unsent.append(bytes);
  if (pipe.unsent.size() >= net::Stream::kHighWater) e.over_high = true;
  if (!e.dirty && e.loop) {
    e.dirty = true;
    e.loop->flush_later(shared_from_this(), side);
  }
}

void Link::flush(int side) {
  End& e = end(side);
  Pipe& pipe = pipes_[at(side)];
  if (!e.established || e.reset || e.closed || e.detached || silent_) return;
  std::size_t done = 0;
  while (done < pipe.unsent.size()) {
    const std::size_t used = pipe.flying + pipe.arrived.size();
    if (used >= weather_.window) break;
    const std::size_t n = cut(std::min(weather_.window - used, pipe.unsent.size() - done));
    launch(side, pipe.unsent.substr(done, n));
    done += n;
    if (e.reset || silent_) break;
  }
  pipe.unsent.erase(0, done);
  if (e.over_high && pipe.unsent.size() <= net::Stream::kLowWater) {
    e.over_high = false;
    if (e.stream && e.loop) {
      e.loop->ready([self = shared_from_this(), side] {
        const End& it = self->end(side);
        if (it.stream && it.sink && !it.ended) it.sink->on_drained();
      });
    }
  }
  if (pipe.fin_wanted && pipe.unsent.empty()) want_fin(side);
}

void Link::launch(int side, std::string chunk) {
  Pipe& pipe = pipes_[at(side)];
  if (sim_.random.chance(weather_.break_chunk)) {
    if (sim_.random.chance(150)) return go_silent();
    // The break comes somewhere in the flight: what was sent before it may arrive or not.
    const Duration when = latency();
    sim_.after(when, [self = shared_from_this()] { self->break_now(); });
  }
  pipe.flying += chunk.size();
  pipe.last_arrival = std::max(pipe.last_arrival, sim_.now() + latency());
  sim_.at(pipe.last_arrival, [self = shared_from_this(), side, bytes = std::move(chunk)]() mutable {
    self->arrive(side, std::move(bytes));
  });
}

void Link::arrive(int side, std::string chunk) {
  Pipe& pipe = pipes_[at(side)];
  pipe.flying -= std::min(pipe.flying, chunk.size());
  End& to = end(1 - side);
  if (silent_ || to.reset) return;
  if (to.closed) return send_reset(1 - side);
  if (to.closing) return window_opened(side);
  pipe.arrived += chunk;
  queue_read(1 - side);
}

void Link::arrive_fin(int side) {
  End& to = end(1 - side);
  if (silent_ || to.reset || to.closed) return;
  pipes_[at(side)].fin_arrived = true;
  if (to.closing) {
    if (pipes_[at(1 - side)].unsent.empty()) to.closed = true;
    return;
  }
  if (to.paused) return queue_end(1 - side);
  queue_read(1 - side);
}

void Link::arrive_reset(int side) {
  End& e = end(side);
  if (silent_ || e.closed || e.reset) return;
  e.reset = true;
  pipes_[at(side)].unsent.clear();
  pipes_[at(1 - side)].arrived.clear();
  if (e.closing) {
    e.closed = true;
    return;
  }
  queue_end(side);
}

void Link::send_reset(int side) {
  const Time when = std::max(pipes_[at(side)].last_arrival, sim_.now() + latency());
  sim_.at(when, [self = shared_from_this(), side] { self->arrive_reset(1 - side); });
}

void Link::want_fin(int side) {
  Pipe& pipe = pipes_[at(side)];
  if (pipe.fin_sent) return;
  pipe.fin_sent = true;
  pipe.last_arrival = std::max(pipe.last_arrival, sim_.now() + latency());
  sim_.at(pipe.last_arrival, [self = shared_from_this(), side] { self->arrive_fin(side); });
}

void Link::queue_read(int side) {
  End& e = end(side);
  if (e.read_queued || e.paused || e.detached || !e.stream || !e.sink || !e.established) return;
  e.read_queued = true;
  e.loop->ready([self = shared_from_this(), side] { self->deliver(side); });
}

void Link::deliver(int side) {
  End& e = end(side);
  e.read_queued = false;
  if (!e.stream || !e.sink || e.paused || e.ended || e.detached) return;
  Pipe& from = pipes_[at(1 - side)];
  if (!from.arrived.empty()) {
    const std::size_t n = cut(from.arrived.size());
    std::string taken = from.arrived.substr(0, n);
    from.arrived.erase(0, n);
    window_opened(1 - side);
    const auto keep = shared_from_this();
    e.sink->on_bytes(taken);
    if (e.stream && (!from.arrived.empty() || from.fin_arrived)) queue_read(side);
    return;
  }
  if (from.fin_arrived) queue_end(side);
}

void Link::queue_end(int side) {
  End& e = end(side);
  if (e.ended || !e.stream || !e.loop || e.detached) return;
  e.loop->ready([self = shared_from_this(), side] {
    End& it = self->end(side);
    if (it.ended || !it.stream || !it.sink || it.detached) return;
    it.ended = true;
    const Error why = it.reset ? Error(Code::connection, "the connection was reset")
                               : Error(Code::closed, "the peer closed the connection");
    it.sink->on_end(why);
  });
}

void Link::window_opened(int side) {
  Pipe& pipe = pipes_[at(side)];
  if (pipe.flush_queued || pipe.unsent.empty()) return;
  pipe.flush_queued = true;
  sim_.after(latency(), [self = shared_from_this(), side] {
    self->pipes_[self->at(side)].flush_queued = false;
    self->flush(side);
  });
}

void Link::pause(int side) {
  End& e = end(side);
  e.paused = true;
  if (pipes_[at(1 - side)].fin_arrived) queue_end(side);
}

void Link::resume(int side) {
  End& e = end(side);
  e.paused = false;
  const Pipe& from = pipes_[at(1 - side)];
  if (!from.arrived.empty() || from.fin_arrived) queue_read(side);
}

void Link::set_sink(int side, net::StreamSink& sink) {
  End& e = end(side);
  e.sink = &sink;
  if (e.reset) return queue_end(side);
  const Pipe& from = pipes_[at(1 - side)];
  if (!from.arrived.empty() || from.fin_arrived) queue_read(side);
}

void Link::close(int side) {
  End& e = end(side);
  if (e.closed) return;
  e.closed = true;
  e.stream = nullptr;
  e.sink = nullptr;
  Pipe& out = pipes_[at(side)];
  out.unsent.clear();
  if (e.reset || !ends_[1].loop) return;
  Pipe& in = pipes_[at(1 - side)];
  // As Linux does it: closing with bytes unread is a reset, otherwise an orderly end.
  if (!in.arrived.empty()) {
    in.arrived.clear();
    return send_reset(side);
  }
  want_fin(side);
}

void Link::shut(int side) {
  const End& e = end(side);
  if (e.reset || e.ended || !e.established) return;
  pipes_[at(side)].unsent.clear();
  pipes_[at(side)].fin_wanted = true;
  flush(side);
}

void Link::close_gently(int side, Duration linger) {
  End& e = end(side);
  e.stream = nullptr;
  e.sink = nullptr;
  if (e.reset || e.ended || !e.established) return close(side);
  e.closing = true;
  pipes_[at(1 - side)].arrived.clear();
  pipes_[at(side)].fin_wanted = true;
  flush(side);
  sim_.after(linger, [self = shared_from_this(), side] { self->close(side); });
}

net::Detached Link::detach(int side) {
  End& e = end(side);
  net::Detached out;
  out.handle = number_ * 2 + side;
  std::string& arrived = pipes_[at(1 - side)].arrived;
  const std::size_t n = sim_.random.below(arrived.size() + 1);
  out.unread = arrived.substr(0, n);
  arrived.erase(0, n);
  out.unsent.swap(pipes_[at(side)].unsent);
  e.over_high = false;
  return out;
}

void Link::adopt(int side, SimLoop& loop, SimStream& stream, net::StreamSink& sink,
                 net::Detached was) {
  End& e = end(side);
  PGW_ASSERT(e.detached);
  e.detached = false;
  e.loop = &loop;
  e.stream = &stream;
  e.sink = &sink;
  e.paused = false;
  e.read_queued = false;
  pipes_[at(1 - side)].arrived.insert(0, was.unread);
  if (!was.unsent.empty()) send(side, was.unsent);
  if (e.reset) return queue_end(side);
  const Pipe& from = pipes_[at(1 - side)];
  if (!from.arrived.empty() || from.fin_arrived) queue_read(side);
}

void Link::establish(SimLoop& acceptor) {
  End& e = end(1);
  e.loop = &acceptor;
  e.established = true;
  sim_.after(latency(), [self = shared_from_this()] { self->connected(); });
}

void Link::connected() {
  End& e = end(0);
  if (e.closed || e.reset || silent_) return;
  e.loop->ready([self = shared_from_this()] {
    End& it = self->end(0);
    if (it.closed || it.reset || it.ended || !it.stream) return;
    it.established = true;
    it.sink->on_connected();
    if (!it.stream) return;
    self->flush(0);
    if (!it.paused) self->resume(0);
  });
}

void Link::refuse(int side) {
  End& e = end(side);
  if (e.closed) return;
  e.reset = true;
  queue_end(side);
}

void Link::break_now() {
  if (silent_) return;
  for (const int side : {0, 1}) {
    sim_.after(latency(), [self = shared_from_this(), side] { self->arrive_reset(side); });
  }
}

void Link::go_silent() {
  if (silent_) return;
  silent_ = true;
  sim_.after(weather_.keep_alive, [self = shared_from_this()] {
    self->silent_ = false;
    for (const int side : {0, 1}) self->arrive_reset(side);
  });
}

}  // namespace pgw::sim

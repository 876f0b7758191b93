// A connection in memory: two ends and a pipe each way. It decides when bytes move, how they are
// cut, and when they are lost; the loops' streams (stream.h) only ask and are told.
#pragma once
#include <array>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/time.h"
#include "net/address.h"
#include "net/loop.h"
#include "simulation.h"

namespace pgw::sim {

class SimLoop;
class SimStream;

// How connections behave; one per kind of connection in a world. Chances are per thousand.
struct Weather {
  Duration latency_least = 5us;
  Duration latency_most = 60us;
  unsigned slow = 0;  // chance that a chunk takes up to slow_most instead
  Duration slow_most = 20ms;
  unsigned split = 300;            // chance that a chunk is cut once more
  std::size_t window = 64 * 1024;  // bytes on their way and unread, at most
  unsigned break_chunk = 0;        // chance that the connection breaks with this chunk
  unsigned refuse = 0;             // chance that a connect is refused
  unsigned blackhole = 0;     // chance that a connect, or an established connection, goes silent
  Duration keep_alive = 60s;  // after which a silent connection is reported as broken
};

class Link : public std::enable_shared_from_this<Link> {
 public:
  struct End {
    SimLoop* loop = nullptr;
    SimStream* stream = nullptr;
    net::StreamSink* sink = nullptr;
    bool established = false;  // connected or accepted: bytes may be given to the sink
    bool paused = false;
    bool detached = false;
    bool closing = false;  // close_gently: sends what is left, throws away what comes
    bool closed = false;   // nobody is here any more
    bool reset = false;    // the connection broke
    bool ended = false;    // the sink was told
    bool read_queued = false;
    bool over_high = false;  // queued() reached kHighWater
    bool dirty = false;      // has bytes to flush at the end of the loop's turn
  };

  Link(Simulation& sim, Weather& weather, int number, net::Address to);

  // What streams do. `side` is 0 for who connected, 1 for who accepted.
  void send(int side, Bytes bytes);
  std::size_t queued(int side) const { return pipes_[at(side)].unsent.size(); }
  bool unanswered(int side) const { return silent_ && queued(side) > 0; }
  void pause(int side);
  void resume(int side);
  void set_sink(int side, net::StreamSink& sink);
  void close(int side);
  void close_gently(int side, Duration linger);
  void shut(int side);
  net::Detached detach(int side);
  void adopt(int side, SimLoop& loop, SimStream& stream, net::StreamSink& sink, net::Detached was);
  void flush(int side);
  // A listener has taken the connection, or nobody has.
  void establish(SimLoop& acceptor);
  void connected();
  void refuse(int side);

  // The world's hand.
  void break_now();  // both ends see a reset
  void go_silent();  // nothing moves any more; keep-alive ends it
  End& end(int side) { return ends_[at(side)]; }
  const End& end(int side) const { return ends_[at(side)]; }
  bool gone() const { return ends_[0].closed && ends_[1].closed; }
  int number() const { return number_; }
  const net::Address& to() const { return to_; }

 private:
  struct Pipe {  // from the end of the same index to the other one
    std::string unsent;
    std::size_t flying = 0;
    Time last_arrival{};
    std::string arrived;
    bool fin_wanted = false;
    bool fin_sent = false;
    bool fin_arrived = false;
    bool flush_queued = false;
  };
  static std::size_t at(int side) { return static_cast<std::size_t>(side); }

  Duration latency();
  std::size_t cut(std::size_t most);
  void launch(int side, std::string chunk);
  void arrive(int side, std::string chunk);
  void arrive_fin(int side);
  void arrive_reset(int side);
  void send_reset(int side);  // from this side to the other
  void want_fin(int side);
  void queue_read(int side);
  void deliver(int side);
  void queue_end(int side);
  void window_opened(int side);  // the reader of pipe `side` has taken something

  Simulation& sim_;
  Weather& weather_;
  int number_;
  net::Address to_;
  bool silent_ = false;
  std::array<End, 2> ends_;
  std::array<Pipe, 2> pipes_;
};

}  // namespace pgw::sim

// The event loop as the pooler sees it: completion-based, one thread, callbacks. Three backends
// fulfil this contract: io_uring (net/uring_*), epoll (net/epoll_*), and the simulator's (sim/).
// Everything above it is the same code in all three.
//
// Thread: all of it belongs to the thread that calls run(), but post() and stop(), which anybody
// may call. Re-entrancy: no method calls back before it returns. Sinks are called from run() only.
// Life: a Stream, Listener or Timer may be destroyed at any time, also from inside one of its own
// callbacks; after that it calls nothing any more. All must be destroyed before their loop.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "net/address.h"
#include "net/options.h"
#include "net/timer.h"

namespace pgw::net {

class Stream;

// What a stream tells its owner.
class StreamSink {
 public:
  // connect() has succeeded. Never called for accepted or adopted streams.
  virtual void on_connected() {}
  // Bytes have arrived. The view is valid during the call only, and the owner must take all of
  // them.
  virtual void on_bytes(Bytes bytes) = 0;
  // queued() had reached kHighWater and has now fallen to kLowWater or less.
  virtual void on_drained() {}
  // The last event: the peer closed (Code::closed), the connection broke, could not be made, or a
  // send failed (Code::connection). Bytes that had arrived before were delivered first, unless
  // reading is paused: an end is reported at once also then, because a client that vanished must be
  // noticed (what it had sent is then lost with it, as it is gone).
  virtual void on_end(const Error& why) = 0;

 protected:
  ~StreamSink() = default;
};

// A stream that changes its worker: what adopt() on the other loop needs.
struct Detached {
  int handle =
      -1;  // a descriptor; the simulator's own number there. Owned: adopt or close_detached it.
  std::string unread;  // bytes that had arrived and were not delivered yet
  std::string unsent;  // bytes that were queued and not sent yet
};

class Stream {
 public:
  static constexpr std::size_t kHighWater = 256 * 1024;
  static constexpr std::size_t kLowWater = 64 * 1024;

  // Closes the connection at once; queued bytes that are not sent yet are lost.
  virtual ~Stream() = default;

  virtual void set_sink(StreamSink& sink) = 0;
  // Queues a copy. The loop sends what was queued in as few calls as possible, before it next
  // waits. After the end was seen, bytes are dropped in silence.
  virtual void send(Bytes bytes) = 0;
  // Bytes that send() has taken and the kernel has not.
  virtual std::size_t queued() const = 0;
  // No on_bytes until resume(). Idempotent. What arrives meanwhile stays in the kernel, but for at
  // most one buffer that was on its way.
  virtual void pause() = 0;
  virtual void resume() = 0;
  // Sends what is queued (for at most `linger`), then closes. The stream keeps itself alive for
  // that; the sink hears nothing any more and may die.
  static void close_gently(std::unique_ptr<Stream> stream, Duration linger);
  // Ends our side of the connection now, without what is queued; what the peer still sends is
  // delivered, and then its end. For a peer that must not get the rest of a message, and whose
  // going is to be seen.
  virtual void shut() = 0;
  // A long reply is under way: prefer few large reads to many small ones. A backend may ignore it,
  // and must deliver everything within about a millisecond all the same.
  virtual void expect_bulk(bool /*on*/) {}
  // Takes the stream off this loop; `done` is called later on this loop's thread (never from inside
  // this call). No sink is called from now on. The stream dies before `done` is called.
  static void detach(std::unique_ptr<Stream> stream, std::move_only_function<void(Detached)> done);
  // Bytes were sent, and the peer's kernel has acknowledged nothing at all for at least `span`: its
  // host or the network is gone. Not so of one that is there and does not read.
  virtual bool silent_for(Duration /*span*/) const { return false; }
  // The peer, for logs: "127.0.0.1:51234", "unix".
  virtual std::string peer() const = 0;

 protected:
  // What the two static functions do; the stream owns itself from here on.
  virtual void start_closing(std::unique_ptr<Stream> self, Duration linger) = 0;
  virtual void start_detaching(std::unique_ptr<Stream> self,
                               std::move_only_function<void(Detached)> done) = 0;
};

inline void Stream::close_gently(std::unique_ptr<Stream> stream, Duration linger) {
  Stream& it = *stream;
  it.start_closing(std::move(stream), linger);
}
inline void Stream::detach(std::unique_ptr<Stream> stream,
                           std::move_only_function<void(Detached)> done) {
  Stream& it = *stream;
  it.start_detaching(std::move(stream), std::move(done));
}

class ListenSink {
 public:
  // The owner may destroy it at once (refuse). It has no sink yet: set one in this call, or it must
  // die here.
  virtual void on_accept(std::unique_ptr<Stream> stream) = 0;
  // accept failed for want of descriptors or memory. The listener pauses for 100 ms by itself and
  // goes on.
  virtual void on_accept_failed(const Error& why) = 0;

 protected:
  ~ListenSink() = default;
};

class Listener {
 public:
  virtual ~Listener() = default;               // stops listening; a Unix socket's file is removed
  virtual const Address& address() const = 0;  // with the port that was chosen when 0 was asked for
};

class Loop {
 public:
  virtual ~Loop() = default;

  // Runs until stop(). Call once.
  virtual void run() = 0;
  virtual void stop() = 0;  // any thread; run() returns soon
  // The time, read once per turn.
  virtual Time now() const = 0;
  // Runs `work` on the loop's thread, soon, in the order of posting by one poster. Any thread.
  // Never from inside this call. Work posted after the loop's end is destroyed without being run.
  virtual void post(std::move_only_function<void()> work) = 0;
  // Fires once at now() + `after` or up to 2 ms later, never earlier. Arming an armed timer moves
  // it.
  virtual void arm(Timer& timer, Duration after) = 0;
  // TCP with SO_REUSEPORT (each worker opens its own), or a Unix socket (one worker opens it; a
  // stale file of a listener that is gone is replaced, mode 0777). backlog 4096.
  virtual Result<std::unique_ptr<Listener>> listen(const Address& address, ListenSink& sink) = 0;
  // Starts to connect; on_connected or on_end follows. TCP_NODELAY and keep-alive are set on all
  // TCP streams.
  virtual std::unique_ptr<Stream> connect(const Address& address, StreamSink& sink) = 0;
  virtual std::unique_ptr<Stream> adopt(Detached detached, StreamSink& sink) = 0;
  virtual void close_detached(Detached detached) = 0;
  // Streams that were closed gently and have bytes left to send. Any thread.
  virtual unsigned lingering() const = 0;
  virtual const char* name() const = 0;  // "epoll", "io_uring", "sim"
};

enum class Backend : std::uint8_t { automatic, io_uring, epoll };
// A loop of the wanted kind. automatic: io_uring where a probe says that all that is needed works,
// else epoll. Fails when io_uring was asked for by name and is not there.
Result<std::unique_ptr<Loop>> make_loop(Backend backend, const SocketOptions& options = {});

// Slow work (password hashing; another one's: DNS) on threads of its own; `done` runs on `home`.
class Offload {
 public:
  virtual ~Offload() = default;  // waits for the work that has begun
  virtual void submit(Loop& home, std::move_only_function<void()> work,
                      std::move_only_function<void()> done) = 0;
  // How much has not begun yet. Any thread.
  virtual std::size_t waiting() const = 0;
};
std::unique_ptr<Offload> make_offload(unsigned threads);

// Names to addresses. Numeric hosts and paths answer without asking anybody. Results are kept for
// 15 s, failures for 2 s. Thread: any; `done` runs on `home`, never from inside this call.
class Resolver {
 public:
  using Answer = std::move_only_function<void(Result<std::vector<Address>>)>;
  virtual ~Resolver() = default;
  virtual void resolve(Loop& home, const std::string& host, std::uint16_t port, Answer done) = 0;
};
std::unique_ptr<Resolver> make_resolver(Offload& offload);

}  // namespace pgw::net

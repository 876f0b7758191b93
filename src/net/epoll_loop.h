// The event loop on epoll: each descriptor is registered once, edge-triggered; waiting is a flag.
// Streams that have bytes to send, or more to read, stand in lists that are worked off before the
// next wait.
#pragma once
#include <sys/epoll.h>

#include <array>
#include <memory>
#include <unordered_map>

#include "base/list.h"
#include "net/loop_base.h"
#include "net/sockets.h"

namespace pgw::net {

// What a registered descriptor belongs to.
class Pollable {
 public:
  virtual void on_events(std::uint32_t events) = 0;
  // Its turn in the list of those that asked for another one.
  virtual void on_again() = 0;
  // Time to send what was queued.
  virtual void on_flush() {}
  ListHook again_hook;
  ListHook dirty_hook;

 protected:
  ~Pollable() = default;
};

class EpollLoop final : public LoopBase {
 public:
  static constexpr std::size_t kReadBytes = 256 * 1024;

  explicit EpollLoop(const SocketOptions& options);
  ~EpollLoop() override;

  void run() override;
  Result<std::unique_ptr<Listener>> listen(const Address& address, ListenSink& sink) override;
  std::unique_ptr<Stream> connect(const Address& address, StreamSink& sink) override;
  std::unique_ptr<Stream> adopt(Detached detached, StreamSink& sink) override;
  void close_detached(Detached detached) override { Fd(detached.handle).reset(); }
  const char* name() const override { return "epoll"; }

  // For streams and listeners.
  int watch(int fd, std::uint32_t events, Pollable& pollable);    // 0 or errno
  int rewatch(int fd, std::uint32_t events, Pollable& pollable);  // the same
  void unwatch(int fd);
  void forget(Pollable& pollable);  // it dies: no event of the batch may reach it
  void again(Pollable& pollable) {
    if (!pollable.again_hook.linked()) again_.push_back(pollable);
  }
  void flush_later(Pollable& pollable) {
    if (!pollable.dirty_hook.linked()) dirty_.push_back(pollable);
  }
  char* buffer() { return buffer_.get(); }
  void keep(std::unique_ptr<Stream> stream);  // until drop() or the loop's end
  void drop(Stream& stream);

  // A sink is being called: whose. Cleared when that stream dies meanwhile.
  Pollable* calling = nullptr;

 private:
  static constexpr int kBatch = 128;

  int wait(bool busy);
  void dispatch(int count);
  void work_again_list();
  void flush();

  Fd epoll_;
  bool fine_wait_ = true;  // epoll_pwait2 is there
  std::array<epoll_event, kBatch> events_{};
  int next_event_ = 0;
  int event_count_ = 0;
  std::unique_ptr<char[]> buffer_;
  List<Pollable, &Pollable::again_hook> again_;
  List<Pollable, &Pollable::dirty_hook> dirty_;
  std::unordered_map<Stream*, std::unique_ptr<Stream>> kept_;
};

}  // namespace pgw::net

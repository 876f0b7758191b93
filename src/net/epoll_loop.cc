#include "net/epoll_loop.h"

#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/check.h"
#include "net/epoll_listener.h"
#include "net/epoll_stream.h"

namespace pgw::net {
namespace {

// So many events are worked off before their replies leave: few enough that the first does not wait
// long.
constexpr int kFlushEvery = 16;
// Sending may drain streams, whose owners queue more. After so many rounds the others get their
// turn.
constexpr int kFlushRounds = 4;

}  // namespace

EpollLoop::EpollLoop(const SocketOptions& options)
    : LoopBase(options),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      buffer_(std::make_unique_for_overwrite<char[]>(kReadBytes)) {
  PGW_ASSERT(epoll_);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;  // the mailbox: nothing to do but to wake up
  PGW_ASSERT(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, mailbox_.descriptor(), &event) == 0);
}

EpollLoop::~EpollLoop() {
  mailbox_.close();  // work may own streams
  kept_.clear();
}

int EpollLoop::watch(int fd, std::uint32_t events, Pollable& pollable) {
  epoll_event event{};
  event.events = events | EPOLLET;
  event.data.ptr = &pollable;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

int EpollLoop::rewatch(int fd, std::uint32_t events, Pollable& pollable) {
  epoll_event event{};
  event.events = events | EPOLLET;
  event.data.ptr = &pollable;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : errno;
}

void EpollLoop::unwatch(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void EpollLoop::forget(Pollable& pollable) {
  if (calling == &pollable) calling = nullptr;
  for (int i = next_event_; i < event_count_; ++i) {
    epoll_event& event = events_[static_cast<std::size_t>(i)];  // packed: no reference to its parts
    if (event.data.ptr == &pollable) event.data.ptr = nullptr;
  }
}

void EpollLoop::keep(std::unique_ptr<Stream> stream) {
  Stream* key = stream.get();
  kept_.emplace(key, std::move(stream));
}

void EpollLoop::drop(Stream& stream) { kept_.erase(&stream); }

int EpollLoop::wait(bool busy) {
  const auto limit = patience(busy);
  if (fine_wait_) {
    timespec time{};
    if (limit) {
      time.tv_sec = limit->count() / 1'000'000;
      time.tv_nsec = limit->count() % 1'000'000 * 1000;
    }
    const int count =
        epoll_pwait2(epoll_.get(), events_.data(), kBatch, limit ? &time : nullptr, nullptr);
    if (count >= 0) return count;
    if (errno != ENOSYS && errno != EPERM) return 0;
    fine_wait_ = false;
  }
  int ms = -1;
  if (limit) ms = static_cast<int>(std::min<Duration::rep>((limit->count() + 999) / 1000, 60'000));
  return std::max(epoll_wait(epoll_.get(), events_.data(), kBatch, ms), 0);
}

void EpollLoop::dispatch(int count) {
  event_count_ = count;
  for (next_event_ = 0; next_event_ < event_count_;) {
    const epoll_event& event = events_[static_cast<std::size_t>(next_event_++)];
    if (event.data.ptr) static_cast<Pollable*>(event.data.ptr)->on_events(event.events);
    if (next_event_ % kFlushEvery == 0) flush();
  }
  event_count_ = 0;
}

// Each gets one turn; who asks again meanwhile waits for the next round.
void EpollLoop::work_again_list() {
  if (again_.empty()) return;
  List<Pollable, &Pollable::again_hook> round;
  while (Pollable* pollable = again_.pop_front()) round.push_back(*pollable);
  int count = 0;
  while (Pollable* pollable = round.pop_front()) {
    pollable->on_again();
    if (++count % kFlushEvery == 0) flush();
  }
}

void EpollLoop::flush() {
  for (int i = 0; i < kFlushRounds && !dirty_.empty(); ++i) {
    List<Pollable, &Pollable::dirty_hook> round;
    while (Pollable* pollable = dirty_.pop_front()) round.push_back(*pollable);
    while (Pollable* pollable = round.pop_front()) pollable->on_flush();
  }
}

void EpollLoop::run() {
  mailbox_.belong_to_this_thread();
  read_clock();
  mailbox_.run();
  while (!stopping()) {
    flush();
    const int count = wait(!again_.empty() || !dirty_.empty());
    mailbox_.awake();
    read_clock();
    dispatch(count);
    timers_.run(now_);
    mailbox_.run();
    work_again_list();
  }
  mailbox_.close();
  flush();
}

Result<std::unique_ptr<Listener>> EpollLoop::listen(const Address& address, ListenSink& sink) {
  PGW_TRY(opened, open_listener(address, options));
  auto listener = std::make_unique<EpollListener>(*this, std::move(opened), sink);
  const int error = watch(listener->fd(), EPOLLIN, *listener);
  if (error != 0) return fail(Code::io, "{}: {}", address.text(), errno_text(error));
  return listener;
}

std::unique_ptr<Stream> EpollLoop::connect(const Address& address, StreamSink& sink) {
  Connecting connecting = open_connection(address, options);
  auto stream = std::make_unique<EpollStream>(*this, std::move(connecting.fd), Peer());
  stream->set_sink(sink);
  stream->begin_connecting(address, connecting.error);
  return stream;
}

std::unique_ptr<Stream> EpollLoop::adopt(Detached detached, StreamSink& sink) {
  auto stream = std::make_unique<EpollStream>(*this, Fd(detached.handle), Peer());
  stream->set_sink(sink);
  stream->begin(std::move(detached.unread));
  stream->send(detached.unsent);
  return stream;
}

}  // namespace pgw::net

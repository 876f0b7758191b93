#include "net/epoll_listener.h"

#include <cerrno>

#include "net/epoll_stream.h"

namespace pgw::net {
namespace {

constexpr int kAcceptsPerTurn = 64;

}  // namespace

EpollListener::~EpollListener() {
  loop_.forget(*this);
  socket_.remove_file();
}

void EpollListener::on_events(std::uint32_t /*events*/) {
  if (!retry_.armed()) accept_some();
}

void EpollListener::accept_some() {
  EpollLoop& loop = loop_;
  const int below = loop.options.accept_below;
  if (scarce_ && all_taken_below(below, fd())) return loop.arm(retry_, 100ms);
  scarce_ = false;
  for (int i = 0; i < kAcceptsPerTurn;) {
    sockaddr_storage from;
    socklen_t size = sizeof from;
    Fd fd(accept4(socket_.fd.get(), reinterpret_cast<sockaddr*>(&from), &size,
                  SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      const int error = errno;
      if (error == EAGAIN) return;
      if (!is_shortage(error)) {  // this connection is gone already: go on with the next
        ++i;
        continue;
      }
      loop.arm(retry_, 100ms);
      sink_.on_accept_failed(
          Error(Code::io, fmt::format("{}: accept: {}", address().text(), errno_text(error))));
      return;
    }
    ++i;
    scarce_ = fd.get() >= below;
    auto stream = std::make_unique<EpollStream>(loop, std::move(fd), Peer::from(from));
    stream->begin({});
    loop.calling = this;
    sink_.on_accept(std::move(stream));
    if (loop.calling != this) return;
    loop.calling = nullptr;
    if (!scarce_) continue;
    loop.arm(retry_, 100ms);
    return sink_.on_accept_failed(too_few_descriptors(address()));
  }
  loop.again(*this);
}

}  // namespace pgw::net

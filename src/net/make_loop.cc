#include "net/epoll_loop.h"
#include "net/uring_loop.h"

namespace pgw::net {

Result<std::unique_ptr<Loop>> make_loop(Backend backend, const SocketOptions& options) {
  if (backend != Backend::epoll) {
    auto loop = UringLoop::make(options);
    if (loop || backend == Backend::io_uring) return loop;
  }
  return std::make_unique<EpollLoop>(options);
}

}  // namespace pgw::net

#include "net/uring_listener.h"

#include <cerrno>

#include "net/uring_stream.h"

namespace pgw::net {

void UringAcceptor::complete(Op op, int result, bool last, Bytes /*bytes*/) {
  if (op == Op::cancel) {
    cancelling_ = false;
    return loop_.touch(*this);
  }
  if (last) {
    accepting_ = false;
    loop_.touch(*this);
  }
  if (result >= 0) {
    Fd fd(result);
    if (!sink || !loop_.running()) return;
    // What the kernel accepts before it knows of the pause is closed again.
    const bool beyond = fd.get() >= loop_.options.accept_below;
    if (beyond && scarce_) return;
    auto stream = std::make_unique<UringStream>(loop_, std::move(fd));
    stream->connection().begin({});
    if (!beyond) return sink->on_accept(std::move(stream));
    scarce_ = true;
    loop_.arm(retry_, 100ms);
    loop_.touch(*this);
    sink->on_accept(std::move(stream));
    if (sink) sink->on_accept_failed(too_few_descriptors(socket.address));
    return;
  }
  if (!sink || !is_shortage(-result)) return;
  loop_.arm(retry_, 100ms);
  sink->on_accept_failed(
      Error(Code::io, fmt::format("{}: accept: {}", socket.address.text(), errno_text(-result))));
}

void UringAcceptor::reconcile() {
  const int fd = socket.fd.get();
  if (sink) {
    if (scarce_ && !retry_.armed()) {
      scarce_ = all_taken_below(loop_.options.accept_below, fd);
      if (scarce_) loop_.arm(retry_, 100ms);
    }
    if (scarce_ && accepting_ && !cancelling_) {
      const std::uint64_t which = UringLoop::tag(this, Op::accept);
      cancelling_ = loop_.submit(
          *this, Op::cancel, [which](io_uring_sqe* sqe) { io_uring_prep_cancel64(sqe, which, 0); });
    }
    if (accepting_ || retry_.armed()) return;
    accepting_ = loop_.submit(*this, Op::accept, [fd](io_uring_sqe* sqe) {
      io_uring_prep_multishot_accept(sqe, fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    });
    return;
  }
  if (in_flight == 0) return loop_.erase(*this);
  if (cancelling_) return;
  cancelling_ = loop_.submit(*this, Op::cancel, [fd](io_uring_sqe* sqe) {
    io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_ALL);
  });
}

// The accept under way holds the socket open until it is cancelled; shutting it down refuses
// newcomers at once.
void UringAcceptor::leave() {
  sink = nullptr;
  retry_.disarm();
  socket.remove_file();
  shutdown(socket.fd.get(), SHUT_RDWR);
  if (!loop_.running() && in_flight == 0) return loop_.erase(*this);
  loop_.touch(*this);
}

}  // namespace pgw::net

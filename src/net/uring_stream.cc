// Owners change flags and touch() the connection; reconcile(), once per turn, compares them with
// what is under way in the kernel. So a pause and a resume in one turn cost nothing, and nothing is
// ever submitted twice.
#include "net/uring_stream.h"

#include <poll.h>

#include <cerrno>

#include "base/check.h"

namespace pgw::net {
namespace {

// From here on, copying into the outbox costs more than a system call of its own.
constexpr std::size_t kDirectBytes = 16 * 1024;
constexpr int kBulkBytes = 128 * 1024;
// Longest time that bulk bytes may lie in the kernel: with the wheel's tick, about 1 ms.
constexpr Duration kBulkWait = 500us;
// How much a closing stream reads from a peer that does not stop.
constexpr std::size_t kDiscardBytesMax = 1024 * 1024;
constexpr unsigned kEndEvents = POLLRDHUP | POLLHUP | POLLERR;

}  // namespace

UringConnection::UringConnection(UringLoop& loop, Fd fd)
    : loop_(loop), fd_(std::move(fd)), outbox_(loop.chunks()) {
  loop.add(*this);
  loop.touch(*this);
}

UringConnection::Extra& UringConnection::extra() {
  if (!extra_) extra_ = std::make_unique<Extra>(*this);
  return *extra_;
}

void UringConnection::begin(std::string unread) {
  if (!unread.empty()) extra().held = std::move(unread);
}

void UringConnection::begin_connecting(const Address& address, int error) {
  if (address.kind == Address::Kind::unix_path) peer_.kind = Peer::Kind::unix_path;
  connecting_ = true;
  extra().connecting_to = address.text();
  connected_ = error == 0;
  if (error != 0 && error != EINPROGRESS) failed_ = error;
}

void UringConnection::finish_connecting() {
  if (failed_ != 0) return end(failed_);
  if (!connected_) return arrange_poll(POLLOUT);
  connecting_ = false;
  loop_.touch(*this);
  if (life_ != Life::open) return;
  extra_.reset();
  sink_->on_connected();
}

void UringConnection::reconcile() {
  if (life_ == Life::leaving) return finish_leaving();
  if (connecting_) {
    if (!ended_) finish_connecting();
    return;
  }
  deliver_held();
  if (failed_ != 0 && !ended_) read_to_the_end();
  if (life_ == Life::leaving) return;  // touched: the next round does it
  arrange_receive();
  arrange_send();
}

void UringConnection::finish_leaving() {
  if (in_flight > 0) {
    if (cancelling_) return;
    // One after the other by its own mark, which the kernel finds at once; by descriptor it looks
    // at everything that is in flight, and thousands that leave together would stand still.
    cancelling_ = loop_.submit(*this, Op::cancel, [this](io_uring_sqe* sqe) {
      if (receiving_ || polling_ || sending_) {
        const Op op = receiving_ ? Op::receive : polling_ ? Op::poll : Op::send;
        io_uring_prep_cancel64(sqe, UringLoop::tag(this, op), 0);
      } else {
        io_uring_prep_cancel_fd(sqe, fd_.get(), IORING_ASYNC_CANCEL_ALL);
      }
    });
    return;
  }
  if (extra_ && extra_->detached) {
    Detached detached;
    detached.unread = std::move(extra_->held);
    detached.unsent = outbox_.take_all();
    detached.handle = fd_.release();
    loop_.post([done = std::move(extra_->detached), detached = std::move(detached)]() mutable {
      done(std::move(detached));
    });
  }
  loop_.erase(*this);
}

void UringConnection::arrange_receive() {
  const bool wanted = !ended_ && failed_ == 0 && (life_ == Life::closing ? !eof_ : !paused_);
  const int fd = fd_.get();
  if (wanted && !receiving_) {
    receiving_ = loop_.submit(*this, Op::receive,
                              [fd](io_uring_sqe* sqe) { UringLoop::prepare_receive(sqe, fd); });
  } else if (!wanted && receiving_ && !cancelling_) {
    const std::uint64_t which = UringLoop::tag(this, Op::receive);
    cancelling_ = loop_.submit(
        *this, Op::cancel, [which](io_uring_sqe* sqe) { io_uring_prep_cancel64(sqe, which, 0); });
  }
  if (paused_ && life_ == Life::open && !ended_ && failed_ == 0) arrange_poll(kEndEvents);
}

void UringConnection::arrange_poll(unsigned events) {
  if (polling_) return;
  const int fd = fd_.get();
  polling_ = loop_.submit(*this, Op::poll, [fd, events](io_uring_sqe* sqe) {
    io_uring_prep_poll_add(sqe, fd, events);
  });
}

void UringConnection::arrange_send() {
  if (sending_ || ended_ || failed_ != 0 || (shut_ && life_ == Life::open)) return;
  if (!outbox_.empty()) {
    const Bytes bytes = outbox_.front();
    const int fd = fd_.get();
    offered_ = bytes.size();
    if (!blocked_) {
      const bool more = high_ || outbox_.size() > bytes.size() || life_ != Life::open;
      sending_ = loop_.try_send(*this, fd, bytes, more);
    } else {
      sending_ = loop_.submit(*this, Op::send, [=](io_uring_sqe* sqe) {
        io_uring_prep_send(sqe, fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
      });
    }
    outbox_.pin_front(sending_);
    return;
  }
  if (life_ != Life::closing) return;
  if (eof_) return leave();
  if (extra_) extra_->lingering.reset();
  if (!std::exchange(shut_, true)) shutdown(fd_.get(), SHUT_WR);
}

void UringConnection::complete(Op op, int result, bool last, Bytes bytes) {
  if (last) loop_.touch(*this);
  switch (op) {
    case Op::receive:
      if (last) receiving_ = false;
      return received(result, bytes);
    case Op::send:
      return sent(result);
    case Op::poll:
      polling_ = false;
      if (life_ == Life::leaving || ended_ || result < 0 || !loop_.running()) return;
      if (connecting_) {
        failed_ = take_socket_error(fd_.get());
        connected_ = failed_ == 0;
      } else if (paused_ && life_ == Life::open) {
        end(failed_ != 0 ? failed_ : take_socket_error(fd_.get()));
      }
      return;
    case Op::cancel:
      cancelling_ = false;
      return;
    default:
      break;
  }
}

void UringConnection::received(int result, Bytes bytes) {
  if (life_ == Life::leaving) {
    if (extra_ && extra_->detached) extra_->held.append(bytes);
    return;
  }
  if (ended_ || !loop_.running()) return;
  if (result > 0) {
    if ((paused_ && life_ == Life::open) || holds()) {
      extra().held.append(bytes);
      return;
    }
    if (bulk_) {
      if (!raised_) raise_low_water(true);
      loop_.arm(extra().timer, kBulkWait);
    }
    return deliver(bytes);
  }
  // No buffer left, or cancelled: reconcile() begins again if it is wanted.
  if (result == -ENOBUFS || result == -ECANCELED || result == -EINTR || result == -EAGAIN) return;
  deliver_held();
  if (life_ != Life::leaving && !ended_) end(-result);
}

void UringConnection::deliver(Bytes bytes) {
  if (life_ == Life::open) {
    PGW_ASSERT(sink_);
    return sink_->on_bytes(bytes);
  }
  extra().discarded += bytes.size();
  if (extra_->discarded >= kDiscardBytesMax && outbox_.empty()) leave();
}

void UringConnection::deliver_held() {
  if (!holds() || paused_ || ended_) return;
  const std::string held = std::move(extra_->held);
  extra_->held = {};
  deliver(held);
}

// May end the connection, but never frees it: only reconcile() does.
void UringConnection::end(int error) {
  if (life_ == Life::closing) {
    eof_ = error == 0;
    if (!eof_ || outbox_.empty()) leave();
    return;
  }
  ended_ = true;
  if (!sending_) outbox_.clear();
  if (extra_) extra_->timer.disarm();
  loop_.touch(*this);
  PGW_ASSERT(sink_);
  if (!connecting_) return sink_->on_end(end_error(error));
  sink_->on_end(
      Error(Code::connection, fmt::format("{}: {}", extra_->connecting_to, errno_text(error))));
}

// A send has failed: what has arrived is still delivered, as it may tell the reason. No receive is
// under way when this reads by itself, so the order is kept.
void UringConnection::read_to_the_end() {
  if (life_ == Life::closing) return leave();
  if (receiving_ && !paused_) return;  // arrange_receive() cancels it first
  while (!ended_ && !paused_ && life_ == Life::open) {
    const auto count = ::recv(fd_.get(), loop_.scratch(), UringLoop::kScratchBytes, MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    deliver(Bytes(loop_.scratch(), static_cast<std::size_t>(count)));
  }
  if (!ended_ && life_ == Life::open) end(failed_);
}

void UringConnection::fail_sending(int error) {
  failed_ = error;
  outbox_.clear();
  loop_.touch(*this);
}

// After a send of `offered` bytes: `taken` or -errno.
void UringConnection::took(std::ptrdiff_t taken, std::size_t offered) {
  if (taken < 0 && taken != -EAGAIN) return fail_sending(static_cast<int>(-taken));
  blocked_ = taken < 0 || static_cast<std::size_t>(taken) < offered;
}

void UringConnection::send(Bytes bytes) {
  if (ended_ || failed_ != 0 || bytes.empty()) return;
  if (!connecting_ && !sending_ && !blocked_ && bytes.size() >= kDirectBytes &&
      outbox_.size() < kDirectBytes) {
    const std::size_t offered = outbox_.size() + bytes.size();
    const auto taken = send_now(fd_.get(), outbox_, bytes);
    if (taken > 0) {
      const std::size_t own = std::min(static_cast<std::size_t>(taken), outbox_.size());
      outbox_.consume(own);
      bytes.remove_prefix(static_cast<std::size_t>(taken) - own);
    }
    took(taken, offered);
    if (failed_ != 0) return;
  }
  outbox_.append(bytes);
  if (outbox_.size() >= Stream::kHighWater) high_ = true;
  if (!sending_) return loop_.touch(*this);
  if (!blocked_) loop_.hurry();  // a try_send is under way, which had not known of this
}

void UringConnection::sent(int result) {
  if (result == UringLoop::kSentAll) result = static_cast<int>(offered_);
  sending_ = false;
  outbox_.pin_front(false);
  if (result > 0) outbox_.consume(static_cast<std::size_t>(result));
  if (result != -ECANCELED && result != -EINTR) took(result, offered_);
  if (ended_) outbox_.clear();
  if (failed_ != 0 || ended_ || life_ != Life::open || !loop_.running()) return;
  if (!high_ || outbox_.size() > Stream::kLowWater) return;
  high_ = false;
  sink_->on_drained();
}

void UringConnection::pause() {
  paused_ = true;
  loop_.touch(*this);
}

void UringConnection::resume() {
  if (!paused_) return;
  paused_ = false;
  loop_.touch(*this);
}

void UringConnection::leave() {
  life_ = Life::leaving;
  sink_ = nullptr;
  if (extra_) {
    extra_->timer.disarm();
    extra_->lingering.reset();
  }
  if (!loop_.running() && in_flight == 0) return loop_.erase(*this);
  loop_.touch(*this);
}

// After the last byte our side is shut, and the peer's bytes are read and thrown away until it
// closes too: to close with unread bytes would reset the connection, and the peer might lose what
// was just sent.
void UringConnection::close_gently(Duration linger) {
  if (ended_) return leave();
  if (raised_) raise_low_water(false);
  bulk_ = false;
  sink_ = nullptr;
  life_ = Life::closing;
  paused_ = false;
  loop_.arm(extra().timer, linger);
  if (!outbox_.empty()) extra().lingering.emplace(loop_.lingering_count());
  loop_.touch(*this);
}

void UringConnection::detach(std::move_only_function<void(Detached)> done) {
  if (raised_) raise_low_water(false);
  extra().timer.disarm();
  extra_->detached = std::move(done);
  sink_ = nullptr;
  life_ = Life::leaving;
  loop_.touch(*this);
}

// Bytes under way in the kernel leave or fail; what is behind them does not follow.
void UringConnection::shut() {
  if (ended_ || failed_ != 0 || life_ != Life::open) return;
  shut_ = true;
  shutdown(fd_.get(), SHUT_WR);
}

void UringConnection::expect_bulk(bool on) {
  if (ended_ || connecting_ || bulk_ == on) return;
  if (peer_.kind == Peer::Kind::unknown) peer_ = Peer::of(fd_.get());
  if (peer_.kind == Peer::Kind::unix_path) return;
  bulk_ = on;
  if (on) {
    raise_low_water(true);
    loop_.arm(extra().timer, kBulkWait);
    return;
  }
  if (raised_) raise_low_water(false);
  extra().timer.disarm();
}

void UringConnection::raise_low_water(bool raised) {
  raised_ = raised;
  set_low_water(fd_.get(), raised ? kBulkBytes : 1);
}

// Bulk: less than the low-water mark has come within the time. To lower the mark makes the kernel
// look again.
void UringConnection::on_timer() {
  if (life_ == Life::closing) return leave();
  if (bulk_ && raised_ && !ended_) raise_low_water(false);
}

std::string UringConnection::peer() const {
  if (peer_.kind == Peer::Kind::unknown && fd_) peer_ = Peer::of(fd_.get());
  return peer_.text();
}

}  // namespace pgw::net

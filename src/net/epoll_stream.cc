// Reading: edge-triggered, so `readable_` remembers what the kernel said until a short read shows
// that all was taken. Ends: EPOLLRDHUP and a failed send set `hup_`; then whatever is in the kernel
// is read to its end and only then is the end reported, unless reading is paused.
#include "net/epoll_stream.h"

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
constexpr std::uint32_t kReadEvents = EPOLLIN | EPOLLRDHUP;

}  // namespace

EpollStream::Extra& EpollStream::extra() {
  if (!extra_) extra_ = std::make_unique<Extra>(*this);
  return *extra_;
}

// A Unix socket tells of room after every read of its peer, so EPOLLOUT is left out until it is
// needed.
void EpollStream::watch() {
  watches_out_ = !unix_;
  const int error = loop_.watch(fd_.get(), kReadEvents | (watches_out_ ? EPOLLOUT : 0u), *this);
  if (error == 0) return;
  connecting_ = false;
  fail_sending(error);
}

void EpollStream::begin(std::string unread) {
  if (peer_.kind == Peer::Kind::unknown) peer_ = Peer::of(fd_.get());
  unix_ = peer_.kind == Peer::Kind::unix_path;
  watch();
  if (unread.empty()) return;
  extra().unread = std::move(unread);
  loop_.again(*this);
}

void EpollStream::begin_connecting(const Address& address, int error) {
  unix_ = address.kind == Address::Kind::unix_path;
  if (unix_) peer_.kind = Peer::Kind::unix_path;
  connecting_ = true;
  extra().connecting_to = address.text();
  if (error == 0 || error == EINPROGRESS) watch();
  if (error == EINPROGRESS) return;
  if (error != 0) fail_sending(error);
  loop_.again(*this);
}

void EpollStream::finish_connecting() {
  const int error = failed_ != 0 ? failed_ : take_socket_error(fd_.get());
  if (error != 0) return end(error);
  connecting_ = false;
  if (!outbox_.empty()) loop_.flush_later(*this);
  if (closing_) return;
  extra_.reset();
  EpollLoop& loop = loop_;
  loop.calling = this;
  sink_->on_connected();
  if (loop.calling != this) return;
  loop.calling = nullptr;
  read_some();
}

void EpollStream::on_events(std::uint32_t events) {
  if (ended_) return;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) hup_ = true;
  if ((events & EPOLLIN) != 0) readable_ = true;
  if (connecting_) {
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) finish_connecting();
    return;
  }
  if ((events & EPOLLOUT) != 0 && blocked_) {
    blocked_ = false;
    loop_.flush_later(*this);
  }
  if (again_hook.linked()) return;  // its turn comes, with unread bytes first
  read_some();
}

void EpollStream::on_again() {
  if (ended_) return;
  if (connecting_) return finish_connecting();
  if (deliver_unread()) read_some();
}

// False: do not go on.
bool EpollStream::deliver_unread() {
  if (!extra_ || extra_->unread.empty() || paused_) return true;
  const std::string unread = std::move(extra_->unread);
  extra_->unread = {};
  return deliver(unread);
}

void EpollStream::read_some() {
  while (!ended_) {
    if (eof_) return;  // closing; what is queued may still leave
    if (paused_ && !closing_) {
      if (hup_) end(failed_ != 0 ? failed_ : take_socket_error(fd_.get()));
      return;
    }
    if (!readable_ && !hup_) return;
    const auto count = ::recv(fd_.get(), loop_.buffer(), EpollLoop::kReadBytes, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN && !hup_) {
      readable_ = false;
      if (raised_) raise_low_water(false);
      return;
    }
    if (count <= 0) return end(count < 0 && failed_ == 0 && errno != EAGAIN ? errno : failed_);
    const bool full = static_cast<std::size_t>(count) == EpollLoop::kReadBytes;
    readable_ = full;
    if (bulk_) {
      if (!raised_) raise_low_water(true);
      loop_.arm(extra().timer, kBulkWait);
    }
    EpollLoop& loop = loop_;
    if (!deliver(Bytes(loop.buffer(), static_cast<std::size_t>(count)))) return;
    if (full) return loop.again(*this);
  }
}

// False: the stream has died in its sink, or has ended.
bool EpollStream::deliver(Bytes bytes) {
  if (closing_) return discard(bytes.size());
  PGW_ASSERT(sink_);
  EpollLoop& loop = loop_;
  loop.calling = this;
  sink_->on_bytes(bytes);
  if (loop.calling != this) return false;
  loop.calling = nullptr;
  return !ended_;
}

bool EpollStream::discard(std::size_t bytes) {
  extra().discarded += bytes;
  if (extra_->discarded < kDiscardBytesMax || !outbox_.empty()) return true;
  end(0);
  return false;
}

// The last thing a caller does: the stream may be gone afterwards.
void EpollStream::end(int error) {
  if (closing_ && error == 0 && !outbox_.empty()) {
    eof_ = true;
    return;
  }
  ended_ = true;
  outbox_.clear();
  again_hook.unlink();
  dirty_hook.unlink();
  if (closing_) return loop_.drop(*this);
  if (extra_) extra_->timer.disarm();
  PGW_ASSERT(sink_);
  if (!connecting_) return sink_->on_end(end_error(error));
  sink_->on_end(
      Error(Code::connection, fmt::format("{}: {}", extra_->connecting_to, errno_text(error))));
}

void EpollStream::resume() {
  if (!paused_) return;
  paused_ = false;
  if (ended_ || connecting_) return;
  if (readable_ || hup_ || raised_ || (extra_ && !extra_->unread.empty())) {
    readable_ = true;
    loop_.again(*this);
  }
}

// What was not sent is lost; what has arrived may still be read, and tells more about the reason.
void EpollStream::fail_sending(int error) {
  failed_ = error;
  hup_ = true;
  eof_ = false;
  outbox_.clear();
  dirty_hook.unlink();
  loop_.again(*this);
}

// After a send of `offered` bytes, the outbox's first: `sent` or -errno.
void EpollStream::took(std::ptrdiff_t sent, std::size_t offered) {
  if (sent < 0 && sent != -EAGAIN) return fail_sending(static_cast<int>(-sent));
  if (sent >= 0 && static_cast<std::size_t>(sent) == offered) return;
  blocked_ = true;
  if (watches_out_) return;
  watches_out_ = true;
  const int error = loop_.rewatch(fd_.get(), kReadEvents | EPOLLOUT, *this);
  if (error != 0) fail_sending(error);
}

void EpollStream::send(Bytes bytes) {
  if (ended_ || shut_ || failed_ != 0 || bytes.empty()) return;
  if (!connecting_ && !blocked_ && bytes.size() >= kDirectBytes && outbox_.size() < kDirectBytes) {
    const std::size_t offered = outbox_.size() + bytes.size();
    const auto sent = send_now(fd_.get(), outbox_, bytes);
    if (sent > 0) {
      const std::size_t own = std::min(static_cast<std::size_t>(sent), outbox_.size());
      outbox_.consume(own);
      bytes.remove_prefix(static_cast<std::size_t>(sent) - own);
    }
    took(sent, offered);
    if (failed_ != 0) return;
  }
  outbox_.append(bytes);
  if (outbox_.size() >= kHighWater) high_ = true;
  if (!blocked_ && !connecting_ && !outbox_.empty()) loop_.flush_later(*this);
}

void EpollStream::on_flush() {
  if (connecting_ || ended_) return;
  while (!blocked_ && failed_ == 0 && !outbox_.empty()) {
    iovec vectors[16];
    const int count = outbox_.gather(vectors, 16);
    std::size_t offered = 0;
    for (int i = 0; i < count; ++i) offered += vectors[i].iov_len;
    const auto sent = send_now(fd_.get(), outbox_, {});
    if (sent > 0) outbox_.consume(static_cast<std::size_t>(sent));
    took(sent, offered);
  }
  if (failed_ != 0) return;
  if (closing_) {
    if (!outbox_.empty()) return;
    if (eof_) return loop_.drop(*this);
    extra().lingering.reset();
    shutdown(fd_.get(), SHUT_WR);
    return;
  }
  if (!high_ || outbox_.size() > kLowWater) return;
  high_ = false;
  sink_->on_drained();  // may be the end of this stream
}

// After the last byte our side is shut, and the peer's bytes are read and thrown away until it
// closes too: to close with unread bytes would reset the connection, and the peer might lose what
// was just sent.
void EpollStream::start_closing(std::unique_ptr<Stream> self, Duration linger) {
  if (ended_) return;  // and dies
  closing_ = true;
  sink_ = nullptr;
  bulk_ = false;
  if (raised_) raise_low_water(false);
  loop_.keep(std::move(self));
  loop_.arm(extra().timer, linger);
  if (!outbox_.empty()) extra().lingering.emplace(loop_.lingering_count());
  if (!connecting_) loop_.flush_later(*this);
  readable_ = true;
  loop_.again(*this);
}

void EpollStream::start_detaching(std::unique_ptr<Stream> self,
                                  std::move_only_function<void(Detached)> done) {
  if (raised_) raise_low_water(false);
  Detached detached;
  if (extra_) detached.unread = std::move(extra_->unread);
  detached.unsent = outbox_.take_all();
  loop_.unwatch(fd_.get());
  detached.handle = fd_.release();
  EpollLoop& loop = loop_;
  self.reset();
  loop.post([done = std::move(done), detached = std::move(detached)]() mutable {
    done(std::move(detached));
  });
}

void EpollStream::shut() {
  if (ended_ || closing_ || failed_ != 0) return;
  shut_ = true;
  outbox_.clear();
  dirty_hook.unlink();
  shutdown(fd_.get(), SHUT_WR);
}

void EpollStream::expect_bulk(bool on) {
  if (unix_ || ended_ || connecting_ || closing_ || bulk_ == on) return;
  bulk_ = on;
  if (on) {
    raise_low_water(true);
    loop_.arm(extra().timer, kBulkWait);
    return;
  }
  if (raised_) raise_low_water(false);
  extra().timer.disarm();
}

void EpollStream::raise_low_water(bool raised) {
  raised_ = raised;
  set_low_water(fd_.get(), raised ? kBulkBytes : 1);
}

// Bulk: less than the low-water mark has come within the time. Nothing at all: wait for the next
// byte as usual.
void EpollStream::on_timer() {
  if (closing_) return loop_.drop(*this);
  if (ended_ || !bulk_ || paused_) return;
  readable_ = true;
  read_some();
}

std::string EpollStream::peer() const {
  if (peer_.kind == Peer::Kind::unknown && fd_) peer_ = Peer::of(fd_.get());
  return peer_.text();
}

}  // namespace pgw::net

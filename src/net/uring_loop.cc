#include "net/uring_loop.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/check.h"
#include "net/uring_listener.h"
#include "net/uring_stream.h"

namespace pgw::net {
namespace {

constexpr unsigned kSubmissions = 1024;
constexpr unsigned kCompletions = 8192;
constexpr unsigned kFlags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                            IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE;
constexpr std::size_t kPageBytes = 4096;
constexpr int kBufferGroup = 0;
constexpr int kReconcileRounds = 4;
constexpr std::uint64_t kOpMask = 7;

std::unexpected<Error> missing(const char* what, int error) {
  return std::unexpected(
      Error(Code::unsupported, fmt::format("io_uring: {}: {}", what, errno_text(error)))
          .with_hint("Needs Linux 6.1 or newer, and containers often forbid io_uring. "
                     "The epoll loop works everywhere."));
}

// liburing 2.3 declares io_uring_enable_rings() but does not export it.
bool enable(const io_uring& ring) {
  return syscall(SYS_io_uring_register, ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) ==
         0;
}

// A ring and a ring of buffers for it; both are given back when this dies.
struct TrialRing {
  io_uring ring{};
  void* memory = nullptr;
  bool open = false;
  int pair[2] = {-1, -1};
  ~TrialRing() {
    if (open) io_uring_queue_exit(&ring);
    std::free(memory);
    for (const int fd : pair)
      if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Done probe_uring() {
  TrialRing trial;
  io_uring_params params{};
  params.flags = kFlags;
  params.cq_entries = 16;
  int error = io_uring_queue_init_params(8, &trial.ring, &params);
  if (error != 0) return missing("setup", -error);
  trial.open = true;
  if (posix_memalign(&trial.memory, kPageBytes, kPageBytes) != 0) return missing("memory", ENOMEM);
  io_uring_buf_reg group{};
  group.ring_addr = reinterpret_cast<std::uint64_t>(trial.memory);
  group.ring_entries = 1;
  error = io_uring_register_buf_ring(&trial.ring, &group, 0);
  if (error != 0) return missing("buffer ring", -error);
  auto* buffers = static_cast<io_uring_buf_ring*>(trial.memory);
  io_uring_buf_ring_init(buffers);
  char buffer[16];
  io_uring_buf_ring_add(buffers, buffer, sizeof buffer, 0, 0, 0);
  io_uring_buf_ring_advance(buffers, 1);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, trial.pair) != 0)
    return missing("socket pair", errno);
  io_uring_sqe* sqe = io_uring_get_sqe(&trial.ring);
  io_uring_prep_recv_multishot(sqe, trial.pair[0], nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
  if (::send(trial.pair[1], "x", 1, MSG_NOSIGNAL) != 1) return missing("send", errno);
  error = io_uring_submit_and_wait(&trial.ring, 1);
  if (error < 0) return missing("submit", -error);
  io_uring_cqe* cqe = nullptr;
  error = io_uring_peek_cqe(&trial.ring, &cqe);
  if (error != 0) return missing("receive", -error);
  if (cqe->res < 0) return missing("multishot receive", -cqe->res);
  if ((cqe->flags & IORING_CQE_F_MORE) == 0) return missing("multishot receive", ENOTSUP);
  return {};
}

Result<std::unique_ptr<Loop>> UringLoop::make(const SocketOptions& options) {
  PGW_DO(probe_uring());
  std::unique_ptr<UringLoop> loop(new UringLoop(options));
  PGW_DO(loop->open());
  return loop;
}

// The ring begins disabled, so that whichever thread calls run() becomes its single issuer.
Done UringLoop::open() {
  io_uring_params params{};
  params.flags = kFlags | IORING_SETUP_R_DISABLED;
  params.cq_entries = kCompletions;
  int error = io_uring_queue_init_params(kSubmissions, &ring_, &params);
  if (error != 0) return missing("setup", -error);
  open_ = true;
  if (posix_memalign(&buffer_ring_memory_, kPageBytes, kBuffers * sizeof(io_uring_buf)) != 0)
    return missing("memory", ENOMEM);
  io_uring_buf_reg group{};
  group.ring_addr = reinterpret_cast<std::uint64_t>(buffer_ring_memory_);
  group.ring_entries = kBuffers;
  group.bgid = kBufferGroup;
  error = io_uring_register_buf_ring(&ring_, &group, 0);
  if (error != 0) return missing("buffer ring", -error);
  buffers_ = std::make_unique_for_overwrite<char[]>(std::size_t{kBuffers} * kBufferBytes);
  scratch_ = std::make_unique_for_overwrite<char[]>(kScratchBytes);
  buffer_ring_ = static_cast<io_uring_buf_ring*>(buffer_ring_memory_);
  io_uring_buf_ring_init(buffer_ring_);
  give_back(0, kBuffers);
  return {};
}

UringLoop::~UringLoop() {
  mailbox_.close();  // work may own streams
  while (UringRecord* record = all_.front()) erase(*record);
  if (open_) io_uring_queue_exit(&ring_);
  std::free(buffer_ring_memory_);
}

std::uint64_t UringLoop::tag(const UringRecord* record, Op op) {
  static_assert(alignof(UringRecord) > kOpMask);
  return reinterpret_cast<std::uint64_t>(record) | static_cast<std::uint64_t>(op);
}

void UringLoop::touch(UringRecord& record) {
  if (!record.dirty_hook.linked()) dirty_.push_back(record);
}

io_uring_sqe* UringLoop::prepare(UringRecord& record) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (!sqe) {
    io_uring_submit(&ring_);
    sqe = io_uring_get_sqe(&ring_);
  }
  if (!sqe) {
    touch(record);
    return nullptr;
  }
  ++in_flight_;
  ++record.in_flight;
  return sqe;
}

void UringLoop::prepare_receive(io_uring_sqe* sqe, int fd) {
  io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
}

void UringLoop::watch_mailbox() {
  if (mailbox_watched_) return;
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (!sqe) return;
  io_uring_prep_poll_multishot(sqe, mailbox_.descriptor(), POLLIN);
  io_uring_sqe_set_data64(sqe, tag(nullptr, Op::wake));
  mailbox_watched_ = true;
  ++in_flight_;
}

void UringLoop::reconcile() {
  for (int i = 0; i < kReconcileRounds && !dirty_.empty(); ++i) {
    List<UringRecord, &UringRecord::dirty_hook> round;
    while (UringRecord* record = dirty_.pop_front()) round.push_back(*record);
    while (UringRecord* record = round.pop_front()) record->reconcile();
  }
}

void UringLoop::wait(bool busy) {
  const auto limit = patience(busy || io_uring_cq_ready(&ring_) > 0);
  if (limit && limit->count() == 0) {
    io_uring_submit_and_get_events(&ring_);
    return;
  }
  __kernel_timespec time{};
  if (limit) {
    time.tv_sec = limit->count() / 1'000'000;
    time.tv_nsec = limit->count() % 1'000'000 * 1000;
  }
  io_uring_cqe* cqe = nullptr;
  io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, limit ? &time : nullptr, nullptr);
}

// Its completion, if it had one, would end the next wait at once, and so double the turns. So it is
// told to be silent when all was sent, and not to wait: then it is over when the kernel has
// consumed the submission, and has succeeded when there is no completion. MSG_WAITALL makes a short
// send a failure, with the count as its result.
bool UringLoop::try_send(UringRecord& record, int fd, Bytes bytes, bool more) {
  const bool room = submit(record, Op::try_send, [&](io_uring_sqe* sqe) {
    io_uring_prep_send(sqe, fd, bytes.data(), bytes.size(),
                       MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  });
  if (!room) return false;
  record.try_result = kSentAll;
  if (more) hurry();
  sends_.push_back(&record);
  return true;
}

void UringLoop::settle_sends() {
  if (sends_.empty() || io_uring_sq_ready(&ring_) > 0) return;
  unsigned head = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    if (static_cast<Op>(cqe->user_data & kOpMask) != Op::try_send) continue;
    reinterpret_cast<UringRecord*>(cqe->user_data & ~kOpMask)->try_result = cqe->res;
    cqe->user_data = tag(nullptr, Op::nothing);
  }
  settling_.swap(sends_);
  for (UringRecord* record : settling_) {
    --in_flight_;
    --record->in_flight;
    record->complete(Op::send, record->try_result, true, {});
  }
  settling_.clear();
}

void UringLoop::give_back(unsigned first, unsigned count) {
  const int mask = io_uring_buf_ring_mask(kBuffers);
  for (unsigned i = 0; i < count; ++i) {
    const unsigned id = first + i;
    io_uring_buf_ring_add(buffer_ring_, buffers_.get() + std::size_t{id} * kBufferBytes,
                          kBufferBytes, static_cast<unsigned short>(id), mask, static_cast<int>(i));
  }
  io_uring_buf_ring_advance(buffer_ring_, static_cast<int>(count));
}

// Buffers are used and given back in the order of the ring, so what one long receive brought lies
// in one piece: adjacent completions of a stream with adjacent full buffers are delivered as one.
unsigned UringLoop::reap_receive(io_uring_cqe** cqes, unsigned count, UringRecord& record) {
  const unsigned first = cqes[0]->flags >> IORING_CQE_BUFFER_SHIFT;
  std::size_t bytes = 0;
  unsigned used = 0;
  bool last = false;
  do {
    const io_uring_cqe& cqe = *cqes[used];
    bytes += static_cast<std::size_t>(cqe.res);
    last = (cqe.flags & IORING_CQE_F_MORE) == 0;
    ++used;
    if (last || cqe.res != static_cast<int>(kBufferBytes)) break;
  } while (used < count && cqes[used]->user_data == cqes[0]->user_data && cqes[used]->res > 0 &&
           cqes[used]->flags >> IORING_CQE_BUFFER_SHIFT == first + used);
  if (last) {
    --in_flight_;
    --record.in_flight;
  }
  record.complete(Op::receive, static_cast<int>(bytes), last,
                  Bytes(buffers_.get() + std::size_t{first} * kBufferBytes, bytes));
  give_back(first, used);
  return used;
}

void UringLoop::reap() {
  std::array<io_uring_cqe*, kBatch> cqes;
  const unsigned count = io_uring_peek_batch_cqe(&ring_, cqes.data(), kBatch);
  for (unsigned i = 0; i < count;) {
    const io_uring_cqe& cqe = *cqes[i];
    const auto op = static_cast<Op>(cqe.user_data & kOpMask);
    auto* record = reinterpret_cast<UringRecord*>(cqe.user_data & ~kOpMask);
    if (op == Op::receive && (cqe.flags & IORING_CQE_F_BUFFER) != 0 && cqe.res > 0) {
      i += reap_receive(cqes.data() + i, count - i, *record);
      continue;
    }
    ++i;
    if (op == Op::nothing) continue;
    // An end that had a buffer picked already: the buffer comes back.
    if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) give_back(cqe.flags >> IORING_CQE_BUFFER_SHIFT, 1);
    const bool last = (cqe.flags & IORING_CQE_F_MORE) == 0;
    if (last) --in_flight_;
    if (op == Op::wake) {
      if (last) mailbox_watched_ = false;
      continue;
    }
    if (last) --record->in_flight;
    record->complete(op, cqe.res, last, {});
  }
  io_uring_cq_advance(&ring_, count);
}

void UringLoop::run() {
  mailbox_.belong_to_this_thread();
  PGW_ASSERT(enable(ring_));
  // Saves a look-up of the descriptor per enter; may be refused, for example by a limit.
  const bool registered = io_uring_register_ring_fd(&ring_) == 1;
  running_ = true;
  read_clock();
  mailbox_.run();
  while (!stopping()) {
    reconcile();
    watch_mailbox();
    wait(!dirty_.empty() || std::exchange(hurry_, false));
    mailbox_.awake();
    read_clock();
    settle_sends();
    reap();
    timers_.run(now_);
    mailbox_.run();
  }
  mailbox_.close();
  reconcile();
  running_ = false;
  quiesce();
  if (registered) io_uring_unregister_ring_fd(&ring_);
}

// Leaves nothing in the kernel: from here on streams may be destroyed on any thread.
void UringLoop::quiesce() {
  io_uring_submit_and_get_events(&ring_);
  settle_sends();
  while (in_flight_ > 0) {
    if (io_uring_sqe* sqe = io_uring_get_sqe(&ring_)) {
      io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
      io_uring_sqe_set_data64(sqe, tag(nullptr, Op::wake));
      ++in_flight_;
    }
    __kernel_timespec time{.tv_sec = 0, .tv_nsec = 10'000'000};
    io_uring_cqe* cqe = nullptr;
    io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &time, nullptr);
    settle_sends();
    while (io_uring_cq_ready(&ring_) > 0) reap();
  }
  for (UringRecord* record = all_.front(); record;) {
    UringRecord* next = all_.after(*record);
    if (record->left()) erase(*record);
    record = next;
  }
}

Result<std::unique_ptr<Listener>> UringLoop::listen(const Address& address, ListenSink& sink) {
  PGW_TRY(opened, open_listener(address, options));
  return std::make_unique<UringListener>(*this, std::move(opened), sink);
}

std::unique_ptr<Stream> UringLoop::connect(const Address& address, StreamSink& sink) {
  Connecting connecting = open_connection(address, options);
  auto stream = std::make_unique<UringStream>(*this, std::move(connecting.fd));
  stream->set_sink(sink);
  stream->connection().begin_connecting(address, connecting.error);
  return stream;
}

std::unique_ptr<Stream> UringLoop::adopt(Detached detached, StreamSink& sink) {
  auto stream = std::make_unique<UringStream>(*this, Fd(detached.handle));
  stream->set_sink(sink);
  stream->connection().begin(std::move(detached.unread));
  stream->send(detached.unsent);
  return stream;
}

}  // namespace pgw::net

// The event loop on io_uring: one io_uring_enter per turn submits everything, waits, and reaps.
// What a connection or a listener has under way in the kernel is counted in a record that lives
// until the last completion, so a late one never meets freed memory or a reused descriptor.
#pragma once
#include <liburing.h>

#include <limits>
#include <memory>
#include <vector>

#include "base/list.h"
#include "net/loop_base.h"
#include "net/sockets.h"

namespace pgw::net {

// `try_send` never waits and reports only a failure, see settle_sends(). `nothing` has been dealt
// with.
enum class Op : std::uint8_t { receive, send, try_send, poll, accept, cancel, wake, nothing };

// One socket's operations. Owned by the loop; erased in reconcile() only, with nothing in flight.
class UringRecord {
 public:
  virtual ~UringRecord() = default;
  // `last`: the operation is over (a multishot one goes on otherwise). `bytes`: what a receive has
  // brought.
  virtual void complete(Op op, int result, bool last, Bytes bytes) = 0;
  // Compares what is wanted with what is under way, and submits the difference.
  virtual void reconcile() = 0;
  // Its owner is gone: it only waits for the kernel.
  virtual bool left() const = 0;

  ListHook all_hook;
  ListHook dirty_hook;
  unsigned in_flight = 0;
  int try_result = 0;  // of a try_send that did not send everything
};

class UringLoop final : public LoopBase {
 public:
  static constexpr std::size_t kScratchBytes = 64 * 1024;

  static Result<std::unique_ptr<Loop>> make(const SocketOptions& options);
  ~UringLoop() override;

  void run() override;
  Result<std::unique_ptr<Listener>> listen(const Address& address, ListenSink& sink) override;
  std::unique_ptr<Stream> connect(const Address& address, StreamSink& sink) override;
  std::unique_ptr<Stream> adopt(Detached detached, StreamSink& sink) override;
  void close_detached(Detached detached) override { Fd(detached.handle).reset(); }
  const char* name() const override { return "io_uring"; }

  // For the records.
  void add(UringRecord& record) { all_.push_back(record); }
  void erase(UringRecord& record) { delete &record; }
  void touch(UringRecord& record);  // reconcile it before the next wait
  // Submits one operation for the record: `fill(sqe)` prepares it. False: there is no room now, and
  // the record is touched for later.
  template <class Fill>
  bool submit(UringRecord& record, Op op, Fill fill) {
    io_uring_sqe* sqe = prepare(record);
    if (!sqe) return false;
    fill(sqe);
    io_uring_sqe_set_data64(sqe, tag(&record, op));
    return true;
  }
  static std::uint64_t tag(const UringRecord* record, Op op);
  static void prepare_receive(io_uring_sqe* sqe, int fd);
  // Sends all of `bytes` or as much as the kernel takes now. complete(send) follows, with kSentAll
  // or the result; they must stay where they are until then. `more`: there is something to do when
  // it succeeds, so the loop must not wait first. False: as submit().
  static constexpr int kSentAll = std::numeric_limits<int>::max();
  bool try_send(UringRecord& record, int fd, Bytes bytes, bool more);
  void hurry() { hurry_ = true; }
  bool running() const { return running_; }
  char* scratch() { return scratch_.get(); }

 private:
  static constexpr unsigned kBuffers = 256;
  static constexpr unsigned kBufferBytes = 16 * 1024;
  static constexpr unsigned kBatch = 128;

  explicit UringLoop(const SocketOptions& options) : LoopBase(options) {}
  Done open();
  io_uring_sqe* prepare(UringRecord& record);
  void watch_mailbox();
  void reconcile();
  void wait(bool busy);
  void settle_sends();
  void reap();
  unsigned reap_receive(io_uring_cqe** cqes, unsigned count, UringRecord& record);
  void give_back(unsigned first, unsigned count);
  void quiesce();

  io_uring ring_{};
  bool open_ = false;
  bool running_ = false;
  bool mailbox_watched_ = false;
  unsigned in_flight_ = 0;
  std::vector<UringRecord*> sends_;  // that were tried in this turn
  std::vector<UringRecord*> settling_;
  bool hurry_ = false;
  void* buffer_ring_memory_ = nullptr;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::unique_ptr<char[]> buffers_;
  std::unique_ptr<char[]> scratch_;
  List<UringRecord, &UringRecord::all_hook> all_;
  List<UringRecord, &UringRecord::dirty_hook> dirty_;
};

// Whether this machine has all that the backend needs; says what is missing.
Done probe_uring();

}  // namespace pgw::net

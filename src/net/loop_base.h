// What both real backends share: clock, timers, mailbox and the memory for outboxes.
#pragma once
#include <atomic>
#include <optional>

#include "net/loop.h"
#include "net/mailbox.h"
#include "net/outbox.h"
#include "net/timers.h"

namespace pgw::net {

// Counts a stream among those that linger, as long as it lives.
class Lingering {
 public:
  explicit Lingering(std::atomic<unsigned>& count) : count_(count) { count_.fetch_add(1); }
  ~Lingering() { count_.fetch_sub(1); }
  Lingering(const Lingering&) = delete;
  Lingering& operator=(const Lingering&) = delete;

 private:
  std::atomic<unsigned>& count_;
};

class LoopBase : public Loop {
 public:
  void stop() final;
  Time now() const final { return now_; }
  void post(std::move_only_function<void()> work) final { mailbox_.post(std::move(work)); }
  void arm(Timer& timer, Duration after) final { timers_.arm(timer, now_ + after); }

  const SocketOptions options;

  unsigned lingering() const final { return lingering_.load(); }

  ChunkPool& chunks() { return chunks_; }
  std::atomic<unsigned>& lingering_count() { return lingering_; }

 protected:
  explicit LoopBase(const SocketOptions& its_options) : options(its_options) { read_clock(); }

  bool stopping() const { return stop_.load(); }
  void read_clock();
  // How long a wait may last; empty: until something happens. Zero when `busy`.
  std::optional<Duration> patience(bool busy);

  ChunkPool chunks_;
  Timers timers_;
  Mailbox mailbox_;
  Time now_{};

 private:
  std::atomic<bool> stop_{false};
  std::atomic<unsigned> lingering_{0};
};

}  // namespace pgw::net

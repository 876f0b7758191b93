// Work for a loop's thread: many posters, one runner. The runner is woken by an eventfd, once per
// batch and only when it sleeps; what it posts to itself costs no system call.
#pragma once
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace pgw::net {

class Mailbox {
 public:
  using Work = std::move_only_function<void()>;

  Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox();

  // Any thread. In the order of posting by one poster; destroyed without being run once it is
  // closed.
  void post(Work work);
  // Any thread: ends the runner's sleep.
  void wake();

  // The runner's side. The descriptor becomes readable again with every wake; nobody reads it.
  int descriptor() const { return event_; }
  void belong_to_this_thread();
  // Before a wait. False: there is work, do not sleep.
  bool prepare_to_sleep();
  void awake() { asleep_.store(false, std::memory_order_relaxed); }
  // Runs what is there now, not what it posts.
  void run();
  void close();

 private:
  struct Letter {
    Work work;
    Letter* next;
  };
  static Letter* reversed(Letter* letters);
  void burn();

  std::atomic<Letter*> letters_{nullptr};  // the newest first
  std::atomic<bool> asleep_{false};
  std::atomic<bool> closed_{false};
  std::atomic<std::thread::id> runner_{};
  std::vector<Work> own_;
  int event_;
};

}  // namespace pgw::net

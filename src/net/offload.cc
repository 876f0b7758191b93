// A queue and a few threads. What has not begun when the offload ends is dropped.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "net/loop.h"

namespace pgw::net {
namespace {

class Threads final : public Offload {
 public:
  explicit Threads(unsigned count) {
    threads_.reserve(count);
    for (unsigned i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  }

  ~Threads() override {
    {
      const std::scoped_lock lock(mutex_);
      ending_ = true;
    }
    wake_.notify_all();
    threads_.clear();  // joins
  }

  void submit(Loop& home, std::move_only_function<void()> work,
              std::move_only_function<void()> done) override {
    {
      const std::scoped_lock lock(mutex_);
      jobs_.push_back({&home, std::move(work), std::move(done)});
    }
    waiting_.fetch_add(1, std::memory_order_relaxed);
    wake_.notify_one();
  }
  std::size_t waiting() const override { return waiting_.load(std::memory_order_relaxed); }

 private:
  struct Job {
    Loop* home;
    std::move_only_function<void()> work;
    std::move_only_function<void()> done;
  };

  void work() {
    while (true) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
      if (ending_) return;
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      job.work();
      job.work = nullptr;  // what it holds is not needed on its home any more
      job.home->post(std::move(job.done));
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::atomic<std::size_t> waiting_{0};
  bool ending_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace

std::unique_ptr<Offload> make_offload(unsigned threads) {
  return std::make_unique<Threads>(threads == 0 ? 1 : threads);
}

}  // namespace pgw::net

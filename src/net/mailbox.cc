// The wake-up is Dekker's: a poster publishes its letter and then looks whether the runner sleeps;
// the runner says that it sleeps and then looks for letters. Both are sequentially consistent, so
// one sees the other.
#include "net/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "base/check.h"

namespace pgw::net {

Mailbox::Mailbox() : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) { PGW_ASSERT(event_ >= 0); }

Mailbox::~Mailbox() {
  close();
  ::close(event_);
}

void Mailbox::post(Work work) {
  if (closed_.load(std::memory_order_acquire)) return;
  if (runner_.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
    own_.push_back(std::move(work));
    return;
  }
  auto* letter = new Letter{std::move(work), letters_.load(std::memory_order_relaxed)};
  while (!letters_.compare_exchange_weak(letter->next, letter)) {
  }
  wake();
}

void Mailbox::wake() {
  if (!asleep_.load() || !asleep_.exchange(false)) return;
  const std::uint64_t one = 1;
  // Cannot fail: the counter would have to reach 2^64 - 1 first.
  [[maybe_unused]] const auto written = ::write(event_, &one, sizeof one);
}

void Mailbox::belong_to_this_thread() { runner_.store(std::this_thread::get_id()); }

bool Mailbox::prepare_to_sleep() {
  if (!own_.empty()) return false;
  asleep_.store(true);
  if (letters_.load() == nullptr) return true;
  awake();
  return false;
}

Mailbox::Letter* Mailbox::reversed(Letter* letters) {
  Letter* oldest = nullptr;
  while (letters) {
    Letter* next = letters->next;
    letters->next = oldest;
    oldest = letters;
    letters = next;
  }
  return oldest;
}

void Mailbox::run() {
  if (letters_.load(std::memory_order_relaxed)) {
    Letter* letter = reversed(letters_.exchange(nullptr, std::memory_order_acquire));
    while (letter) {
      letter->work();
      delete std::exchange(letter, letter->next);
    }
  }
  if (own_.empty()) return;
  std::vector<Work> batch = std::move(own_);
  own_.clear();
  for (Work& work : batch) work();
}

// Destroying work may post more; that is refused once closed, and a late letter is burnt by the
// destructor.
void Mailbox::burn() {
  Letter* letter = letters_.exchange(nullptr, std::memory_order_acquire);
  while (letter) delete std::exchange(letter, letter->next);
  const std::vector<Work> batch = std::move(own_);
  own_.clear();
}

void Mailbox::close() {
  closed_.store(true, std::memory_order_release);
  burn();
}

}  // namespace pgw::net

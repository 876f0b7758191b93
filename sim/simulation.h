// Virtual time: a heap of events that run in the order of their time, then of their making.
// Everything in a simulated world happens inside step(), on one thread, so a seed decides all of
// it.
#pragma once
#include <fmt/format.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "random.h"

namespace pgw::sim {

class Simulation {
 public:
  using Work = std::move_only_function<void()>;
  using TraceSink = std::move_only_function<void(std::string_view line)>;

  explicit Simulation(std::uint64_t seed) : random(seed) {}
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  Random random;

  Time now() const { return now_; }
  void at(Time when, Work work);
  void after(Duration wait, Work work) { at(now_ + wait, std::move(work)); }
  // Runs the next event; false when there is none.
  bool step();
  bool empty() const { return heap_.empty(); }
  Time next() const { return heap_.empty() ? Time::max() : heap_.front().when; }
  std::uint64_t steps() const { return steps_; }
  void clear();  // drops all events (what they hold is destroyed)

  // The first failure is kept; the world's driver stops at it.
  const void* current_loop = nullptr;  // whose turn it is: the poster in post()

  void fail(std::string reason);
  const std::optional<std::string>& failure() const { return failure_; }

  void trace_to(TraceSink sink) { trace_ = std::move(sink); }
  bool tracing() const { return static_cast<bool>(trace_); }
  template <class... Args>
  void trace(fmt::format_string<Args...> text, Args&&... args) {
    if (trace_) line(fmt::format(text, std::forward<Args>(args)...));
  }

 private:
  struct Event {
    Time when;
    std::uint64_t order;
    Work work;
  };
  static bool later(const Event& a, const Event& b) {
    return a.when != b.when ? a.when > b.when : a.order > b.order;
  }
  void line(std::string_view text);

  Time now_{};
  std::uint64_t order_ = 0;
  std::uint64_t steps_ = 0;
  std::vector<Event> heap_;
  std::optional<std::string> failure_;
  TraceSink trace_;
};

}  // namespace pgw::sim

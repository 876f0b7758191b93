// A timer that its owner embeds; armed on a loop's wheel. O(1) to arm and to disarm; destroying it
// disarms it.
#pragma once
#include "base/list.h"
#include "base/time.h"

namespace pgw::net {

class Timer {
 public:
  using Fire = void (*)(void* owner);
  Timer(Fire fire, void* owner) : fire_(fire), owner_(owner) {}

  bool armed() const { return hook.linked(); }
  void disarm() { hook.unlink(); }
  Time due() const { return due_; }

  ListHook hook;  // for the wheel alone

 private:
  friend class Timers;
  Fire fire_;
  void* owner_;
  Time due_{};
};

}  // namespace pgw::net

// Connections that have ended while they were running: each is destroyed a little later, when
// nothing of it is on the stack any more, and at the latest with its worker. Thread: its worker's.
#pragma once
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "net/loop.h"

namespace pgw::server {

class Graveyard {
 public:
  explicit Graveyard(net::Loop& loop) : loop_(loop) {}

  template <class T>
  void bury(std::unique_ptr<T> dead) {
    dead_.push_back(std::shared_ptr<void>(std::move(dead)));
    if (std::exchange(posted_, true)) return;
    loop_.post([this, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) clear();
    });
  }
  void clear() {
    posted_ = false;
    const auto dead = std::exchange(dead_, {});
  }

 private:
  net::Loop& loop_;
  std::vector<std::shared_ptr<void>> dead_;
  bool posted_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pgw::server

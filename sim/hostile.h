// A peer that means harm: random bytes, impossible lengths, unknown types, half a message. The only
// demands are that it is answered by an error or a close, or can leave, and that it harms nobody
// else.
#pragma once
#include <memory>
#include <string>

#include "net/loop.h"
#include "net/timer.h"
#include "random.h"
#include "sim_loop.h"

namespace pgw::sim {

class Hostile final : public net::StreamSink {
 public:
  Hostile(SimLoop& loop, net::Address to, int number, Random random);
  void start() { loop_.arm(timer_, Duration(random_.below(2'000'000))); }
  bool finished() const { return finished_; }

  void on_connected() override;
  void on_bytes(Bytes bytes) override;
  void on_end(const Error& why) override;

 private:
  void act();
  std::string poison();

  SimLoop& loop_;
  net::Address to_;
  int number_;
  Random random_;
  std::string got_;
  std::unique_ptr<net::Stream> stream_;
  bool finished_ = false;
  bool attacked_ = false;
  net::Timer timer_;
};

}  // namespace pgw::sim

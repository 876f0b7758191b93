// A replication client: its bytes are passed on as they are, between it and a server of its own. It
// asks something, streams for a while in both directions, and leaves or vanishes.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "client.h"
#include "sim_loop.h"

namespace pgw::sim {

class Replica final : public net::StreamSink {
 public:
  // Of the plan only who it is and where it goes counts.
  Replica(SimLoop& loop, ClientPlan plan, Rules rules, Random random);
  void start() { loop_.arm(timer_, Duration(random_.below(2'000'000))); }
  bool finished() const { return finished_; }
  std::string describe() const;

  void on_connected() override;
  void on_bytes(Bytes bytes) override;
  void on_end(const Error& why) override;

 private:
  void take(const Message& message);
  void next();
  void ask(const Statement& statement);
  void want(char type, std::string body) { wanted_.push_back({type, std::move(body)}); }
  void finish();
  void fail(std::string_view text);
  bool may_break() const { return rules_.faults || rules_.drain->begun; }

  SimLoop& loop_;
  ClientPlan plan_;
  Rules rules_;
  Random random_;
  Framer framer_{false};
  std::optional<Prover> prover_;
  std::unique_ptr<net::Stream> stream_;
  std::deque<Message> wanted_;
  unsigned rounds_;
  int tokens_ = 0;
  bool ready_ = false;
  bool streaming_ = false;
  bool told_ = false;  // FATAL
  bool finished_ = false;
  net::Timer timer_;
};

}  // namespace pgw::sim

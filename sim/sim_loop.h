// The simulator's event loop (contract: net/loop.h). Its turns are events of the simulation, so
// several loops share one thread and take turns in an order that the seed decides.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "link.h"
#include "net/loop.h"
#include "net/timers.h"
#include "simulation.h"

namespace pgw::sim {

class Network;

class SimLoop final : public net::Loop {
 public:
  SimLoop(Simulation& sim, Network& network, std::string name);
  ~SimLoop() override;

  void run() override;  // drives the whole simulation until this loop is stopped
  void stop() override { stopped_ = true; }
  Time now() const override { return now_; }
  void post(std::move_only_function<void()> work) override;
  void arm(net::Timer& timer, Duration after) override;
  Result<std::unique_ptr<net::Listener>> listen(const net::Address& address,
                                                net::ListenSink& sink) override;
  std::unique_ptr<net::Stream> connect(const net::Address& address, net::StreamSink& sink) override;
  std::unique_ptr<net::Stream> adopt(net::Detached detached, net::StreamSink& sink) override;
  void close_detached(net::Detached detached) override;
  unsigned lingering() const override;
  const char* name() const override { return "sim"; }

  // For the network: runs in the loop's next turn.
  void ready(std::move_only_function<void()> work);
  void flush_later(std::shared_ptr<Link> link, int side);
  Simulation& simulation() { return sim_; }
  Network& network() { return network_; }
  const std::string& label() const { return name_; }
  unsigned streams = 0;  // that live on it, for the leak check

 private:
  void turn();
  void schedule_turn(Duration within);
  void schedule_timers();
  void flush_all();

  Simulation& sim_;
  Network& network_;
  std::string name_;
  Time now_{};
  bool stopped_ = false;
  bool turn_scheduled_ = false;
  std::deque<std::move_only_function<void()>> ready_;
  std::vector<std::pair<std::shared_ptr<Link>, int>> dirty_;
  net::Timers timers_;
  Time wake_ = Time::max();
  std::map<const void*, Time> last_post_;  // by poster: keeps its order
  std::shared_ptr<SimLoop*> alive_;        // events outlive loops
};

class SimStream final : public net::Stream {
 public:
  SimStream(SimLoop& loop, std::shared_ptr<Link> link, int side);
  ~SimStream() override;

  void set_sink(net::StreamSink& sink) override { link_->set_sink(side_, sink); }
  void send(Bytes bytes) override { link_->send(side_, bytes); }
  std::size_t queued() const override { return link_->queued(side_); }
  void pause() override { link_->pause(side_); }
  void resume() override { link_->resume(side_); }
  void shut() override { link_->shut(side_); }
  bool silent_for(Duration) const override { return link_->unanswered(side_); }
  std::string peer() const override;
  Link& link() { return *link_; }
  const std::shared_ptr<Link>& shared_link() { return link_; }
  int side() const { return side_; }

 protected:
  void start_closing(std::unique_ptr<Stream> self, Duration linger) override;
  void start_detaching(std::unique_ptr<Stream> self,
                       std::move_only_function<void(net::Detached)> done) override;

 private:
  SimLoop& loop_;
  std::shared_ptr<Link> link_;  // null once it was given away
  int side_;
};

}  // namespace pgw::sim

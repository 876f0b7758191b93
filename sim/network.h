// All addresses and connections of a simulated world, and the weather on them.
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "link.h"
#include "net/loop.h"
#include "simulation.h"

namespace pgw::sim {

class SimListener;

class Network {
 public:
  explicit Network(Simulation& sim) : sim_(sim) {}

  // The weather of connections to this port; `other` for all the rest.
  void set_weather(std::uint16_t port, const Weather& weather) { weather_[port] = weather; }
  Weather& weather(std::uint16_t port);
  Weather other;

  bool taken(const net::Address& address) const;
  void add(SimListener& listener);
  void remove(SimListener& listener);
  std::unique_ptr<net::Stream> connect(SimLoop& loop, const net::Address& to,
                                       net::StreamSink& sink);
  // By the handle of a detached stream.
  std::pair<std::shared_ptr<Link>, int> find(int handle);
  void keep_detached(const std::shared_ptr<Link>& link, int handle) { detached_[handle] = link; }
  void forget(int handle) { detached_.erase(handle); }
  std::size_t detached() const { return detached_.size(); }
  // Connections whose connecting (side 0) or accepting (side 1) end is still held by somebody.
  std::size_t open_to(std::uint16_t port, int side);
  // Ends on this loop that were closed gently and have bytes left to send.
  unsigned lingering(const SimLoop& loop) const;
  std::vector<std::shared_ptr<Link>> links_to(std::uint16_t port);
  std::uint16_t free_port() { return next_port_++; }

 private:
  void arrive(const std::shared_ptr<Link>& link);
  SimListener* pick(const net::Address& to);

  Simulation& sim_;
  std::map<std::uint16_t, Weather> weather_;
  std::vector<SimListener*> listeners_;
  std::vector<std::weak_ptr<Link>> links_;
  std::map<int, std::shared_ptr<Link>> detached_;
  int next_number_ = 1;
  std::uint16_t next_port_ = 40000;
};

class SimListener final : public net::Listener {
 public:
  SimListener(SimLoop& loop, net::Address address, net::ListenSink& sink);
  ~SimListener() override;
  const net::Address& address() const override { return address_; }
  void accept(const std::shared_ptr<Link>& link);

 private:
  SimLoop& loop_;
  net::Address address_;
  net::ListenSink& sink_;
  std::shared_ptr<SimListener*> alive_;
};

}  // namespace pgw::sim

// The simulator's Offload and Resolver: work runs inline at a random later time; names may be slow
// or unknown.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "net/loop.h"
#include "simulation.h"

namespace pgw::sim {

class SimOffload final : public net::Offload {
 public:
  explicit SimOffload(Simulation& sim) : sim_(sim) {}
  void submit(net::Loop& home, std::move_only_function<void()> work,
              std::move_only_function<void()> done) override;
  std::size_t waiting() const override { return 0; }
  std::size_t submitted() const { return submitted_; }

 private:
  Simulation& sim_;
  std::size_t submitted_ = 0;
};

class SimResolver final : public net::Resolver {
 public:
  explicit SimResolver(Simulation& sim) : sim_(sim) {}
  void add(std::string host, std::string address) { hosts_[std::move(host)] = std::move(address); }
  void resolve(net::Loop& home, const std::string& host, std::uint16_t port, Answer done) override;
  unsigned failing = 0;  // chance per thousand that a name cannot be resolved just now
  unsigned slow = 0;     // chance per thousand that it takes up to 2 s

 private:
  Simulation& sim_;
  std::map<std::string, std::string> hosts_;
};

}  // namespace pgw::sim

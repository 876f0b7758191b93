#include "network.h"

#include <algorithm>

#include "sim_loop.h"

namespace pgw::sim {

namespace {

bool any_host(const net::Address& a) {
  return a.host.empty() || a.host == "0.0.0.0" || a.host == "::";
}

bool leads_to(const net::Address& to, const net::Address& listening) {
  const bool path = to.kind == net::Address::Kind::unix_path;
  if (path != (listening.kind == net::Address::Kind::unix_path)) return false;
  if (path) return to.host == listening.host;
  return to.port == listening.port && (any_host(listening) || to.host == listening.host);
}

}  // namespace

Weather& Network::weather(std::uint16_t port) {
  const auto it = weather_.find(port);
  return it == weather_.end() ? other : it->second;
}

bool Network::taken(const net::Address& address) const {
  return std::ranges::any_of(listeners_, [&](auto* l) { return l->address() == address; });
}

void Network::add(SimListener& listener) { listeners_.push_back(&listener); }

void Network::remove(SimListener& listener) { std::erase(listeners_, &listener); }

std::unique_ptr<net::Stream> Network::connect(SimLoop& loop, const net::Address& to,
                                              net::StreamSink& sink) {
  Weather& weather = this->weather(to.port);
  auto link = std::make_shared<Link>(sim_, weather, next_number_++, to);
  if (links_.size() > 64 && sim_.random.chance(50))
    std::erase_if(links_, [](const auto& l) { return l.expired(); });
  links_.push_back(link);
  Link::End& e = link->end(0);
  e.loop = &loop;
  e.sink = &sink;
  auto stream = std::make_unique<SimStream>(loop, link, 0);
  const Duration wait(sim_.random.between(static_cast<std::size_t>(weather.latency_least.count()),
                                          static_cast<std::size_t>(weather.latency_most.count())));
  sim_.after(wait, [this, link] { arrive(link); });
  return stream;
}

SimListener* Network::pick(const net::Address& to) {
  std::vector<SimListener*> fitting;
  for (SimListener* l : listeners_)
    if (leads_to(to, l->address())) fitting.push_back(l);
  return fitting.empty() ? nullptr : sim_.random.pick(fitting);
}

void Network::arrive(const std::shared_ptr<Link>& link) {
  if (link->end(0).closed) return;
  const Weather& weather = this->weather(link->to().port);
  if (sim_.random.chance(weather.blackhole)) return link->go_silent();
  SimListener* listener = pick(link->to());
  if (!listener || sim_.random.chance(weather.refuse)) return link->refuse(0);
  listener->accept(link);
}

std::pair<std::shared_ptr<Link>, int> Network::find(int handle) {
  const auto it = detached_.find(handle);
  if (it == detached_.end()) return {nullptr, 0};
  return {it->second, handle % 2};
}

std::size_t Network::open_to(std::uint16_t port, int side) {
  std::size_t n = 0;
  for (const auto& link : links_to(port)) n += link->end(side).stream ? 1 : 0;
  return n;
}

unsigned Network::lingering(const SimLoop& loop) const {
  unsigned n = 0;
  for (const auto& weak : links_) {
    const auto link = weak.lock();
    for (const int side : {0, 1}) {
      if (!link) break;
      const Link::End& e = link->end(side);
      n += e.loop == &loop && e.closing && !e.closed && link->queued(side) > 0;
    }
  }
  return n;
}

std::vector<std::shared_ptr<Link>> Network::links_to(std::uint16_t port) {
  std::vector<std::shared_ptr<Link>> out;
  for (const auto& weak : links_)
    if (auto link = weak.lock(); link && link->to().port == port) out.push_back(std::move(link));
  return out;
}

SimListener::SimListener(SimLoop& loop, net::Address address, net::ListenSink& sink)
    : loop_(loop),
      address_(std::move(address)),
      sink_(sink),
      alive_(std::make_shared<SimListener*>(this)) {
  if (address_.kind != net::Address::Kind::unix_path && address_.port == 0)
    address_.port = loop_.network().free_port();
  loop_.network().add(*this);
}

SimListener::~SimListener() {
  *alive_ = nullptr;
  loop_.network().remove(*this);
}

void SimListener::accept(const std::shared_ptr<Link>& link) {
  link->establish(loop_);
  loop_.ready([alive = alive_, link] {
    SimListener* self = *alive;
    if (!self) return link->close(1);
    self->sink_.on_accept(std::make_unique<SimStream>(self->loop_, link, 1));
  });
}

}  // namespace pgw::sim

// The simulated loop keeps the contract of net/loop.h, whatever the seed.
#include <gtest/gtest.h>

#include <algorithm>

#include "network.h"
#include "services.h"
#include "sim_loop.h"

namespace pgw::sim {
namespace {

const net::Address kHere{net::Address::Kind::ipv4, "127.0.0.1", 7000};

std::string numbered(std::size_t n) {
  std::string out;
  while (out.size() < n) out += std::to_string(out.size()) + ",";
  return out.substr(0, n);
}

struct Peer final : net::StreamSink, net::ListenSink {
  std::unique_ptr<net::Stream> stream;
  std::string got;
  unsigned connected = 0, drained = 0, ended = 0;
  Code why = Code::internal;
  void on_connected() override { ++connected; }
  void on_bytes(Bytes bytes) override { got += bytes; }
  void on_drained() override { ++drained; }
  void on_end(const Error& error) override {
    ++ended;
    why = error.code();
    stream.reset();
  }
  void on_accept(std::unique_ptr<net::Stream> accepted) override {
    stream = std::move(accepted);
    stream->set_sink(*this);
  }
  void on_accept_failed(const Error&) override {}
};

struct Pair {
  explicit Pair(std::uint64_t seed)
      : sim(seed), network(sim), left(sim, network, "left"), right(sim, network, "right") {
    network.other.split = 700;
    network.other.window = 1 + sim.random.below(5000);
    listener = std::move(*right.listen(kHere, b));
    a.stream = left.connect(kHere, a);
  }
  ~Pair() {
    a.stream.reset();
    b.stream.reset();
    listener.reset();
    sim.clear();
  }
  void settle(Duration most = 10s) {
    const Time until = sim.now() + most;
    while (sim.next() <= until && sim.step()) {
    }
  }
  Simulation sim;
  Network network;
  SimLoop left, right;
  Peer a, b;
  std::unique_ptr<net::Listener> listener;
};

TEST(SimLoop, DeliversAllBytesInOrderBothWays) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Pair p(seed);
    p.settle();
    ASSERT_EQ(p.a.connected, 1u);
    ASSERT_TRUE(p.b.stream);
    const std::string text = numbered(40'000);
    for (std::size_t at = 0; at < text.size(); at += 1000) {
      p.a.stream->send(text.substr(at, 1000));
      p.b.stream->send(text.substr(at, 1000));
    }
    p.settle(60s);
    EXPECT_EQ(p.b.got, text) << seed;
    EXPECT_EQ(p.a.got, text) << seed;
  }
}

TEST(SimLoop, PauseKeepsBytesAndHoldsTheSenderBack) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Pair p(seed);
    p.settle();
    p.b.stream->pause();
    const std::string text = numbered(400'000);
    p.a.stream->send(text);
    p.settle();
    EXPECT_EQ(p.b.got, "");
    EXPECT_GE(p.a.stream->queued(), net::Stream::kHighWater);
    p.b.stream->resume();
    p.settle(600s);
    EXPECT_EQ(p.b.got, text) << seed;
    EXPECT_EQ(p.a.drained, 1u) << seed;
  }
}

TEST(SimLoop, CloseGentlyDeliversAndThenEnds) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Pair p(seed);
    p.settle();
    const std::string text = numbered(20'000);
    p.a.stream->send(text);
    p.b.stream->send("never read");
    net::Stream::close_gently(std::move(p.a.stream), 100s);
    p.settle(200s);
    EXPECT_EQ(p.b.got, text) << seed;
    EXPECT_EQ(p.b.ended, 1u);
    EXPECT_EQ(p.b.why, Code::closed);
  }
}

TEST(SimLoop, AnEndIsToldAlsoWhilePaused) {
  Pair p(1);
  p.settle();
  p.b.stream->pause();
  p.a.stream.reset();
  p.settle();
  EXPECT_EQ(p.b.ended, 1u);
}

TEST(SimLoop, DetachAndAdoptKeepTheSequence) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Pair p(seed);
    p.settle();
    const std::string text = numbered(20'000);
    p.a.stream->send(text.substr(0, 10'000));
    p.b.stream->send(text.substr(0, 10'000));
    for (std::size_t i = p.sim.random.below(40); i > 0; --i) p.sim.step();
    bool adopted = false;
    net::Stream::detach(std::move(p.b.stream), [&](net::Detached detached) {
      auto box = std::make_shared<net::Detached>(std::move(detached));
      p.left.post([&, box] {
        p.b.stream = p.left.adopt(std::move(*box), p.b);
        p.b.stream->send(text.substr(10'000));
        adopted = true;
      });
    });
    p.a.stream->send(text.substr(10'000));
    p.settle(60s);
    EXPECT_TRUE(adopted);
    EXPECT_EQ(p.b.got, text) << seed;
    EXPECT_EQ(p.a.got, text) << seed;
    EXPECT_EQ(p.network.detached(), 0u);
  }
}

TEST(SimLoop, RefusesWhereNobodyListens) {
  Pair p(3);
  Peer alone;
  alone.stream = p.left.connect({net::Address::Kind::ipv4, "127.0.0.1", 7001}, alone);
  p.settle();
  EXPECT_EQ(alone.connected, 0u);
  EXPECT_EQ(alone.ended, 1u);
  EXPECT_EQ(alone.why, Code::connection);
}

TEST(SimLoop, PostsKeepTheOrderOfTheirPoster) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Pair p(seed);
    std::vector<int> order;
    for (int i = 0; i < 20; ++i) p.left.post([&order, i] { order.push_back(i); });
    EXPECT_TRUE(order.empty());
    p.settle();
    EXPECT_TRUE(std::ranges::is_sorted(order)) << seed;
    EXPECT_EQ(order.size(), 20u);
  }
}

TEST(SimLoop, TimersFireInTimeAndNeverEarly) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Pair p(seed);
    struct Fired {
      SimLoop& loop;
      Time at{};
    } fired{p.left};
    net::Timer timer(
        [](void* f) {
          auto& it = *static_cast<Fired*>(f);
          it.at = it.loop.now();
        },
        &fired);
    p.settle(1ms);
    const Time from = p.sim.now();
    p.left.arm(timer, 250ms);
    p.settle(2s);
    EXPECT_GE(fired.at - from, 250ms) << seed;
    EXPECT_LE(fired.at - from, 253ms) << seed;
  }
}

}  // namespace
}  // namespace pgw::sim

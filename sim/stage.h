// For a scene in a test: clients and a server that are told by hand what to send, with the pooler
// in between. A fixed bug gets one.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "middle.h"
#include "request.h"
#include "world.h"

namespace pgw::sim {

// A client that sends what it is told and keeps what it gets: the messages' types, an error with
// its SQLSTATE, ReadyForQuery with its status.
class Hand final : public net::StreamSink {
 public:
  // `hello` is the start-up packet.
  Hand(SimLoop& loop, std::uint16_t port, std::string hello)
      : hello_(std::move(hello)),
        stream_(loop.connect({net::Address::Kind::ipv4, "127.0.0.1", port}, *this)) {}
  void send(const std::string& bytes) { stream_->send(bytes); }
  std::string take() { return std::exchange(got_, {}); }
  bool ended() const { return !stream_; }
  const std::string& key() const { return key_; }
  void pause() { stream_->pause(); }
  void resume() { stream_->resume(); }
  std::size_t queued() const { return stream_->queued(); }
  const std::string& raw() const { return raw_; }
  bool hears_settings = false;  // ParameterStatus is among what it keeps

  void on_connected() override { stream_->send(hello_); }
  void on_bytes(Bytes bytes) override {
    framer_.feed(bytes);
    raw_ += bytes;
    while (const auto m = framer_.next()) {
      if (m->type == 'S' && hears_settings) {
        Reader in(m->body);
        const std::string name = in.text();
        got_ += fmt::format("{}S({}={})", got_.empty() ? "" : " ", name, in.text());
      }
      if (m->type == 'S' || m->type == 'N') continue;
      if (m->type == 'R' && Reader(m->body).u32() == 3) {
        stream_->send(frame('p', Body().text("app-secret").take()));
        continue;
      }
      if (m->type == 'K') key_ = m->body;
      if (!got_.empty()) got_ += ' ';
      got_ += m->type;
      if (m->type == 'E') got_ += error_field(m->body, 'C');
      if (m->type == 'Z') got_ += m->body;
    }
  }
  void on_end(const Error&) override { stream_.reset(); }

 private:
  std::string hello_;
  std::string key_;
  std::string raw_;
  Framer framer_{false};
  std::string got_;
  std::unique_ptr<net::Stream> stream_;
};

// A server that logs everybody in and answers each Sync with these bytes.
class Parrot final : public net::ListenSink, net::StreamSink {
 public:
  Parrot(SimLoop& loop, std::string answer)
      : answer_(std::move(answer)),
        listener_(std::move(*loop.listen({net::Address::Kind::ipv4, "10.0.0.1", 5432}, *this))) {}
  void on_accept(std::unique_ptr<net::Stream> stream) override {
    framer_ = Framer(true);
    stream_ = std::move(stream);
    stream_->set_sink(*this);
  }
  void on_accept_failed(const Error&) override {}
  void on_bytes(Bytes bytes) override {
    framer_.feed(bytes);
    while (const auto m = framer_.next()) {
      if (m->type == 0)
        stream_->send(frame('R', Body().u32(0).take()) + frame('K', Body().u32(1).u32(2).take()) +
                      frame('Z', "I"));
      if (m->type == 'S') stream_->send(answer_);
    }
  }
  void on_end(const Error&) override { stream_.reset(); }

 private:
  std::string answer_;
  Framer framer_{true};
  std::unique_ptr<net::Listener> listener_;
  std::unique_ptr<net::Stream> stream_;
};

constexpr std::uint16_t kSession = 6432;
constexpr std::uint16_t kTransaction = 6543;

// The pooler, on a network where every send arrives in one piece.
class Stage : public testing::Test {
 protected:
  Stage()
      : sim(1),
        network(sim),
        pg(sim, network, "pg"),
        clients(sim, network, "clients"),
        offload(sim),
        resolver(sim) {
    network.other.split = 0;
    plan.pool_size = 1;
  }
  ~Stage() override {
    hands.clear();
    middle.reset();
    postgres.reset();
    parrot.reset();
    sim.clear();
  }
  void open() { middle = std::make_unique<Middle>(sim, network, offload, resolver, plan); }
  void open_with_postgres() {
    postgres = std::make_unique<Postgres>(pg, Postgres::Options{});
    postgres->start();
    open();
  }
  Hand& connect(std::uint16_t port, std::string hello) {
    hands.push_back(std::make_unique<Hand>(clients, port, std::move(hello)));
    settle();
    return *hands.back();
  }
  Hand& hand(std::uint16_t port, std::vector<std::pair<std::string, std::string>> more = {}) {
    if (more.empty() || more.front().first != "user") more.emplace_back("user", "app");
    more.emplace_back("database", "shop");
    return connect(port, startup_packet(196608, more));
  }
  // What comes back within a second.
  std::string ask(Hand& from, const std::string& bytes) {
    from.send(bytes);
    settle();
    return from.take();
  }
  void settle(Duration most = 1s) {
    const Time until = sim.now() + most;
    while (!sim.failure() && sim.next() <= until && sim.step()) {
    }
    EXPECT_FALSE(sim.failure()) << *sim.failure();
  }

  Simulation sim;
  Network network;
  SimLoop pg, clients;
  SimOffload offload;
  SimResolver resolver;
  World::Plan plan;
  std::unique_ptr<Postgres> postgres;
  std::unique_ptr<Parrot> parrot;
  std::unique_ptr<Middle> middle;
  std::vector<std::unique_ptr<Hand>> hands;
};

inline std::string message(char type) { return frame(type, ""); }
inline std::string query(std::string_view text) { return frame('Q', Body().text(text).take()); }
inline std::string parse_of(std::string_view name, std::string_view text) {
  return frame('P', Body().text(name).text(text).u16(0).take());
}
inline std::string bind_of(std::string_view name) {
  return frame('B', Body().text("").text(name).u16(0).u16(0).u16(0).take());
}
inline std::string describe_of(std::string_view name) {
  return frame('D', Body().u8('S').text(name).take());
}

}  // namespace pgw::sim

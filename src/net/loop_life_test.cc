// What every backend promises: connecting, listening, threads, moving, and dying at any time.
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "net/loop_fixture.h"

namespace pgw::net {
namespace {

class LoopLifeTest : public LoopTest {};

TEST_P(LoopLifeTest, ConnectRefusedIsAnEnd) {
  Address nobody;
  {
    Door door;
    open(door);
    nobody = door.listener->address();
    door.listener.reset();
  }
  if (tcp()) {  // a port that is bound, so that nobody else gets it, and not listened on
    const Fd bound(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(bind(bound.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    socklen_t size = sizeof at;
    getsockname(bound.get(), reinterpret_cast<sockaddr*>(&at), &size);
    nobody.port = ntohs(at.sin_port);
  }
  Ear ear;
  ear.end_hook = [&] { loop->stop(); };
  ear.stream = loop->connect(nobody, ear);
  ear.stream->send("never sent");
  EXPECT_FALSE(ear.ended.has_value());
  run();
  EXPECT_FALSE(ear.connected);
  EXPECT_EQ(ear.ended->code(), Code::connection);
  EXPECT_TRUE(ear.ended->what().starts_with(nobody.text())) << ear.ended->what();
}

TEST_P(LoopLifeTest, ATakenAddressIsAClearError) {
  Door door;
  Address taken = any_address();
  Fd other;
  if (tcp()) {
    other = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(bind(other.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    ASSERT_EQ(::listen(other.get(), 1), 0);
    socklen_t size = sizeof at;
    getsockname(other.get(), reinterpret_cast<sockaddr*>(&at), &size);
    taken.port = ntohs(at.sin_port);
  } else {
    door.listener = std::move(*loop->listen(taken, door));
  }
  Door second;
  const auto refused = loop->listen(taken, second);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::io);
  EXPECT_EQ(refused.error().what(), taken.text() + ": address already in use");
}

TEST_P(LoopLifeTest, AStaleSocketFileIsReplacedAndRemoved) {
  if (tcp()) return;
  const Address address = any_address();
  {
    Fd stale(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto opened = open_listener(address);
    ASSERT_TRUE(opened.has_value());
    opened->fd.reset();  // dies without removing its file
  }
  struct stat file;
  ASSERT_EQ(stat(address.host.c_str(), &file), 0);
  {
    Door door;
    auto listener = loop->listen(address, door);
    ASSERT_TRUE(listener.has_value()) << listener.error().what();
    ASSERT_EQ(stat(address.host.c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777, 0777u);
  }
  EXPECT_NE(stat(address.host.c_str(), &file), 0);
}

TEST_P(LoopLifeTest, PeersHaveNames) {
  Door door;
  open(door);
  Ear ear;
  connect(ear, door);
  door.welcome = [&](Ear& accepted) {
    if (tcp())
      EXPECT_TRUE(accepted.stream->peer().starts_with("127.0.0.1:")) << accepted.stream->peer();
    else
      EXPECT_EQ(accepted.stream->peer(), "unix");
    if (ear.connected) loop->stop();
  };
  ear.connect_hook = [&] {
    EXPECT_EQ(ear.stream->peer(), tcp() ? door.listener->address().text() : "unix");
    if (!door.ears.empty()) loop->stop();
  };
  run();
}

TEST_P(LoopLifeTest, TimersAreNeverEarly) {
  struct Bell {
    Loop& loop;
    Time due{};
    int* left = nullptr;
    Timer timer{&ring, this};
    static void ring(void* self) {
      auto* bell = static_cast<Bell*>(self);
      EXPECT_GE(bell->loop.now(), bell->due);
      if (--*bell->left == 0) bell->loop.stop();
    }
  };
  int left = 40;
  std::vector<std::unique_ptr<Bell>> bells;
  for (int i = 0; i < 40; ++i) {
    bells.push_back(std::make_unique<Bell>(*loop, Time{}, &left));
    const Duration after(i * 737);
    bells.back()->due = loop->now() + after;
    loop->arm(bells.back()->timer, after);
  }
  run();
  EXPECT_EQ(left, 0);
}

TEST_P(LoopLifeTest, PostsArriveFromAllThreads) {
  constexpr int kEach = 5000;
  std::vector<int> next(4, 0);
  int total = 0;
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i)
        loop->post([&, t, i] {
          EXPECT_EQ(next[t]++, i);
          if (++total == 4 * kEach) loop->stop();
        });
    });
  run();
  EXPECT_EQ(total, 4 * kEach);
  threads.clear();
  const auto held = std::make_shared<int>();
  loop->post([held] { FAIL(); });
  EXPECT_EQ(held.use_count(), 1);
}

TEST_P(LoopLifeTest, StopsFromAnotherThreadWhileAsleep) {
  std::jthread other([&] { loop->stop(); });
  run();
}

// Destroyed in each of its own callbacks, with other events of the same turn still to come.
TEST_P(LoopLifeTest, StreamsMayDieInTheirCallbacks) {
  Door door;
  open(door);
  int deaths = 0;
  const auto count = [&] {
    if (++deaths == 90) loop->stop();
  };
  door.welcome = [&](Ear& ear) {
    const std::size_t number = door.ears.size() % 3;
    if (number == 0) {
      ear.stream.reset();
      return;
    }
    ear.bytes_hook = [&, number](Bytes bytes) {
      ear.stream->send(bytes);
      if (number == 1) ear.stream.reset();
      if (number == 2) Stream::close_gently(std::move(ear.stream), 1s);
    };
  };
  std::vector<std::unique_ptr<Ear>> clients;
  for (int i = 0; i < 90; ++i) {
    clients.push_back(std::make_unique<Ear>());
    Ear& ear = *clients.back();
    const auto die = [&ear, count] {
      if (!ear.stream) return;
      ear.stream.reset();
      count();
    };
    ear.connect_hook = [&, i, die] {
      ear.stream->send(pattern(0, i % 2 == 0 ? 100 : 40'000));
      if (i % 5 == 0) die();
    };
    ear.bytes_hook = [die](Bytes) { die(); };
    ear.end_hook = die;
    connect(ear, door);
  }
  run();
  EXPECT_EQ(deaths, 90);
}

// One callback destroys streams that have events of the same turn.
TEST_P(LoopLifeTest, StreamsMayKillEachOther) {
  Door door;
  open(door);
  std::vector<Fd> peers;
  for (int i = 0; i < 50; ++i) peers.push_back(raw_connect(door.listener->address()));
  door.welcome = [&](Ear& ear) {
    ear.bytes_hook = [&](Bytes) {
      for (auto& other : door.ears) other->stream.reset();
      loop->stop();
    };
    if (door.ears.size() < 50) return;
    loop->post([&] {
      for (const Fd& peer : peers) EXPECT_EQ(::send(peer.get(), "x", 1, 0), 1);
    });
  };
  run();
  for (const auto& ear : door.ears) EXPECT_FALSE(ear->stream);
}

TEST_P(LoopLifeTest, DrainedMayDestroy) {
  Door door;
  open(door);
  Ear reader;
  door.welcome = [&](Ear& ear) {
    ear.drain_hook = [&] { ear.stream.reset(); };
    ear.stream->send(pattern(0, 20u << 20));
  };
  reader.bytes_hook = [](Bytes) {};
  reader.end_hook = [&] { loop->stop(); };
  connect(reader, door);
  run();
  EXPECT_EQ(door.ears.at(0)->drained, 1);
}

TEST_P(LoopLifeTest, ThousandsComeAndGo) {
  constexpr int kTotal = 3000;
  Door door;
  open(door);
  int finished = 0;
  int started = 0;
  door.welcome = [](Ear& ear) {
    ear.bytes_hook = [&ear](Bytes bytes) { ear.stream->send(bytes); };
    ear.end_hook = [&ear] { ear.stream.reset(); };
  };
  std::vector<std::unique_ptr<Ear>> clients(60);
  std::function<void(std::size_t)> begin = [&](std::size_t slot) {
    if (started == kTotal) return;
    const std::size_t size = 1 + static_cast<std::size_t>(started++ % 50) * 100;
    clients[slot] = std::make_unique<Ear>();
    Ear& ear = *clients[slot];
    ear.connect_hook = [&ear, size] { ear.stream->send(pattern(0, size)); };
    ear.bytes_hook = [&, slot, size](Bytes bytes) {
      ear.got += bytes;
      if (ear.got.size() < size) return;
      EXPECT_TRUE(is_pattern(0, ear.got));
      if (++finished == kTotal) return loop->stop();
      loop->post([&begin, slot] { begin(slot); });
    };
    ear.end_hook = [&ear] { ADD_FAILURE() << ear.ended->what(); };
    connect(ear, door);
  };
  for (std::size_t slot = 0; slot < clients.size(); ++slot) begin(slot);
  run();
  EXPECT_EQ(finished, kTotal);
}

// Without descriptors the listener says so, waits, and goes on when there are some.
TEST_P(LoopLifeTest, AShortageOfDescriptorsIsSurvived) {
  Door door;
  open(door);
  const Fd first = raw_connect(door.listener->address());
  const Fd second = raw_connect(door.listener->address());
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{static_cast<rlim_t>(second.get() + 1), before.rlim_max};
  std::vector<Fd> holes;  // every descriptor below the limit is in use
  while (true) {
    Fd hole(dup(first.get()));
    if (hole.get() > second.get()) break;
    holes.push_back(std::move(hole));
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  door.failed_hook = [&] { setrlimit(RLIMIT_NOFILE, &before); };
  door.welcome = [&](Ear&) {
    EXPECT_GT(door.failures, 0);
    if (door.ears.size() == 2) loop->stop();
  };
  run();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(door.ears.size(), 2u);
}

TEST_P(LoopLifeTest, AListenerMayGoInItsCallback) {
  Door door;
  open(door);
  const Address address = door.listener->address();
  const Fd first = raw_connect(address);
  door.welcome = [&](Ear&) {
    door.listener.reset();
    loop->post([&] {
      loop->post([&] {
        Connecting refused = open_connection(address);
        if (!tcp()) EXPECT_NE(refused.error, 0);
        loop->stop();
      });
    });
  };
  run();
  EXPECT_EQ(door.ears.size(), 1u);
}

// Moves between two loops again and again in the middle of two streams of bytes: none is lost, none
// doubled.
TEST_P(LoopLifeTest, DetachAndAdoptKeepEveryByte) {
  constexpr std::size_t kTotal = 16u << 20;
  auto second = another_loop();
  Loop* loops[2] = {loop.get(), second.get()};
  Ear ear;
  Door door;
  open(door);
  std::size_t moves = 0;
  std::size_t echoed = 0;
  std::size_t since = 0;
  Fd peer = raw_connect(door.listener->address());
  ear.bytes_hook = [&](Bytes bytes) {
    EXPECT_TRUE(is_pattern(echoed, bytes)) << "at " << echoed;
    echoed += bytes.size();
    since += bytes.size();
    ear.stream->send(bytes);
    if (since < 50'000) return;
    since = 0;
    if (moves % 3 == 1) ear.stream->pause();  // so that something may be held back
    const auto move_away = [&] {
      Loop& to = *loops[++moves % 2];
      Stream::detach(std::move(ear.stream), [&](Detached detached) {
        EXPECT_FALSE(ear.stream);
        to.post([&, detached = std::move(detached)]() mutable {
          ear.stream = to.adopt(std::move(detached), ear);
        });
      });
    };
    if (moves % 3 == 1)
      loops[moves % 2]->post(move_away);
    else
      move_away();
  };
  door.welcome = [&](Ear& accepted) {
    ear.stream = std::move(accepted.stream);
    ear.stream->set_sink(ear);
  };
  std::jthread other([&] { second->run(); });
  std::jthread writer([&] {
    const std::string text = pattern(0, kTotal);
    for (std::size_t sent = 0; sent < kTotal;) {
      const auto more = ::send(peer.get(), text.data() + sent,
                               std::min<std::size_t>(kTotal - sent, 7000), MSG_NOSIGNAL);
      ASSERT_GT(more, 0);
      sent += static_cast<std::size_t>(more);
    }
  });
  std::jthread reader([&] {
    std::string bytes(100'000, 0);
    std::size_t got = 0;
    while (got < kTotal) {
      const auto more = ::recv(peer.get(), bytes.data(), bytes.size(), 0);
      if (more <= 0) break;
      EXPECT_TRUE(is_pattern(got, Bytes(bytes.data(), static_cast<std::size_t>(more))));
      got += static_cast<std::size_t>(more);
    }
    EXPECT_EQ(got, kTotal);
    loop->stop();
    second->stop();
  });
  run();
  second->stop();
  other.join();
  EXPECT_EQ(echoed, kTotal);
  EXPECT_GE(moves, 2u);
  ear.stream.reset();
}

TEST_P(LoopLifeTest, WhatIsLeftAtTheEndIsFreed) {
  {
    auto unused = another_loop();
    Door door;
    open(door, *unused);
    Ear ear;
    ear.stream = unused->connect(door.listener->address(), ear);
    ear.stream->send("x");
    unused->post([held = std::make_shared<int>()] {});
  }
  Door door;
  open(door);
  Ear ear;
  connect(ear, door);
  ear.connect_hook = [&] {
    ear.stream->send(pattern(0, 10u << 20));
    Stream::close_gently(std::move(ear.stream), 60s);
    Ear& accepted = *door.ears.emplace_back(std::make_unique<Ear>());
    accepted.stream = loop->connect(door.listener->address(), accepted);
    Stream::detach(std::move(accepted.stream), [](Detached detached) {
      EXPECT_GE(detached.handle, 0);
      Fd(detached.handle).reset();
    });
    loop->stop();
  };
  run();
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Net, LoopLifeTest, testing::ValuesIn(settings()), setting_name);

}  // namespace pgw::net

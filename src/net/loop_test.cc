// What every backend promises: bytes, back-pressure and ends.
#include "net/loop.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <thread>

#include "net/loop_fixture.h"

namespace pgw::net {
namespace {

TEST_P(LoopTest, EchoesManyMessages) {
  Door door;
  open(door);
  door.welcome = [](Ear& ear) {
    ear.bytes_hook = [&ear](Bytes bytes) { ear.stream->send(bytes); };
  };
  std::vector<std::unique_ptr<Ear>> clients;
  int busy = 20;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<Ear>());
    Ear& ear = *clients.back();
    connect(ear, door);
    ear.connect_hook = [&ear] { ear.stream->send(pattern(0, 1)); };
  }
  // Each client keeps a growing number of bytes in the air; what comes back is what was sent.
  constexpr std::size_t kEach = 300'000;
  for (auto& client : clients) {
    Ear& ear = *client;
    auto sent = std::make_shared<std::size_t>(1);
    ear.bytes_hook = [&, sent](Bytes bytes) {
      EXPECT_TRUE(is_pattern(ear.got.size(), bytes));
      ear.got += bytes;
      if (ear.got.size() == kEach) {
        if (--busy == 0) loop->stop();
        return;
      }
      const std::size_t more = std::min(bytes.size() + 1 + *sent % 700, kEach - *sent);
      ear.stream->send(pattern(*sent, more));
      *sent += more;
    };
  }
  run();
  EXPECT_EQ(busy, 0);
}

// A slow reader holds its writer back, and every byte arrives once.
TEST_P(LoopTest, BackPressureStopsTheWriter) {
  constexpr std::size_t kTotal = 24u << 20;
  constexpr std::size_t kPiece = 50'000;
  Door door;
  open(door);
  std::size_t sent = 0;
  std::size_t most_queued = 0;
  door.welcome = [&](Ear& ear) {
    ear.drain_hook = [&] {
      EXPECT_LE(ear.stream->queued(), Stream::kLowWater);
      while (sent < kTotal && ear.stream->queued() < Stream::kHighWater) {
        const std::size_t size = std::min(kPiece, kTotal - sent);
        ear.stream->send(pattern(sent, size));
        sent += size;
      }
      most_queued = std::max(most_queued, ear.stream->queued());
    };
    ear.drain_hook();
  };
  Ear reader;
  std::size_t got = 0;
  std::size_t since_pause = 0;
  reader.bytes_hook = [&](Bytes bytes) {
    EXPECT_TRUE(is_pattern(got, bytes)) << "at " << got;
    got += bytes.size();
    since_pause += bytes.size();
    if (got == kTotal) return loop->stop();
    if (since_pause < 1'000'000) return;
    since_pause = 0;
    reader.stream->pause();
    // Two turns later; what was on its way must not be delivered meanwhile.
    loop->post([&, before = got] {
      loop->post([&, before] {
        EXPECT_EQ(got, before);
        reader.stream->resume();
      });
    });
  };
  connect(reader, door);
  run();
  EXPECT_EQ(got, kTotal);
  EXPECT_LE(most_queued, Stream::kHighWater + kPiece);
  EXPECT_GT(door.ears.at(0)->drained, 0);
}

// What a stream sends to a peer that never reads stays bounded by its own queue, and stalls nobody
// else.
TEST_P(LoopTest, APeerThatDoesNotReadStallsNobody) {
  Door door;
  open(door);
  const Fd deaf = raw_connect(door.listener->address());
  Ear lively;
  door.welcome = [&](Ear& ear) {
    if (door.ears.size() == 1) {
      while (ear.stream->queued() < 8u << 20) ear.stream->send(pattern(0, 100'000));
      connect(lively, door);
    } else {
      ear.bytes_hook = [&ear](Bytes bytes) { ear.stream->send(bytes); };
    }
  };
  lively.connect_hook = [&] { lively.stream->send("x"); };
  int rounds = 0;
  lively.bytes_hook = [&](Bytes) {
    if (++rounds == 1000) return loop->stop();
    lively.stream->send("x");
  };
  run();
  EXPECT_EQ(rounds, 1000);
  EXPECT_EQ(door.ears.at(0)->drained, 0);
}

TEST_P(LoopTest, BytesComeBeforeTheEnd) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{70'000}, std::size_t{900'000}}) {
    loop = another_loop();
    Door door;
    open(door);
    door.welcome = [&](Ear& ear) { ear.end_hook = [&] { loop->stop(); }; };
    std::jthread peer([&] {
      const Fd fd = raw_connect(door.listener->address());
      const std::string text = pattern(0, size);
      std::size_t sent = 0;
      while (sent < size) {
        const auto more = ::send(fd.get(), text.data() + sent, size - sent, MSG_NOSIGNAL);
        ASSERT_GT(more, 0);
        sent += static_cast<std::size_t>(more);
      }
    });
    run();
    ASSERT_EQ(door.ears.size(), 1u);
    EXPECT_EQ(door.ears[0]->got, pattern(0, size));
    EXPECT_EQ(door.ears[0]->ended->code(), Code::closed);
  }
}

// A peer that shuts its writing side only has ended too.
TEST_P(LoopTest, HalfCloseIsAnEnd) {
  Door door;
  open(door);
  const Fd peer = raw_connect(door.listener->address());
  ASSERT_EQ(::send(peer.get(), "bye", 3, 0), 3);
  ASSERT_EQ(shutdown(peer.get(), SHUT_WR), 0);
  door.welcome = [&](Ear& ear) { ear.end_hook = [&] { loop->stop(); }; };
  run();
  EXPECT_EQ(door.ears.at(0)->got, "bye");
}

TEST_P(LoopTest, EndIsNoticedWhilePaused) {
  Door door;
  open(door);
  Fd peer = raw_connect(door.listener->address());
  ASSERT_EQ(::send(peer.get(), "abc", 3, 0), 3);
  bool late = false;
  door.welcome = [&](Ear& ear) {
    ear.bytes_hook = [&](Bytes bytes) {
      EXPECT_FALSE(late);
      ear.got += bytes;
      ear.stream->pause();
      late = true;
      loop->post([&] {
        loop->post([&] {
          EXPECT_EQ(::send(peer.get(), "never read", 10, 0), 10);
          peer.reset();
        });
      });
    };
    ear.end_hook = [&] { loop->stop(); };
  };
  run();
  EXPECT_EQ(door.ears.at(0)->got, "abc");
  EXPECT_TRUE(door.ears.at(0)->ended.has_value());
}

TEST_P(LoopTest, AResetWhilePausedIsAnEnd) {
  if (!tcp()) return;
  Door door;
  open(door);
  Fd peer = raw_connect(door.listener->address());
  door.welcome = [&](Ear& ear) {
    ear.stream->pause();
    ear.end_hook = [&] { loop->stop(); };
    loop->post([&] {
      const linger hard{1, 0};
      setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
      peer.reset();
    });
  };
  run();
  EXPECT_TRUE(door.ears.at(0)->ended.has_value());
}

// Sending to a peer that has gone ends the stream, once, and what the peer had said is heard first.
TEST_P(LoopTest, AFailedSendIsAnEnd) {
  Door door;
  open(door);
  Fd peer = raw_connect(door.listener->address());
  Timer tick(
      [](void* self) {
        auto& it = *static_cast<Door*>(self);
        it.failed_hook();
      },
      &door);
  door.failed_hook = [&] {
    Ear& ear = *door.ears.at(0);
    if (ear.ended) return;
    ear.stream->send(pattern(0, 40'000));
    loop->arm(tick, 0ms);
  };
  door.welcome = [&](Ear& ear) {
    ear.end_hook = [&] { loop->stop(); };
    EXPECT_EQ(::send(peer.get(), "reason", 6, 0), 6);
    peer.reset();
    door.failed_hook();
  };
  run();
  Ear& ear = *door.ears.at(0);
  EXPECT_TRUE(ear.got == "reason" || ear.got.empty()) << ear.got;
  const auto queued = ear.stream->queued();
  ear.stream->send("dropped in silence");
  EXPECT_EQ(ear.stream->queued(), queued);
}

TEST_P(LoopTest, CloseGentlyDeliversEverything) {
  constexpr std::size_t kTotal = 6u << 20;
  Door door;
  open(door);
  door.welcome = [&](Ear& ear) {
    ear.bytes_hook = [&](Bytes) {
      ear.stream->send(pattern(0, 100));
      ear.stream->send(pattern(100, kTotal - 100));
      Stream::close_gently(std::move(ear.stream), 60s);
    };
  };
  Ear reader;
  std::size_t got = 0;
  bool paused_once = false;
  // Sends more than the other side ever reads: a careless close would reset the connection.
  reader.connect_hook = [&] { reader.stream->send(pattern(0, 5000)); };
  reader.bytes_hook = [&](Bytes bytes) {
    EXPECT_TRUE(is_pattern(got, bytes));
    got += bytes.size();
    if (!paused_once) reader.stream->send("unread");
    if (std::exchange(paused_once, true)) return;
    reader.stream->pause();
    loop->post([&] { reader.stream->resume(); });
  };
  reader.end_hook = [&] { loop->stop(); };
  connect(reader, door);
  run();
  EXPECT_EQ(got, kTotal);
  EXPECT_EQ(reader.ended->code(), Code::closed);
}

// A relay in the middle, as the pooler is one: it pauses whoever is faster, and passes on every
// byte.
TEST_P(LoopTest, RelaysUnderBackPressure) {
  constexpr std::size_t kTotal = 96u << 20;
  Door door;
  open(door);
  Ear source;
  Ear target;
  const auto pass = [](Ear& from, Ear& to) {
    from.bytes_hook = [&](Bytes bytes) {
      to.stream->send(bytes);
      if (to.stream->queued() >= Stream::kHighWater) from.stream->pause();
    };
    to.drain_hook = [&from] { from.stream->resume(); };
  };
  pass(source, target);
  pass(target, source);
  door.welcome = [&](Ear& ear) {
    Ear& mine = source.stream ? target : source;
    mine.stream = std::move(ear.stream);
    mine.stream->set_sink(mine);
    if (!target.stream) mine.stream->pause();
    if (target.stream) source.stream->resume();
  };
  std::jthread writer([&] {
    const Fd in = raw_connect(door.listener->address());
    const Fd out = raw_connect(door.listener->address());
    std::jthread reader([&] {
      std::string bytes(200'000, 0);
      std::size_t got = 0;
      while (got < kTotal) {
        const auto more = ::recv(out.get(), bytes.data(), bytes.size(), 0);
        if (more <= 0) break;
        EXPECT_TRUE(is_pattern(got, Bytes(bytes.data(), static_cast<std::size_t>(more))));
        got += static_cast<std::size_t>(more);
      }
      EXPECT_EQ(got, kTotal);
      loop->stop();
    });
    const std::string text = pattern(0, kTotal);
    for (std::size_t sent = 0; sent < kTotal;) {
      const auto more = ::send(in.get(), text.data() + sent,
                               std::min<std::size_t>(kTotal - sent, 8192), MSG_NOSIGNAL);
      if (more <= 0) break;
      sent += static_cast<std::size_t>(more);
    }
  });
  run();
  source.stream.reset();
  target.stream.reset();
}

// Lingering has an end: a peer that does not read is cut off.
TEST_P(LoopTest, CloseGentlyGivesUpInTheEnd) {
  Door door;
  open(door);
  const Fd deaf = raw_connect(door.listener->address());
  door.welcome = [&](Ear& ear) {
    ear.stream->send(pattern(0, 16u << 20));
    Stream::close_gently(std::move(ear.stream), 5ms);
  };
  std::jthread waiting([&] {
    // The end is seen behind what the kernel had taken.
    std::string bytes(1 << 20, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    while (::recv(deaf.get(), bytes.data(), bytes.size(), 0) > 0) {
    }
    loop->stop();
  });
  run();
}

TEST_P(LoopTest, BulkDeliversEverythingAndTheRest) {
  constexpr std::size_t kTotal = (10u << 20) + 77;
  Door door;
  open(door);
  std::size_t got = 0;
  int calls = 0;
  bool small = false;
  Fd peer = raw_connect(door.listener->address());
  std::jthread writer;
  door.welcome = [&](Ear& ear) {
    ear.stream->expect_bulk(true);
    ear.stream->expect_bulk(true);
    ear.bytes_hook = [&](Bytes bytes) {
      EXPECT_TRUE(is_pattern(got, bytes));
      got += bytes.size();
      ++calls;
      if (got == kTotal && !std::exchange(small, true)) {
        // Few bytes, and no more: still bulk, and still delivered.
        EXPECT_EQ(::send(peer.get(), pattern(kTotal, 5).data(), 5, 0), 5);
      } else if (got == kTotal + 5) {
        ear.stream->expect_bulk(false);
        EXPECT_EQ(::send(peer.get(), pattern(kTotal + 5, 1).data(), 1, 0), 1);
      } else if (got == kTotal + 6) {
        loop->stop();
      }
    };
    writer = std::jthread([&] {
      const std::string text = pattern(0, kTotal);
      for (std::size_t sent = 0; sent < kTotal;) {
        const auto more = ::send(peer.get(), text.data() + sent,
                                 std::min<std::size_t>(kTotal - sent, 30'000), MSG_NOSIGNAL);
        ASSERT_GT(more, 0);
        sent += static_cast<std::size_t>(more);
      }
    });
  };
  run();
  EXPECT_EQ(got, kTotal + 6);
}

// More connections become readable at once than there are buffers; one that floods does not starve
// the others.
TEST_P(LoopTest, ManyTalkAtOnce) {
  constexpr std::size_t kEach = 60'000;
  constexpr int kPeers = 400;
  Door door;
  open(door);
  int finished = 0;
  std::atomic<bool> over = false;
  door.welcome = [&](Ear& ear) {
    ear.bytes_hook = [&](Bytes bytes) {
      EXPECT_TRUE(is_pattern(ear.got.size(), bytes));
      ear.got += bytes;
      if (ear.got.size() == kEach && ++finished == kPeers) loop->stop();
    };
  };
  std::jthread peers([&] {
    std::vector<Fd> fds;
    for (int i = 0; i < kPeers; ++i) fds.push_back(raw_connect(door.listener->address()));
    const std::string text = pattern(0, kEach);
    for (std::size_t from = 0; from < kEach; from += 6000)
      for (const Fd& fd : fds)
        ASSERT_EQ(::send(fd.get(), text.data() + from, 6000, MSG_NOSIGNAL), 6000);
    over.wait(false);
  });
  run();
  over = true;
  over.notify_all();
  EXPECT_EQ(finished, kPeers);
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Net, LoopTest, testing::ValuesIn(settings()), setting_name);

}  // namespace pgw::net

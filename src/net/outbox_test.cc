#include "net/outbox.h"

#include <gtest/gtest.h>

#include <random>

namespace pgw::net {
namespace {

std::string pattern(std::size_t from, std::size_t size) {
  std::string text(size, 0);
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((from + i) * 31 >> 3);
  return text;
}

TEST(Outbox, KeepsEveryByteInOrder) {
  ChunkPool pool;
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    Outbox outbox(pool);
    std::size_t in = 0;
    std::size_t out = 0;
    for (int step = 0; step < 300; ++step) {
      const std::size_t size = random() % (step % 7 == 0 ? 100'000 : 3000);
      outbox.append(pattern(in, size));
      in += size;
      outbox.pin_front(random() % 2 == 0);
      const Bytes front = outbox.front();
      const std::size_t part = front.empty() ? 0 : random() % (front.size() + 1);
      outbox.append(pattern(in, 10));
      in += 10;
      ASSERT_EQ(Bytes(outbox.front().data(), part), pattern(out, part));
      outbox.pin_front(false);
      outbox.consume(part);
      out += part;
      ASSERT_EQ(outbox.size(), in - out);
    }
    EXPECT_EQ(outbox.take_all(), pattern(out, in - out));
    EXPECT_TRUE(outbox.empty());
  }
}

// A send in flight reads this memory: whatever is appended meanwhile, it stays.
TEST(Outbox, PinnedBytesDoNotMove) {
  ChunkPool pool;
  Outbox outbox(pool);
  outbox.append(pattern(0, 100));
  const Bytes front = outbox.front();
  outbox.pin_front(true);
  outbox.append(pattern(100, 200'000));
  EXPECT_EQ(outbox.front().data(), front.data());
  EXPECT_EQ(front, pattern(0, 100));
}

TEST(Outbox, WhatFitsInOneChunkIsOnePiece) {
  ChunkPool pool;
  Outbox outbox(pool);
  for (std::size_t i = 0; i < 60; ++i) outbox.append(pattern(i * 1000, 1000));
  EXPECT_EQ(outbox.front(), pattern(0, 60'000));
  outbox.consume(60'000);
  EXPECT_TRUE(outbox.front().empty());
}

}  // namespace
}  // namespace pgw::net

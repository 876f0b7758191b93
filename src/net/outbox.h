// Bytes that wait to be sent, in chunks that never move while a send is in flight. An empty outbox
// owns no memory: chunks come from its loop's pool and go back to it.
#pragma once
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace pgw::net {

struct Chunk {
  Chunk* next = nullptr;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  std::uint32_t capacity = 0;
  bool pinned = false;  // a send of its bytes is in flight: it must not move
  char* data() { return reinterpret_cast<char*>(this + 1); }
  std::size_t size() const { return end - begin; }
  std::size_t room() const { return capacity - end; }
};

// Chunks of two sizes, kept for reuse up to a bound. One per loop.
class ChunkPool {
 public:
  static constexpr std::size_t kSmallBytes = 4096;  // with the header
  static constexpr std::size_t kLargeBytes = 65536;

  ChunkPool() = default;
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  ~ChunkPool();

  Chunk* take(bool large);
  void give(Chunk* chunk);

 private:
  struct Shelf {
    Chunk* first = nullptr;
    std::size_t count = 0;
  };
  Shelf small_;
  Shelf large_;
};

class Outbox {
 public:
  explicit Outbox(ChunkPool& pool) : pool_(&pool) {}
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;
  ~Outbox() { clear(); }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  void append(Bytes bytes);
  void consume(std::size_t bytes);
  void clear();
  std::string take_all();

  // The first chunk's bytes.
  Bytes front() const {
    return head_ ? Bytes(head_->data() + head_->begin, head_->size()) : Bytes();
  }
  // Fills at most `max` vectors with what comes first; returns how many.
  int gather(iovec* into, int max) const;
  // While a send of front() is in flight.
  void pin_front(bool pinned) {
    if (head_) head_->pinned = pinned;
  }

 private:
  void push(Chunk* chunk);
  void grow_tail();

  ChunkPool* pool_;
  Chunk* head_ = nullptr;
  Chunk* tail_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace pgw::net

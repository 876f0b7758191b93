#include "net/outbox.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "base/check.h"

namespace pgw::net {
namespace {

constexpr std::size_t kSmallKept = 256;
constexpr std::size_t kLargeKept = 16;

}  // namespace

ChunkPool::~ChunkPool() {
  for (Shelf* shelf : {&small_, &large_}) {
    while (Chunk* chunk = shelf->first) {
      shelf->first = chunk->next;
      ::operator delete(chunk);
    }
  }
}

Chunk* ChunkPool::take(bool large) {
  Shelf& shelf = large ? large_ : small_;
  const std::size_t bytes = large ? kLargeBytes : kSmallBytes;
  void* memory = shelf.first;
  if (memory) {
    shelf.first = shelf.first->next;
    --shelf.count;
  } else {
    memory = ::operator new(bytes);
  }
  auto* chunk = new (memory) Chunk;
  chunk->capacity = static_cast<std::uint32_t>(bytes - sizeof(Chunk));
  return chunk;
}

void ChunkPool::give(Chunk* chunk) {
  const bool large = chunk->capacity > kSmallBytes;
  Shelf& shelf = large ? large_ : small_;
  if (shelf.count >= (large ? kLargeKept : kSmallKept)) return ::operator delete(chunk);
  chunk->next = shelf.first;
  shelf.first = chunk;
  ++shelf.count;
}

void Outbox::push(Chunk* chunk) {
  (tail_ ? tail_->next : head_) = chunk;
  tail_ = chunk;
}

// Replaces the only, small chunk by a large one: what fits in one chunk leaves in one send.
void Outbox::grow_tail() {
  Chunk* large = pool_->take(true);
  std::memcpy(large->data(), tail_->data() + tail_->begin, tail_->size());
  large->end = static_cast<std::uint32_t>(tail_->size());
  pool_->give(tail_);
  head_ = tail_ = large;
}

void Outbox::append(Bytes bytes) {
  size_ += bytes.size();
  const bool fits = tail_ && bytes.size() <= tail_->room();
  if (tail_ && !fits && tail_ == head_ && !tail_->pinned &&
      tail_->capacity <= ChunkPool::kSmallBytes)
    grow_tail();
  while (!bytes.empty()) {
    if (!tail_ || tail_->room() == 0)
      push(pool_->take(bytes.size() > ChunkPool::kSmallBytes - sizeof(Chunk)));
    const std::size_t part = std::min(bytes.size(), tail_->room());
    std::memcpy(tail_->data() + tail_->end, bytes.data(), part);
    tail_->end += static_cast<std::uint32_t>(part);
    bytes.remove_prefix(part);
  }
}

void Outbox::consume(std::size_t bytes) {
  PGW_ASSERT(bytes <= size_);
  size_ -= bytes;
  while (head_ && (bytes > 0 || head_->size() == 0)) {
    const std::size_t part = std::min(bytes, head_->size());
    head_->begin += static_cast<std::uint32_t>(part);
    bytes -= part;
    if (head_->size() > 0) break;
    Chunk* done = head_;
    head_ = done->next;
    if (!head_) tail_ = nullptr;
    pool_->give(done);
  }
}

void Outbox::clear() { consume(size_); }

std::string Outbox::take_all() {
  std::string all;
  all.reserve(size_);
  for (Chunk* chunk = head_; chunk; chunk = chunk->next)
    all.append(chunk->data() + chunk->begin, chunk->size());
  clear();
  return all;
}

int Outbox::gather(iovec* into, int max) const {
  int count = 0;
  for (Chunk* chunk = head_; chunk && count < max; chunk = chunk->next)
    into[count++] = {chunk->data() + chunk->begin, chunk->size()};
  return count;
}

}  // namespace pgw::net

// A queue in one growing circular array. Holds no memory while it has never been used, and gives it
// back with release(). T must be copyable without effort (entries are assigned, not destroyed one
// by one).
#pragma once
#include <cstddef>
#include <memory>

namespace pgw::base {

template <class T>
class Ring {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  T& front() { return at(0); }
  const T& front() const { return at(0); }
  T& back() { return at(size_ - 1); }
  const T& back() const { return at(size_ - 1); }
  T& at(std::size_t i) { return items_[(first_ + i) & (room_ - 1)]; }
  const T& at(std::size_t i) const { return items_[(first_ + i) & (room_ - 1)]; }
  void push_back(T item) {
    if (size_ == room_) grow();
    items_[(first_ + size_) & (room_ - 1)] = item;
    ++size_;
  }
  void pop_front() {
    first_ = (first_ + 1) & (room_ - 1);
    --size_;
  }
  void erase(std::size_t i) {
    for (; i + 1 < size_; ++i) at(i) = at(i + 1);
    --size_;
  }
  void clear() { first_ = size_ = 0; }
  void release() {
    items_.reset();
    first_ = size_ = room_ = 0;
  }

 private:
  void grow() {
    const std::size_t room = room_ == 0 ? 8 : room_ * 2;
    auto items = std::make_unique<T[]>(room);
    for (std::size_t i = 0; i < size_; ++i) items[i] = at(i);
    items_ = std::move(items);
    first_ = 0;
    room_ = room;
  }
  std::unique_ptr<T[]> items_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  std::size_t room_ = 0;
};

}  // namespace pgw::base

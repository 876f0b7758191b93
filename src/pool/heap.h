// A binary heap of pointers to elements that know their place in it: O(log n) to add, to take out
// and to put right. No allocation once it has grown. The elements outlive their stay.
#pragma once
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace pgw::pool {

// `Before(a, b)`: a comes before b. At: the member that holds the element's place.
template <class T, std::size_t T::* At, class Before>
class Heap {
 public:
  static constexpr std::size_t kNowhere = ~std::size_t{0};

  bool empty() const { return all_.empty(); }
  T* top() const { return all_.empty() ? nullptr : all_.front(); }
  std::span<T* const> all() const { return all_; }  // in no promised order but for the first

  // Adds it, or puts it right after its key has changed.
  void put(T& element) {
    if (element.*At == kNowhere) {
      element.*At = all_.size();
      all_.push_back(&element);
    }
    down(up(element.*At));
  }
  void remove(T& element) {
    const std::size_t at = std::exchange(element.*At, kNowhere);
    if (at == kNowhere) return;
    T* const last = all_.back();
    all_.pop_back();
    if (last == &element) return;
    set(at, *last);
    down(up(at));
  }

 private:
  void set(std::size_t at, T& element) {
    all_[at] = &element;
    element.*At = at;
  }
  bool before(std::size_t a, std::size_t b) const { return Before()(*all_[a], *all_[b]); }
  void swap(std::size_t a, std::size_t b) {
    T& first = *all_[a];
    set(a, *all_[b]);
    set(b, first);
  }
  std::size_t up(std::size_t at) {
    while (at > 0 && before(at, (at - 1) / 2)) {
      swap(at, (at - 1) / 2);
      at = (at - 1) / 2;
    }
    return at;
  }
  void down(std::size_t at) {
    for (;;) {
      std::size_t first = at;
      for (const std::size_t child : {2 * at + 1, 2 * at + 2})
        if (child < all_.size() && before(child, first)) first = child;
      if (first == at) return;
      swap(at, first);
      at = first;
    }
  }
  std::vector<T*> all_;
};

}  // namespace pgw::pool

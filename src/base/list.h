// An intrusive doubly linked list: O(1) insertion and removal, no allocation. An element may be in
// one list per hook, and leaves it when it is destroyed. Order is that of push_back.
#pragma once

namespace pgw {

class ListHook {
 public:
  ListHook() = default;
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;
  ~ListHook() { unlink(); }

  bool linked() const { return next_ != nullptr; }
  void unlink() {
    if (!next_) return;
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = nullptr;
  }

 private:
  template <class T, ListHook T::* Hook>
  friend class List;
  ListHook* next_ = nullptr;
  ListHook* previous_ = nullptr;
  void* owner_ = nullptr;
};

template <class T, ListHook T::* Hook>
class List {
 public:
  List() { root_.next_ = root_.previous_ = &root_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    while (!empty()) root_.next_->unlink();
    root_.next_ = root_.previous_ = nullptr;
  }

  bool empty() const { return root_.next_ == &root_; }
  T* front() const { return empty() ? nullptr : static_cast<T*>(root_.next_->owner_); }
  T* back() const { return empty() ? nullptr : static_cast<T*>(root_.previous_->owner_); }
  T* after(T& element) const { return owner((element.*Hook).next_); }
  // An element that is in a list already is moved.
  void push_back(T& element) {
    (element.*Hook).unlink();
    insert(element, root_.previous_, &root_);
  }
  void push_front(T& element) {
    (element.*Hook).unlink();
    insert(element, &root_, root_.next_);
  }
  T* pop_front() {
    T* first = front();
    if (first) (first->*Hook).unlink();
    return first;
  }

 private:
  T* owner(ListHook* hook) const {
    return hook == &root_ ? nullptr : static_cast<T*>(hook->owner_);
  }
  void insert(T& element, ListHook* before, ListHook* after) {
    ListHook& hook = element.*Hook;
    hook.owner_ = &element;
    hook.previous_ = before;
    hook.next_ = after;
    before->next_ = after->previous_ = &hook;
  }
  ListHook root_;
};

}  // namespace pgw

// For the loop's tests: every test runs on each backend that this machine has, over TCP and over a
// Unix socket.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/loop.h"
#include "net/sockets.h"

namespace pgw::net {

struct Setting {
  Backend backend;
  Address::Kind kind;
};

inline std::vector<Setting> settings() {
  std::vector<Backend> backends = {Backend::epoll};
  const auto uring = make_loop(Backend::io_uring);
  if (uring)
    backends.push_back(Backend::io_uring);
  else
    std::printf("io_uring is not tested here: %s\n", uring.error().what().c_str());
  std::vector<Setting> all;
  for (const Backend backend : backends)
    for (const auto kind : {Address::Kind::ipv4, Address::Kind::unix_path})
      all.push_back({backend, kind});
  return all;
}

inline std::string setting_name(const testing::TestParamInfo<Setting>& info) {
  return std::string(info.param.backend == Backend::epoll ? "epoll" : "io_uring") +
         (info.param.kind == Address::Kind::ipv4 ? "_tcp" : "_unix");
}

// Byte `i` of every transfer, so that a lost, doubled or moved byte shows.
inline char byte_at(std::size_t i) { return static_cast<char>((i * 131) ^ (i >> 8) ^ (i >> 16)); }
inline std::string pattern(std::size_t from, std::size_t size) {
  std::string text(size, 0);
  for (std::size_t i = 0; i < size; ++i) text[i] = byte_at(from + i);
  return text;
}
inline bool is_pattern(std::size_t from, Bytes bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i)
    if (bytes[i] != byte_at(from + i)) return false;
  return true;
}

// A stream and what it said.
struct Ear final : StreamSink {
  std::unique_ptr<Stream> stream;
  std::string got;
  bool connected = false;
  int drained = 0;
  std::optional<Error> ended;
  std::function<void()> connect_hook, drain_hook, end_hook;
  std::function<void(Bytes)> bytes_hook;  // instead of `got`

  void on_connected() override {
    EXPECT_FALSE(connected || ended);
    connected = true;
    if (connect_hook) connect_hook();
  }
  void on_bytes(Bytes bytes) override {
    EXPECT_FALSE(ended);
    EXPECT_FALSE(bytes.empty());
    if (bytes_hook) return bytes_hook(bytes);
    got += bytes;
  }
  void on_drained() override {
    EXPECT_FALSE(ended);
    ++drained;
    if (drain_hook) drain_hook();
  }
  void on_end(const Error& why) override {
    EXPECT_FALSE(ended);
    ended.emplace(why);
    if (end_hook) end_hook();
  }
};

// A listener and what it accepted.
struct Door final : ListenSink {
  std::unique_ptr<Listener> listener;
  std::vector<std::unique_ptr<Ear>> ears;
  int failures = 0;
  std::function<void(Ear&)> welcome;
  std::function<void()> failed_hook;

  void on_accept(std::unique_ptr<Stream> stream) override {
    ears.push_back(std::make_unique<Ear>());
    Ear& ear = *ears.back();
    ear.stream = std::move(stream);
    ear.stream->set_sink(ear);
    if (welcome) welcome(ear);
  }
  void on_accept_failed(const Error& why) override {
    EXPECT_EQ(why.code(), Code::io);
    ++failures;
    if (failed_hook) failed_hook();
  }
};

class LoopTest : public testing::TestWithParam<Setting> {
 protected:
  LoopTest() : loop(std::move(*make_loop(GetParam().backend))), guard_(&too_long, this) {}

  bool tcp() const { return GetParam().kind == Address::Kind::ipv4; }
  std::unique_ptr<Loop> another_loop() { return std::move(*make_loop(GetParam().backend)); }
  Address any_address() {
    if (tcp()) return {Address::Kind::ipv4, "127.0.0.1", 0};
    static std::atomic<int> number = 0;
    return {Address::Kind::unix_path, fmt::format("/tmp/pgw-net-{}-{}.sock", getpid(), ++number),
            0};
  }
  void open(Door& door, Loop& on) {
    auto listener = on.listen(any_address(), door);
    ASSERT_TRUE(listener.has_value()) << listener.error().what();
    door.listener = std::move(*listener);
  }
  void open(Door& door) { open(door, *loop); }
  void connect(Ear& ear, const Door& door) {
    ear.stream = loop->connect(door.listener->address(), ear);
  }
  // Until somebody stops the loop; a test that hangs fails.
  void run() {
    loop->arm(guard_, 120s);
    loop->run();
  }
  // A plain socket, to play a peer of any manners.
  static Fd raw_connect(const Address& address) {
    Connecting connecting = open_connection(address);
    EXPECT_TRUE(connecting.error == 0 || connecting.error == EINPROGRESS);
    const int flags = fcntl(connecting.fd.get(), F_GETFL);
    fcntl(connecting.fd.get(), F_SETFL, flags & ~O_NONBLOCK);
    return std::move(connecting.fd);
  }

  std::unique_ptr<Loop> loop;

 private:
  static void too_long(void* self) {
    ADD_FAILURE() << "the test hangs";
    static_cast<LoopTest*>(self)->loop->stop();
  }
  Timer guard_;
};

}  // namespace pgw::net

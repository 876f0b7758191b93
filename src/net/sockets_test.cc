// What the kernel is asked for, and what it says of a peer.
#include "net/sockets.h"

#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <tuple>

namespace pgw::net {
namespace {

const Address kAnyPort{Address::Kind::ipv4, "127.0.0.1", 0};

// A host that dies says nothing: without keep-alive its connections would stay for hours. What a
// listener has, the connections that it accepts inherit.
TEST(Sockets, KeepAliveIsAsAsked) {
  const SocketOptions options{
      .keepalive_idle = 7s, .keepalive_interval = 3s, .keepalive_probes = 4};
  const auto check = [](int fd) {
    const std::tuple<int, int, int> wanted[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                                                {IPPROTO_TCP, TCP_KEEPIDLE, 7},
                                                {IPPROTO_TCP, TCP_KEEPINTVL, 3},
                                                {IPPROTO_TCP, TCP_KEEPCNT, 4}};
    for (const auto& [level, option, value] : wanted) {
      int is = 0;
      socklen_t size = sizeof is;
      ASSERT_EQ(getsockopt(fd, level, option, &is, &size), 0);
      EXPECT_EQ(is, value) << option;
    }
  };
  const auto listening = open_listener(kAnyPort, options);
  ASSERT_TRUE(listening.has_value());
  const Connecting connecting = open_connection(listening->address, options);
  check(connecting.fd.get());
  pollfd wait{listening->fd.get(), POLLIN, 0};
  ASSERT_EQ(poll(&wait, 1, 5000), 1);
  const Fd accepted(accept4(listening->fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
  check(accepted.get());
}

// Runs in a network of its own, which it can switch off.
bool in_a_network_that_fails(void (*test)(bool (*)(bool up))) {
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) _exit(77);
    test([](bool up) {
      const Fd fd(socket(AF_INET, SOCK_DGRAM, 0));
      ifreq request{};
      std::strcpy(request.ifr_name, "lo");
      request.ifr_flags = up ? IFF_UP : 0;
      return ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0;
    });
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77));
  return WIFEXITED(status) && WEXITSTATUS(status) != 77;
}

TEST(Sockets, AHostThatIsGoneIsSilentAndOneThatDoesNotReadIsNot) {
  const bool ran = in_a_network_that_fails([](bool (*network)(bool)) {
    ASSERT_TRUE(network(true));
    const auto listening = open_listener(kAnyPort);
    ASSERT_TRUE(listening.has_value());
    const Connecting connecting = open_connection(listening->address);
    const int fd = connecting.fd.get();
    const Fd accepted(accept4(listening->fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::string much(1024 * 1024, 'x');
    while (send(fd, much.data(), much.size(), MSG_DONTWAIT) > 0) usleep(10'000);
    usleep(600'000);
    EXPECT_FALSE(is_silent(fd, 300ms)) << "it does not read";
    std::string in(much.size(), 0);
    while (recv(accepted.get(), in.data(), in.size(), MSG_DONTWAIT) > 0) usleep(10'000);
    usleep(600'000);
    EXPECT_FALSE(is_silent(fd, 300ms)) << "nothing to acknowledge";
    ASSERT_TRUE(network(false));
    ASSERT_EQ(send(fd, "x", 1, 0), 1);
    usleep(600'000);
    EXPECT_TRUE(is_silent(fd, 300ms));
  });
  if (!ran) GTEST_SKIP() << "no network of its own here";
}

}  // namespace
}  // namespace pgw::net

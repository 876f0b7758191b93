#include "net/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>

#include "base/check.h"

namespace pgw::net {
namespace {

constexpr int kBacklog = 4096;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

// Empty size: the host is not a numeric address, or the path is too long.
SocketAddress to_socket_address(const Address& address) {
  SocketAddress to;
  if (address.kind == Address::Kind::unix_path) {
    auto* path = reinterpret_cast<sockaddr_un*>(&to.storage);
    path->sun_family = AF_UNIX;
    if (address.host.size() >= sizeof path->sun_path) return to;
    std::memcpy(path->sun_path, address.host.c_str(), address.host.size() + 1);
    to.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.host.size() + 1);
  } else if (address.kind == Address::Kind::ipv6) {
    auto* ip = reinterpret_cast<sockaddr_in6*>(&to.storage);
    ip->sin6_family = AF_INET6;
    ip->sin6_port = htons(address.port);
    if (inet_pton(AF_INET6, address.host.c_str(), &ip->sin6_addr) == 1) to.size = sizeof *ip;
  } else {
    auto* ip = reinterpret_cast<sockaddr_in*>(&to.storage);
    ip->sin_family = AF_INET;
    ip->sin_port = htons(address.port);
    if (inet_pton(AF_INET, address.host.c_str(), &ip->sin_addr) == 1) to.size = sizeof *ip;
  }
  return to;
}

void set(int fd, int level, int option, int value) {
  // An option that a kernel does not know is no reason to refuse a connection.
  [[maybe_unused]] const int result = setsockopt(fd, level, option, &value, sizeof value);
}

// An accepted socket inherits these from its listener, so they cost nothing per connection.
void set_tcp_options(int fd, const SocketOptions& options) {
  const auto seconds = [](Duration time) {
    return static_cast<int>(std::chrono::ceil<std::chrono::seconds>(time).count());
  };
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(options.keepalive_idle));
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(options.keepalive_interval));
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, static_cast<int>(options.keepalive_probes));
}

std::unexpected<Error> refused(const Address& address, int error) {
  return fail(Code::io, "{}: {}", address.text(), errno_text(error));
}

// True: the file is a socket that nobody listens on, and it is gone now.
bool remove_stale_file(const SocketAddress& at, const Address& address) {
  struct stat file;
  if (lstat(address.host.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(probe.get(), at.get(), at.size) == 0 || errno != ECONNREFUSED) return false;
  return unlink(address.host.c_str()) == 0;
}

std::uint16_t bound_port(int fd) {
  SocketAddress at;
  at.size = sizeof at.storage;
  if (getsockname(fd, at.get(), &at.size) != 0) return 0;
  return Peer::from(at.storage).port;
}

}  // namespace

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

std::string errno_text(int error) {
  const char* known = strerrordesc_np(error);
  if (!known) return fmt::format("error {}", error);
  std::string text(known);
  text[0] = lowered(text[0]);
  return text;
}

Error end_error(int error) {
  if (error == 0) return Error(Code::closed, "the peer closed the connection");
  return Error(Code::connection, errno_text(error));
}

int take_socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

Peer Peer::from(const sockaddr_storage& address) {
  Peer peer;
  if (address.ss_family == AF_INET) {
    const auto& ip = reinterpret_cast<const sockaddr_in&>(address);
    peer.kind = Kind::ipv4;
    peer.port = ntohs(ip.sin_port);
    std::memcpy(peer.ip, &ip.sin_addr, sizeof ip.sin_addr);
  } else if (address.ss_family == AF_INET6) {
    const auto& ip = reinterpret_cast<const sockaddr_in6&>(address);
    peer.kind = Kind::ipv6;
    peer.port = ntohs(ip.sin6_port);
    std::memcpy(peer.ip, &ip.sin6_addr, sizeof ip.sin6_addr);
  } else if (address.ss_family == AF_UNIX) {
    peer.kind = Kind::unix_path;
  }
  return peer;
}

Peer Peer::of(int fd) {
  SocketAddress at;
  at.size = sizeof at.storage;
  if (getpeername(fd, at.get(), &at.size) != 0) return {};
  return from(at.storage);
}

std::string Peer::text() const {
  char host[INET6_ADDRSTRLEN] = "";
  switch (kind) {
    case Kind::ipv4:
      inet_ntop(AF_INET, ip, host, sizeof host);
      return fmt::format("{}:{}", host, port);
    case Kind::ipv6:
      inet_ntop(AF_INET6, ip, host, sizeof host);
      return fmt::format("[{}]:{}", host, port);
    case Kind::unix_path:
      return "unix";
    case Kind::unknown:
      break;
  }
  return "unknown";
}

void ListeningSocket::remove_file() const {
  if (address.kind != Address::Kind::unix_path) return;
  struct stat file;
  if (lstat(address.host.c_str(), &file) != 0) return;
  if (file.st_dev == device && file.st_ino == inode) unlink(address.host.c_str());
}

Result<ListeningSocket> open_listener(const Address& address, const SocketOptions& options) {
  const bool local = address.kind == Address::Kind::unix_path;
  const SocketAddress at = to_socket_address(address);
  if (at.size == 0) return fail(Code::io, "{}: not an address to listen on", address.text());
  ListeningSocket opened{Fd(socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
                         address};
  const int fd = opened.fd.get();
  if (fd < 0) return refused(address, errno);
  if (!local) {
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    set_tcp_options(fd, options);
  }
  if (address.kind == Address::Kind::ipv6) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (bind(fd, at.get(), at.size) != 0) {
    const int error = errno;
    const bool again = local && error == EADDRINUSE && remove_stale_file(at, address);
    if (!again) return refused(address, error);
    if (bind(fd, at.get(), at.size) != 0) return refused(address, errno);
  }
  if (local) {
    struct stat file;
    if (chmod(address.host.c_str(), 0777) != 0 || stat(address.host.c_str(), &file) != 0)
      return refused(address, errno);
    opened.device = file.st_dev;
    opened.inode = file.st_ino;
  }
  if (listen(fd, kBacklog) != 0) return refused(address, errno);
  if (!local) opened.address.port = bound_port(fd);
  return opened;
}

Done check_free(const Address& address) {
  if (address.kind == Address::Kind::unix_path || address.port == 0) return {};
  const SocketAddress at = to_socket_address(address);
  const Fd fd(socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return refused(address, errno);
  set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.kind == Address::Kind::ipv6) set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (bind(fd.get(), at.get(), at.size) != 0) return refused(address, errno);
  return {};
}

Connecting open_connection(const Address& address, const SocketOptions& options) {
  const SocketAddress to = to_socket_address(address);
  if (to.size == 0) return {Fd(), EINVAL};
  Fd fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return {Fd(), errno};
  if (to.family() != AF_UNIX) set_tcp_options(fd.get(), options);
  const int error = connect(fd.get(), to.get(), to.size) == 0 ? 0 : errno;
  return {std::move(fd), error};
}

bool is_shortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

bool all_taken_below(int limit, int fd) {
  const Fd lowest(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return !lowest || lowest.get() >= limit;
}

Error too_few_descriptors(const Address& address) {
  return Error(Code::io, fmt::format("{}: the file descriptors that are left are for servers",
                                     address.text()));
}

std::ptrdiff_t send_now(int fd, const Outbox& outbox, Bytes bytes) {
  static constexpr int kVectors = 16;
  iovec vectors[kVectors];
  int count = outbox.gather(vectors, bytes.empty() ? kVectors : kVectors - 1);
  if (!bytes.empty()) vectors[count++] = {const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = vectors;
  message.msg_iovlen = static_cast<std::size_t>(count);
  while (true) {
    const auto sent = count == 1 ? ::send(fd, vectors[0].iov_base, vectors[0].iov_len,
                                          MSG_NOSIGNAL | MSG_DONTWAIT)
                                 : ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
}

// Not TCP_USER_TIMEOUT, which also ends connections to a peer that answers and only does not read:
// a client that pages through its result, a server that waits for a lock in the middle of a COPY.
bool is_silent(int fd, Duration span) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  return info.tcpi_unacked > 0 && std::chrono::milliseconds(info.tcpi_last_ack_recv) >= span;
}

void set_low_water(int fd, int bytes) { set(fd, SOL_SOCKET, SO_RCVLOWAT, bytes); }

}  // namespace pgw::net

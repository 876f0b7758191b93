// Descriptors, socket options and what errno means: all that both real backends need from the
// kernel.
#pragma once
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "net/address.h"
#include "net/options.h"
#include "net/outbox.h"

namespace pgw::net {

// Owns a descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// "connection refused": errno's text as it stands in the middle of a sentence.
std::string errno_text(int error);
// Why a stream ended: 0 is the peer's orderly end.
Error end_error(int error);
// The value of SO_ERROR, which is taken by asking.
int take_socket_error(int fd);

// The other side of a stream, small enough to be kept for each.
struct Peer {
  enum class Kind : std::uint8_t { unknown, ipv4, ipv6, unix_path };
  Kind kind = Kind::unknown;
  std::uint16_t port = 0;
  std::uint8_t ip[16] = {};

  static Peer from(const sockaddr_storage& address);
  static Peer of(int fd);  // asks the kernel
  std::string text() const;
};

// A listening socket, and the file that goes when it goes.
struct ListeningSocket {
  Fd fd;
  Address address;           // with the real port
  std::uint64_t device = 0;  // of a Unix socket's file
  std::uint64_t inode = 0;
  void remove_file() const;  // unless somebody has put another in its place
};
Result<ListeningSocket> open_listener(const Address& address, const SocketOptions& options = {});
// Whether nobody listens there: SO_REUSEPORT, which the workers share a port by, would let two
// processes of one user share it too, in silence.
Done check_free(const Address& address);

// Begins to connect. `error` is 0 (connected), EINPROGRESS, or why it cannot be.
struct Connecting {
  Fd fd;
  int error = 0;
};
Connecting open_connection(const Address& address, const SocketOptions& options = {});

// An accept that failed for want of something that may come back.
bool is_shortage(int error);
// Whether every descriptor below `limit` is taken. `fd`: any that is open.
bool all_taken_below(int limit, int fd);
Error too_few_descriptors(const Address& address);

// Sends the outbox (which must be short) and then `bytes`, in one call. Returns bytes taken, or
// -errno.
std::ptrdiff_t send_now(int fd, const Outbox& outbox, Bytes bytes);
// See Stream::silent_for.
bool is_silent(int fd, Duration span);
// SO_RCVLOWAT: how much must have arrived before the loop is woken.
void set_low_water(int fd, int bytes);

}  // namespace pgw::net

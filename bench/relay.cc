// The least that a proxy can do: each client has a server of its own, and bytes are copied, without
// a look at them. With epoll (edge-triggered, no call that is bound to fail) or io_uring (multishot
// receive, one enter per turn): what pgweir's loops cost without pgweir. For scripts/bench alone;
// it gives up at the first error.
//     relay epoll|io_uring PORT UPSTREAM_PORT
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t kBufferBytes = 16 * 1024;
constexpr unsigned kBuffers = 256;
constexpr int kDescriptorsMost = 65536;

std::vector<int> partner(kDescriptorsMost, -1);              // by descriptor
std::vector<std::uint32_t> generation(kDescriptorsMost, 0);  // a descriptor may be had again

int check(int result, const char* what) {
  if (result >= 0) return result;
  std::perror(what);
  std::exit(1);
}

sockaddr_in local(int port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(static_cast<std::uint16_t>(port));
  return at;
}

void at_once(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int listen_on(int port) {
  const int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const auto at = local(port);
  check(bind(fd, (const sockaddr*)&at, sizeof at), "bind");
  check(listen(fd, 1024), "listen");
  return fd;
}

// Joins a client with a server; gives the server's descriptor.
int join(int client, int upstream) {
  const int server = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  const auto at = local(upstream);
  check(connect(server, (const sockaddr*)&at, sizeof at), "connect");
  at_once(client);
  at_once(server);
  partner[static_cast<std::size_t>(client)] = server;
  partner[static_cast<std::size_t>(server)] = client;
  for (const int fd : {client, server}) ++generation[static_cast<std::size_t>(fd)];
  return server;
}

void part(int fd) {
  const int other = std::exchange(partner[static_cast<std::size_t>(fd)], -1);
  if (other < 0) return;
  partner[static_cast<std::size_t>(other)] = -1;
  shutdown(other, SHUT_RDWR);
  close(other);
  close(fd);
}

void run_epoll(int listener, int upstream) {
  const int loop = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  const auto watch = [loop](int fd, unsigned events) {
    epoll_event event{.events = events, .data = {.fd = fd}};
    check(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  };
  watch(listener, EPOLLIN);
  static char buffer[kBufferBytes];
  epoll_event events[256];
  for (;;) {
    const int count = check(epoll_wait(loop, events, 256, -1), "epoll_wait");
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        const int client = check(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept");
        const int server = join(client, upstream);
        watch(client, EPOLLIN | EPOLLET);
        watch(server, EPOLLIN | EPOLLET);
        continue;
      }
      for (;;) {
        const auto got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got == 0) part(fd);
        if (got <= 0) break;
        if (send(partner[static_cast<std::size_t>(fd)], buffer, static_cast<std::size_t>(got),
                 MSG_NOSIGNAL) != got)
          break;
        if (got < static_cast<ssize_t>(sizeof buffer)) break;
      }
    }
  }
}

class Ring {
 public:
  Ring() {
    io_uring_params parameters{};
    parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                       IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE;
    parameters.cq_entries = 4096;
    check(io_uring_queue_init_params(1024, &ring_, &parameters), "io_uring");
    void* memory = nullptr;
    if (posix_memalign(&memory, 4096, kBuffers * sizeof(io_uring_buf)) != 0) std::exit(1);
    io_uring_buf_reg group{};
    group.ring_addr = (std::uint64_t)memory;
    group.ring_entries = kBuffers;
    check(io_uring_register_buf_ring(&ring_, &group, 0), "buffer ring");
    buffers_ = static_cast<io_uring_buf_ring*>(memory);
    io_uring_buf_ring_init(buffers_);
    for (unsigned i = 0; i < kBuffers; ++i) give_back(i);
    io_uring_register_ring_fd(&ring_);
  }

  void run(int listener, int upstream) {
    io_uring_prep_multishot_accept(next(), listener, nullptr, nullptr, SOCK_CLOEXEC);
    mark(kAccept, listener);
    for (;;) {
      check(io_uring_submit_and_wait(&ring_, 1), "io_uring_enter");
      for (const unsigned id : sent_) give_back(id);  // a send has copied when it was submitted
      sent_.clear();
      io_uring_cqe* cqes[256];
      const unsigned count = io_uring_peek_batch_cqe(&ring_, cqes, 256);
      for (unsigned i = 0; i < count; ++i) take(*cqes[i], upstream);
      io_uring_cq_advance(&ring_, count);
    }
  }

 private:
  enum : std::uint64_t { kAccept = 1ull << 60, kReceive = 2ull << 60, kSend = 3ull << 60 };
  static std::uint64_t named(int fd) {
    const auto at = static_cast<std::size_t>(fd);
    return std::uint64_t{generation[at] & 0xffffffu} << 32 | static_cast<unsigned>(fd);
  }

  io_uring_sqe* next() {
    sqe_ = io_uring_get_sqe(&ring_);
    if (!sqe_) std::exit(1);
    return sqe_;
  }
  void mark(std::uint64_t what, int fd) { io_uring_sqe_set_data64(sqe_, what | named(fd)); }
  void give_back(unsigned id) {
    io_uring_buf_ring_add(buffers_, memory_.data() + id * kBufferBytes, kBufferBytes,
                          static_cast<unsigned short>(id), io_uring_buf_ring_mask(kBuffers), 0);
    io_uring_buf_ring_advance(buffers_, 1);
  }
  void receive(int fd) {
    io_uring_prep_recv_multishot(next(), fd, nullptr, 0, 0);
    sqe_->flags |= IOSQE_BUFFER_SELECT;
    mark(kReceive, fd);
  }

  void take(const io_uring_cqe& cqe, int upstream) {
    const auto what = cqe.user_data & 0xfull << 60;
    const int fd = static_cast<int>(cqe.user_data & 0xffffffffull);
    if (what == kAccept) {
      const int server = join(check(cqe.res, "accept"), upstream);
      receive(cqe.res);
      return receive(server);
    }
    if (what != kReceive) return;
    if ((cqe.user_data & ~what) != named(fd)) {  // of one before
      if (cqe.res > 0) give_back(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
      return;
    }
    if (cqe.res <= 0) {
      if (cqe.res != -ENOBUFS) return part(fd);
    } else {
      const unsigned id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
      io_uring_prep_send(next(), partner[static_cast<std::size_t>(fd)],
                         memory_.data() + id * kBufferBytes, static_cast<std::size_t>(cqe.res),
                         MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
      sqe_->flags |= IOSQE_CQE_SKIP_SUCCESS;
      mark(kSend, fd);
      sent_.push_back(id);
    }
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) receive(fd);
  }

  io_uring ring_{};
  io_uring_sqe* sqe_ = nullptr;
  io_uring_buf_ring* buffers_ = nullptr;
  std::vector<char> memory_ = std::vector<char>(kBuffers * kBufferBytes);
  std::vector<unsigned> sent_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  const int listener = listen_on(std::atoi(arguments[2]));
  const int upstream = std::atoi(arguments[3]);
  if (std::string_view(arguments[1]) == "io_uring") {
    Ring().run(listener, upstream);
  } else {
    run_epoll(listener, upstream);
  }
}

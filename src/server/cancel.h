// One CancelRequest on its way to PostgreSQL, on a connection of its own ("Canceling Requests in
// Progress" in the protocol chapter). While it is, its server is lent to nobody else: so it can hit
// nobody else's query.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/loop.h"
#include "server/budgets.h"
#include "server/context.h"

namespace pgw::server {

class Pool;
class Server;

// What is to be cancelled, and who wants it.
struct Wish {
  std::uint32_t lease = 0;
  std::uint32_t answered = 0;                  // groups of messages before the one that is meant
  std::vector<std::shared_ptr<void>> tickets;  // let go when it is done, or came to nothing
};

class Cancel final : net::StreamSink {
 public:
  Cancel(Context& context, Pool& pool, Server* server, const net::Address& address,
         std::uint32_t pid, const std::string& key, Wish wish);
  // A server has one at a time, whatever its client sends: a further one joins this, or comes after
  // it.
  void also(Wish wish);
  Server* server() const { return server_; }
  void forget_server() { server_ = nullptr; }
  // Its server is free: if it has not begun yet, there is nothing to cancel.
  void drop_if_waiting();

 private:
  void on_connected() override;
  void on_bytes(Bytes) override {}  // PostgreSQL says nothing here
  void on_end(const Error&) override;
  void over(bool reached);

  Pool& pool_;
  Server* server_;
  Wish wish_;
  std::optional<Wish> next_;
  std::string request_;
  bool sent_ = false;
  std::unique_ptr<Errand> errand_;  // it waits for its place in the reserve, or has it
  net::Timer timer_;
  std::unique_ptr<net::Stream> stream_;
};

}  // namespace pgw::server

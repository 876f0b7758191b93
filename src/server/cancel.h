// One CancelRequest on its way to PostgreSQL, on a connection of its own ("Canceling Requests in
// Progress" in the protocol chapter). While it is, its server is lent to nobody else: so it can hit
// nobody else's query.
#pragma once
#include <memory>
#include <string>

#include "net/loop.h"
#include "server/context.h"

namespace pgw::server {

class Pool;
class Server;

class Cancel final : net::StreamSink {
 public:
  Cancel(Context& context, Pool& pool, Server* server, const net::Address& address,
         std::uint32_t pid, const std::string& key, std::shared_ptr<void> ticket);
  Server* server() const { return server_; }
  void forget_server() { server_ = nullptr; }

 private:
  void on_connected() override;
  void on_bytes(Bytes) override {}  // PostgreSQL says nothing here
  void on_end(const Error&) override;
  void over(bool reached);

  Pool& pool_;
  Server* server_;
  std::uint32_t lease_;
  std::uint32_t answered_;
  std::string request_;
  std::shared_ptr<void> ticket_;
  bool sent_ = false;
  net::Timer timer_;
  std::unique_ptr<net::Stream> stream_;
};

}  // namespace pgw::server

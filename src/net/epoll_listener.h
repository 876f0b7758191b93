// Accepts connections for the epoll loop.
#pragma once
#include "net/epoll_loop.h"

namespace pgw::net {

class EpollListener final : public Listener, public Pollable {
 public:
  EpollListener(EpollLoop& loop, ListeningSocket socket, ListenSink& sink)
      : loop_(loop), socket_(std::move(socket)), sink_(sink), retry_(&retry, this) {}
  ~EpollListener() override;

  const Address& address() const override { return socket_.address; }
  int fd() const { return socket_.fd.get(); }
  void on_events(std::uint32_t events) override;
  void on_again() override { accept_some(); }

 private:
  static void retry(void* self) { static_cast<EpollListener*>(self)->accept_some(); }
  void accept_some();

  EpollLoop& loop_;
  ListeningSocket socket_;
  ListenSink& sink_;
  Timer retry_;          // armed: pausing after a shortage
  bool scarce_ = false;  // it is one of descriptors: look before the next accept
};

}  // namespace pgw::net

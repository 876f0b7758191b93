// Accepts connections for the io_uring loop.
#pragma once
#include "net/uring_loop.h"

namespace pgw::net {

// What the kernel sees of a listener; outlives it until the accept under way is over.
class UringAcceptor final : public UringRecord {
 public:
  UringAcceptor(UringLoop& loop, ListeningSocket opened, ListenSink& to)
      : socket(std::move(opened)), sink(&to), loop_(loop), retry_(&retry, this) {
    loop.add(*this);
    loop.touch(*this);
  }

  void complete(Op op, int result, bool last, Bytes bytes) override;
  void reconcile() override;
  bool left() const override { return sink == nullptr; }
  void leave();

  ListeningSocket socket;
  ListenSink* sink;  // null: the listener is gone

 private:
  static void retry(void* self) {
    auto* acceptor = static_cast<UringAcceptor*>(self);
    acceptor->loop_.touch(*acceptor);
  }

  UringLoop& loop_;
  Timer retry_;  // armed: pausing after a shortage
  bool accepting_ = false;
  bool cancelling_ = false;
  bool scarce_ = false;  // too few descriptors: look before the next accept
};

class UringListener final : public Listener {
 public:
  UringListener(UringLoop& loop, ListeningSocket opened, ListenSink& sink)
      : acceptor_(new UringAcceptor(loop, std::move(opened), sink)) {}
  ~UringListener() override { acceptor_->leave(); }
  const Address& address() const override { return acceptor_->socket.address; }

 private:
  UringAcceptor* acceptor_;  // the loop's
};

}  // namespace pgw::net

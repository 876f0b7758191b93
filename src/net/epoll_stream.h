// A connection on the epoll loop.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "net/epoll_loop.h"

namespace pgw::net {

class EpollStream final : public Stream, public Pollable {
 public:
  EpollStream(EpollLoop& loop, Fd fd, const Peer& peer)
      : loop_(loop), fd_(std::move(fd)), peer_(peer), outbox_(loop.chunks()) {}
  ~EpollStream() override { loop_.forget(*this); }

  // One of the two, once: a connected socket (with bytes that were read before), or one under way.
  void begin(std::string unread);
  void begin_connecting(const Address& address, int error);

  void set_sink(StreamSink& sink) override { sink_ = &sink; }
  void send(Bytes bytes) override;
  std::size_t queued() const override { return outbox_.size(); }
  void pause() override { paused_ = true; }
  void resume() override;
  void shut() override;
  void expect_bulk(bool on) override;
  bool silent_for(Duration span) const override { return is_silent(fd_.get(), span); }
  std::string peer() const override;

  void on_events(std::uint32_t events) override;
  void on_again() override;
  void on_flush() override;

 protected:
  void start_closing(std::unique_ptr<Stream> self, Duration linger) override;
  void start_detaching(std::unique_ptr<Stream> self,
                       std::move_only_function<void(Detached)> done) override;

 private:
  // What few streams have, or have for a short time.
  struct Extra {
    explicit Extra(EpollStream& stream) : timer(&on_timer, &stream) {}
    Timer timer;                // the bulk fallback; when closing, the end of lingering
    std::string unread;         // read on another loop, not delivered yet
    std::string connecting_to;  // for the message when it fails
    std::size_t discarded = 0;  // while closing
    std::optional<Lingering> lingering;
  };
  static void on_timer(void* self) { static_cast<EpollStream*>(self)->on_timer(); }

  Extra& extra();
  void watch();
  void finish_connecting();
  bool deliver_unread();
  void read_some();
  bool deliver(Bytes bytes);
  bool discard(std::size_t bytes);
  void end(int error);
  void fail_sending(int error);
  void took(std::ptrdiff_t sent, std::size_t offered);
  void on_timer();
  void raise_low_water(bool raised);

  EpollLoop& loop_;
  StreamSink* sink_ = nullptr;
  Fd fd_;
  int failed_ = 0;  // errno of a send or connect that failed
  mutable Peer peer_;
  bool connecting_ = false;
  bool paused_ = false;
  bool readable_ = false;  // there may be more in the kernel
  bool hup_ = false;       // the end is near: no more than what is in the kernel will come
  bool ended_ = false;
  bool blocked_ = false;  // the kernel takes no more until EPOLLOUT
  bool high_ = false;     // kHighWater was reached: on_drained is due
  bool closing_ = false;
  bool shut_ = false;  // nothing more is sent
  bool eof_ = false;   // the peer has closed while we still send our last bytes
  bool bulk_ = false;
  bool raised_ = false;  // SO_RCVLOWAT is
  bool unix_ = false;
  bool watches_out_ = false;
  Outbox outbox_;
  std::unique_ptr<Extra> extra_;
};

}  // namespace pgw::net

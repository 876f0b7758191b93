// A connection on the io_uring loop: the handle that its owner holds, and behind it the record that
// outlives the handle until the kernel is done with it.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "net/uring_loop.h"

namespace pgw::net {

class UringConnection final : public UringRecord {
 public:
  UringConnection(UringLoop& loop, Fd fd);

  // One of the two, once: a connected socket (with bytes that were read before), or one under way.
  void begin(std::string unread);
  void begin_connecting(const Address& address, int error);

  void set_sink(StreamSink& sink) { sink_ = &sink; }
  void send(Bytes bytes);
  std::size_t queued() const { return outbox_.size(); }
  void pause();
  void resume();
  void shut();
  void expect_bulk(bool on);
  bool silent_for(Duration span) const { return is_silent(fd_.get(), span); }
  std::string peer() const;
  // The three ways in which the handle goes.
  void leave();
  void close_gently(Duration linger);
  void detach(std::move_only_function<void(Detached)> done);

  void complete(Op op, int result, bool last, Bytes bytes) override;
  void reconcile() override;
  bool left() const override { return life_ == Life::leaving; }

 private:
  enum class Life : std::uint8_t { open, closing, leaving };

  // What few connections have, or have for a short time.
  struct Extra {
    explicit Extra(UringConnection& connection) : timer(&on_timer, &connection) {}
    Timer timer;                // the bulk fallback; when closing, the end of lingering
    std::string held;           // arrived, not delivered yet
    std::string connecting_to;  // for the message when it fails
    std::size_t discarded = 0;  // while closing
    std::optional<Lingering> lingering;
    std::move_only_function<void(Detached)> detached;
  };
  static void on_timer(void* self) { static_cast<UringConnection*>(self)->on_timer(); }

  Extra& extra();
  bool holds() const { return extra_ && !extra_->held.empty(); }
  void finish_connecting();
  void finish_leaving();
  void deliver(Bytes bytes);
  void deliver_held();
  void received(int result, Bytes bytes);
  void sent(int result);
  void took(std::ptrdiff_t taken, std::size_t offered);
  void fail_sending(int error);
  void read_to_the_end();
  void end(int error);
  void arrange_receive();
  void arrange_poll(unsigned events);
  void arrange_send();
  void on_timer();
  void raise_low_water(bool raised);

  UringLoop& loop_;
  StreamSink* sink_ = nullptr;
  Fd fd_;
  int failed_ = 0;  // errno of a send or connect that failed
  mutable Peer peer_;
  Life life_ = Life::open;
  bool connecting_ = false;
  bool connected_ = false;  // the kernel says so; the sink does not know yet
  bool paused_ = false;
  bool ended_ = false;
  bool eof_ = false;  // while closing: the peer has closed, our last bytes still leave
  bool shut_ = false;
  bool high_ = false;  // kHighWater was reached: on_drained is due
  bool bulk_ = false;
  bool raised_ = false;   // SO_RCVLOWAT is
  bool blocked_ = false;  // the last send was short: wait for room first
  // Under way in the kernel.
  bool receiving_ = false;
  bool sending_ = false;
  bool polling_ = false;
  bool cancelling_ = false;
  std::size_t offered_ = 0;  // to the send under way
  Outbox outbox_;
  std::unique_ptr<Extra> extra_;
};

class UringStream final : public Stream {
 public:
  UringStream(UringLoop& loop, Fd fd) : connection_(new UringConnection(loop, std::move(fd))) {}
  ~UringStream() override {
    if (connection_) connection_->leave();
  }
  UringConnection& connection() { return *connection_; }

  void set_sink(StreamSink& sink) override { connection_->set_sink(sink); }
  void send(Bytes bytes) override { connection_->send(bytes); }
  std::size_t queued() const override { return connection_->queued(); }
  void pause() override { connection_->pause(); }
  void resume() override { connection_->resume(); }
  void shut() override { connection_->shut(); }
  void expect_bulk(bool on) override { connection_->expect_bulk(on); }
  bool silent_for(Duration span) const override { return connection_->silent_for(span); }
  std::string peer() const override { return connection_->peer(); }

 protected:
  void start_closing(std::unique_ptr<Stream> /*self*/, Duration linger) override {
    std::exchange(connection_, nullptr)->close_gently(linger);
  }
  void start_detaching(std::unique_ptr<Stream> /*self*/,
                       std::move_only_function<void(Detached)> done) override {
    std::exchange(connection_, nullptr)->detach(std::move(done));
  }

 private:
  UringConnection* connection_;  // the loop's
};

}  // namespace pgw::net

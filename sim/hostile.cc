#include "hostile.h"

#include "request.h"
#include "wire.h"

namespace pgw::sim {

Hostile::Hostile(SimLoop& loop, net::Address to, int number, Random random)
    : loop_(loop),
      to_(std::move(to)),
      number_(number),
      random_(random),
      timer_([](void* self) { static_cast<Hostile*>(self)->act(); }, this) {}

void Hostile::act() {
  if (!stream_ && !finished_) {
    stream_ = loop_.connect(to_, *this);
    return loop_.arm(timer_, 30s);
  }
  finished_ = true;  // nobody closed it; it leaves
  stream_.reset();
}

void Hostile::on_connected() {
  if (random_.chance(400)) {
    attacked_ = true;
    std::string noise;
    for (std::size_t i = random_.between(1, 60); i > 0; --i)
      noise += static_cast<char>(random_.below(256));
    return stream_->send(noise);
  }
  stream_->send(startup_packet(196608, {{"user", "app"}, {"database", "shop"}}));
}

void Hostile::on_bytes(Bytes bytes) {
  // A refusal names the apps that hold the servers, and each client may be an app of its own.
  got_ += bytes;
  if (got_.find("C53300") != std::string::npos) return;
  if (const auto owner = token_owner(got_))
    loop_.simulation().fail(fmt::format("hostile {} was sent bytes of c{}", number_, *owner));
  if (attacked_ || bytes.find(std::string_view("Z\0\0\0\5", 5)) == Bytes::npos) return;
  attacked_ = true;
  if (random_.chance(300)) stream_->send(frame('Q', std::string("BEGIN", 6)));
  stream_->send(poison());
}

std::string Hostile::poison() {
  switch (random_.below(9)) {
    case 0:
      return Body().u8('Q').u32(3).take();
    case 1:
      return Body().u8('Q').u32(0xFFFFFFFF).take();
    case 2:
      return Body().u8('Q').u32(0x7FFFFFFF).text("SELECT 1").take();
    case 3:
      return frame('z', "what is this");
    case 4:
      return frame('Q', "no zero at the end");
    case 5:
      return frame('B', std::string("\0\0\x7f\xff", 4));
    case 6:
      return frame('P', std::string("a\0b", 3));
    case 7:
      return frame('Q', std::string("SELECT 1", 9)).substr(0, 7);
    default: {
      std::string noise;
      for (std::size_t i = random_.between(5, 200); i > 0; --i)
        noise += static_cast<char>(random_.below(256));
      return noise;
    }
  }
}

void Hostile::on_end(const Error&) {
  finished_ = true;
  timer_.disarm();
  stream_.reset();
}

}  // namespace pgw::sim

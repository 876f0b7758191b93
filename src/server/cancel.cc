#include "server/cancel.h"

#include "server/pool.h"
#include "server/server.h"
#include "wire/write.h"

namespace pgw::server {

Cancel::Cancel(Context& context, Pool& pool, Server* server, const net::Address& address,
               std::uint32_t pid, const std::string& key, Wish wish)
    : pool_(pool),
      server_(server),
      wish_(std::move(wish)),
      timer_([](void* self) { static_cast<Cancel*>(self)->over(false); }, this) {
  wire::write_cancel(request_, pid, key);
  context.loop.arm(timer_, pool.settings().cancel_timeout);
  errand_ = std::make_unique<Errand>(pool.account(), [this, &context, address] {
    stream_ = context.loop.connect(address, *this);
  });
}

void Cancel::also(Wish wish) {
  const bool same = wish.lease == wish_.lease && wish.answered == wish_.answered &&
                    !(server_ && server_->is_private());
  // One that was not sent yet can still aim at what runs now.
  Wish& at = !sent_ || same ? wish_ : next_ ? *next_ : next_.emplace();
  at.lease = wish.lease;
  at.answered = wish.answered;
  for (auto& ticket : wish.tickets) at.tickets.push_back(std::move(ticket));
}

// The query that was meant may have ended meanwhile: then there is nothing to cancel any more.
void Cancel::on_connected() {
  const bool meant = server_ && server_->lease() == wish_.lease &&
                     (server_->private_tenant() ||
                      (!server_->pipeline().empty() && server_->answered() == wish_.answered));
  if (!meant) return over(true);
  sent_ = true;
  stream_->send(request_);
}

// PostgreSQL closes the connection when it has passed the signal on.
void Cancel::on_end(const Error&) { over(true); }

void Cancel::drop_if_waiting() {
  if (!stream_) over(false);
}

void Cancel::over(bool reached) {
  timer_.disarm();
  stream_.reset();  // it calls no more
  errand_.reset();
  wish_.tickets.clear();
  pool_.cancel_over(*this, reached || !sent_, std::move(next_));
}

}  // namespace pgw::server

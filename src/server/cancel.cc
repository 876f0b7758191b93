#include "server/cancel.h"

#include "server/pool.h"
#include "server/server.h"
#include "wire/write.h"

namespace pgw::server {

Cancel::Cancel(Context& context, Pool& pool, Server* server, const net::Address& address,
               std::uint32_t pid, const std::string& key, std::shared_ptr<void> ticket)
    : pool_(pool),
      server_(server),
      lease_(server->lease()),
      answered_(server->answered()),
      ticket_(std::move(ticket)),
      timer_([](void* self) { static_cast<Cancel*>(self)->over(false); }, this) {
  wire::write_cancel(request_, pid, key);
  context.loop.arm(timer_, pool.settings().cancel_timeout);
  stream_ = context.loop.connect(address, *this);
}

// The query that was meant may have ended meanwhile: then there is nothing to cancel any more.
void Cancel::on_connected() {
  const bool meant = server_ && server_->lease() == lease_ &&
                     (server_->private_tenant() ||
                      (!server_->pipeline().empty() && server_->answered() == answered_));
  if (!meant) return over(true);
  sent_ = true;
  stream_->send(request_);
}

// PostgreSQL closes the connection when it has passed the signal on.
void Cancel::on_end(const Error&) { over(true); }

void Cancel::over(bool reached) {
  timer_.disarm();
  stream_.reset();  // it calls no more
  ticket_.reset();
  pool_.cancel_over(*this, reached || !sent_);
}

}  // namespace pgw::server

// What a server does to learn how many connections its host has: one query, while it is nobody's.
#include "server/pool.h"
#include "server/server.h"

namespace pgw::server {

void Server::check_host() {
  state_ = State::cleaning;
  quiet_failed_ = false;
  check_ = std::make_unique<HostAnswer>(context_.budgets.begin_check(pool_.account()));
  context_.loop.arm(timer_, pool_.settings().cancel_timeout);
  query(host_query());
}

void Server::host_answered() {
  const auto answer = std::move(check_);
  context_.budgets.checked(pool_.account(), answer.get(), context_.loop.now());
}

// It will not be answered any more, or not as it should be.
void Server::drop_check() {
  if (const auto answer = std::move(check_))
    context_.budgets.checked(pool_.account(), nullptr, context_.loop.now());
}

}  // namespace pgw::server

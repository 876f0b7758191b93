// The part of a server's life before its first client: address, connection, login.
#include "server/pool.h"
#include "server/server.h"
#include "wire/frame.h"
#include "wire/read.h"
#include "wire/write.h"

namespace pgw::server {

namespace {
constexpr std::uint32_t kLoginMessageMax = 64 * 1024;
}

void Server::connect() {
  state_ = State::resolving;
  context_.loop.arm(timer_, pool_.settings().connect_timeout);
  const auto& upstream = pool_.upstream();
  context_.resolver.resolve(
      context_.loop, upstream.host, upstream.port,
      [this, alive = std::weak_ptr(alive_)](Result<std::vector<net::Address>> answer) {
        if (!alive.expired()) resolved(std::move(answer));
      });
}

void Server::connect_for(Tenant& tenant,
                         std::vector<std::pair<std::string, std::string>> parameters,
                         bool has_place) {
  private_ = true;
  tenant_or_waiting_ = &tenant;
  extra_ = std::move(parameters);
  if (has_place) return connect();
  state_ = State::placing;
  context_.loop.arm(timer_, pool_.settings().pool_timeout);
}

void Server::take_place() {
  if (seat.granted()) connect();
}

void Server::leave_private() {
  tenant_or_waiting_ = nullptr;
  if (std::exchange(tenant_, nullptr)) context_.gauges.leased.add(-1);
  close("its client left");
}

void Server::resolved(Result<std::vector<net::Address>> addresses) {
  if (state_ != State::resolving) return;
  if (!addresses) return login_failed(addresses.error(), false);
  addresses_ = std::move(*addresses);
  try_next_address(std::nullopt);
}

void Server::try_next_address(std::optional<Error> failed) {
  stream_.reset();
  if (next_address_ >= addresses_.size()) {
    const Error error = failed ? *failed : Error(Code::connection, "the host has no address");
    return login_failed(error, false);
  }
  address_ = addresses_[next_address_++];
  state_ = State::connecting;
  stream_ = context_.loop.connect(address_, *this);
}

void Server::on_connected() {
  addresses_ = {};
  state_ = State::login;
  login_ = std::make_unique<Login>(pool_.credentials());
  std::vector<std::pair<std::string, std::string>> parameters = {{"user", pool_.credentials().user},
                                                                 {"database", pool_.dbname()}};
  for (const auto& parameter : pool_.upstream().parameters) parameters.push_back(parameter);
  for (auto& parameter : extra_) parameters.push_back(std::move(parameter));
  std::string out;
  wire::write_startup(out, parameters);
  send(out);
}

void Server::login_bytes(Bytes bytes) {
  carry_ += bytes;
  while (login_ && state_ == State::login) {
    wire::Header header;
    const auto peek = wire::peek_header(carry_, kLoginMessageMax, header);
    if (peek == wire::Peek::broken)
      return login_failed(
          Error(Code::protocol,
                fmt::format("{} does not speak PostgreSQL's protocol", pool_.host())),
          false);
    const std::size_t total = wire::kHeaderBytes + header.body_bytes;
    if (peek == wire::Peek::need_more || carry_.size() < total) return;
    const std::string message = carry_.substr(0, total);
    carry_.erase(0, total);
    if (!login_message(header.tag, Bytes(message).substr(wire::kHeaderBytes))) return;
  }
}

// False: this server is being closed, or is in the pool now.
bool Server::login_message(char tag, Bytes body) {
  std::string out;
  const auto next =
      login_->message(tag, body, auth::base64(context_.random.bytes(auth::kScramNonceBytes)), out);
  if (!next) {
    login_failed(next.error(), login_->definite());
    return false;
  }
  if (!out.empty()) send(out);
  if (*next == Login::Next::derive) {
    derive();
  } else if (*next == Login::Next::ready) {
    reported_ = std::move(login_->reported);
    first_reported_ = reported_;
    pid_ = login_->pid;
    key_ = std::move(login_->key);
    login_.reset();
    seat.logged_in(pid_, context_.loop.now());
    context_.contacts.succeeded(pool_.configured_name(), context_.loop.now());
    pool_.login_succeeded(*this);
    if (private_) {
      timer_.disarm();
      state_ = State::leased;
      tenant_ = tenant_or_waiting_;
      context_.gauges.leased.add(1);
      tenant_->granted(*this);
      if (!carry_.empty() && tenant_) tenant_->deliver(std::exchange(carry_, {}));
      return false;
    }
    const std::string rest = std::exchange(carry_, {});
    become_idle();
    if (!rest.empty()) relay(rest);
    return false;
  }
  return true;
}

// PBKDF2 takes about a millisecond: too long for a worker's turn.
void Server::derive() {
  struct Work {
    std::string password;
    auth::ScramChallenge challenge;
    auth::ScramKeys keys;
  };
  auto [password, challenge] = login_->to_derive();
  if (const auto* known = pool_.derived(challenge)) {
    std::string out;
    if (auto done = login_->derived(*known, out); !done)
      return login_failed(done.error(), login_->definite());
    return send(out);
  }
  auto work = std::make_shared<Work>(Work{std::move(password), std::move(challenge), {}});
  context_.offload.submit(
      context_.loop, [work] { work->keys = auth::derive(work->password, work->challenge); },
      [this, work, alive = std::weak_ptr(alive_)] {
        if (alive.expired() || !login_) return;
        pool_.keep_derived(work->keys);
        std::string out;
        if (auto done = login_->derived(work->keys, out); !done)
          return login_failed(done.error(), login_->definite());
        send(out);
      });
}

void Server::login_failed(const Error& why, bool definite) {
  state_ = State::closing;
  timer_.disarm();
  stream_.reset();
  host_full_ = login_ && login_->host_full();
  context_.contacts.failed(pool_.configured_name(), context_.loop.now(), why.what());
  pool_.login_failed(*this, why, definite);
}

}  // namespace pgw::server

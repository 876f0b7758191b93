#include "http/server.h"

#include <civetweb.h>

#include <chrono>
#include <future>
#include <mutex>
#include <utility>

#include "base/log.h"
#include "config/address.h"

namespace pgw::http {
namespace {

// Civetweb's text for a status is missing for some; these are the ones that handlers use.
std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 503:
      return "Service Unavailable";
    default:
      return "Error";
  }
}

class Civetweb final : public Server {
 public:
  explicit Civetweb(Handler handler) : handler_(std::move(handler)) {
    mg_init_library(MG_FEATURES_DEFAULT);
  }
  ~Civetweb() override {
    if (context_) stop();
    mg_exit_library();
  }
  Civetweb(const Civetweb&) = delete;
  Civetweb& operator=(const Civetweb&) = delete;

  Done listen(std::string_view address);
  std::uint16_t port() const override { return port_; }

 private:
  void stop();
  static int on_request(mg_connection* connection);
  static int on_message(const mg_connection* connection, const char* message);

  Handler handler_;
  mg_context* context_ = nullptr;
  std::string host_;
  std::uint16_t port_ = 0;
  std::mutex mutex_;           // guards first_message_
  std::string first_message_;  // what civetweb said first: its reason, when it does not start
};

// Answers every request, so civetweb itself never looks for a file.
int Civetweb::on_request(mg_connection* connection) {
  const mg_request_info* info = mg_get_request_info(connection);
  const auto* self = static_cast<const Civetweb*>(info->user_data);
  const char* path = info->local_uri ? info->local_uri : "";
  const char* method = info->request_method ? info->request_method : "";
  const Response response = self->handler_(Request{method, path});
  std::string out = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "Connection: close\r\n",
      response.status, reason(response.status), response.content_type, response.body.size());
  if (!response.allow.empty()) out += fmt::format("Allow: {}\r\n", response.allow);
  out += "\r\n";
  if (std::string_view(method) != "HEAD") out += response.body;
  mg_write(connection, out.data(), out.size());
  return response.status;
}

int Civetweb::on_message(const mg_connection* connection, const char* message) {
  const mg_context* context = mg_get_context(connection);
  if (auto* self = static_cast<Civetweb*>(mg_get_user_data(context))) {
    const std::lock_guard lock(self->mutex_);
    if (self->first_message_.empty()) self->first_message_ = message;
  }
  log(Level::debug, {}, "http: {}", message);
  return 1;  // written here; civetweb need not
}

// Civetweb looks whether it is to stop only when somebody connects, or after two seconds.
void Civetweb::stop() {
  const auto stopped = std::async(std::launch::async, [this] { mg_stop(context_); });
  do {
    char text[128];
    if (auto* poke = mg_connect_client(host_.c_str(), port_, 0, text, sizeof text))
      mg_close_connection(poke);
  } while (stopped.wait_for(std::chrono::milliseconds(5)) != std::future_status::ready);
}

Done Civetweb::listen(std::string_view address) {
  PGW_TRY(canonical, config::canonical_address(address));
  if (canonical.starts_with('/'))
    return fail(Code::configuration, "HTTP is not served on a Unix socket; expected ADDR:PORT");
  if (canonical.starts_with('['))
    return fail(Code::configuration,
                "HTTP is not served on IPv6; expected 127.0.0.1:PORT or *:PORT");
  const bool all = canonical.starts_with('*');
  const auto colon = canonical.rfind(':');
  const std::string ports = all ? "0.0.0.0" + canonical.substr(1) : canonical;
  host_ = all ? "127.0.0.1" : canonical.substr(0, colon);
  // Four requests at a time; a peer that sends nothing or reads nothing holds a thread for two
  // seconds.
  const char* options[] = {
      "listening_ports",   ports.c_str(), "num_threads", "4", "request_timeout_ms", "2000",
      "enable_keep_alive", "no",          nullptr};
  mg_callbacks callbacks{};
  callbacks.begin_request = &on_request;
  callbacks.log_message = &on_message;
  char text[256] = "";
  unsigned code = 0;
  mg_error_data error{&code, text, sizeof text};
  mg_init_data init{&callbacks, this, options};
  context_ = mg_start2(&init, &error);
  if (!context_) {
    const std::lock_guard lock(mutex_);
    const std::string why = first_message_.empty() ? std::string(text) : first_message_;
    return fail(Code::io, "cannot listen on {} for HTTP: {}; pass another with --http ADDR:PORT",
                canonical, why);
  }
  mg_server_port listening[1]{};
  if (mg_get_server_ports(context_, 1, listening) == 1)
    port_ = static_cast<std::uint16_t>(listening[0].port);
  return {};
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(std::string_view address, Handler handler) {
  auto server = std::make_unique<Civetweb>(std::move(handler));
  PGW_DO(server->listen(address));
  return server;
}

}  // namespace pgw::http

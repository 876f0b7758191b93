// A small HTTP server on threads of its own, never on a worker. One handler answers every request.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pgw::http {

struct Request {
  std::string_view method;  // "GET"
  std::string_view path;    // "/health": decoded, without the query
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::string allow = {};  // for a 405: the methods there are
};

// Called on any of the server's threads, several at a time.
using Handler = std::move_only_function<Response(const Request&) const>;

class Server {
 public:
  // Listens at `address` (config/address.h; port 0: any free one). Threads inherit the caller's
  // signal mask, so signals that the process waits for are to be blocked before. The error is one
  // line.
  static Result<std::unique_ptr<Server>> start(std::string_view address, Handler handler);
  // Waits for the requests that are being answered.
  virtual ~Server() = default;
  virtual std::uint16_t port() const = 0;
};

}  // namespace pgw::http

#include "http/health.h"

#include <fmt/format.h>

#include <utility>

#include "http/json.h"

namespace pgw::http {
namespace {

Response error(int status, std::string_view text) {
  Response response{.status = status, .body = "{\"error\":"};
  append_json(response.body, text);
  response.body += '}';
  return response;
}

}  // namespace

Response health_json(const Health& health) {
  Response response;
  response.status = health.reachable ? 200 : 503;
  response.body = fmt::format(R"({{"status":"{}","version":"{}","database":{{"status":"{}",)",
                              health.reachable ? "healthy" : "unhealthy", PGW_VERSION,
                              health.reachable ? "connected" : "disconnected");
  if (!health.reachable) {
    response.body += "\"reason\":";
    append_json(response.body, health.reason);
    response.body += ',';
  }
  response.body += fmt::format(R"("pool":{{"size":{},"checked_out":{},"overflow":{}}}}}}})",
                               health.size, health.checked_out, health.overflow);
  return response;
}

Handler routes(std::move_only_function<Health() const> health) {
  return [health = std::move(health)](const Request& request) {
    if (request.path != "/health") return error(404, "not found; there is /health");
    if (request.method != "GET" && request.method != "HEAD") {
      Response response = error(405, "method not allowed");
      response.allow = "GET, HEAD";
      return response;
    }
    return health_json(health());
  };
}

}  // namespace pgw::http

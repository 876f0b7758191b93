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

void append_databases(std::string& out, const std::vector<Health::Database>& databases) {
  if (databases.empty()) return;
  const char* before = ",\"databases\":{";
  for (const auto& one : databases) {
    out += std::exchange(before, ",");
    append_json(out, one.name);
    out += fmt::format(R"(:{{"status":"{}")", one.reachable ? "connected" : "disconnected");
    if (one.success_seconds)
      out += fmt::format(R"(,"last_success_seconds":{:.1f})", *one.success_seconds);
    if (one.failure_seconds)
      out += fmt::format(R"(,"last_failure_seconds":{:.1f})", *one.failure_seconds);
    if (!one.reachable) {
      out += ",\"reason\":";
      append_json(out, one.reason);
    }
    out += '}';
  }
  out += '}';
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
  response.body += fmt::format(R"("pool":{{"size":{},"checked_out":{},"overflow":{}}}}})",
                               health.size, health.checked_out, health.overflow);
  append_databases(response.body, health.databases);
  response.body += '}';
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

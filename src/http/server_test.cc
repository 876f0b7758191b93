#include "http/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "http/health.h"
#include "http/json.h"

namespace pgw::http {
namespace {

// Sends `text` to a port of this machine and returns all that comes back.
std::string talk(std::uint16_t port, std::string_view text) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string out;
  if (::connect(fd, static_cast<const sockaddr*>(static_cast<const void*>(&to)), sizeof to) == 0) {
    EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    char buffer[4096];
    for (ssize_t n; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
      out.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(fd);
  return out;
}

std::string ask(std::uint16_t port, std::string_view method, std::string_view path) {
  return talk(port, fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n\r\n", method, path));
}

std::string body(const std::string& reply) {
  const auto end = reply.find("\r\n\r\n");
  return end == reply.npos ? "" : reply.substr(end + 4);
}

constexpr std::string_view kHealthy =
    R"({"status":"healthy","version":"0.1.0","database":{"status":"connected",)"
    R"("pool":{"size":2,"checked_out":0,"overflow":0}}})";
constexpr std::string_view kUnhealthy =
    R"({"status":"unhealthy","version":"0.1.0","database":{"status":"disconnected",)"
    R"("reason":"\"shop\": connection refused","pool":{"size":0,"checked_out":0,"overflow":0}}})";

TEST(Health, SaysWhyNot) {
  const Response fine = health_json({.reachable = true, .size = 2});
  EXPECT_EQ(fine.status, 200);
  EXPECT_EQ(fine.body, kHealthy);
  EXPECT_TRUE(
      health_json({.reachable = true,
                   .databases = {{.name = "a", .reachable = true, .success_seconds = 1.5},
                                 {.name = "b", .reason = "no", .failure_seconds = 2}}})
          .body.ends_with(
              R"(,"databases":{"a":{"status":"connected","last_success_seconds":1.5},)"
              R"("b":{"status":"disconnected","last_failure_seconds":2.0,"reason":"no"}}})"));
  const Response down = health_json({.reason = "\"shop\": connection refused"});
  EXPECT_EQ(down.status, 503);
  EXPECT_EQ(down.body, kUnhealthy);
  EXPECT_TRUE(health_json({.reachable = true, .size = 9, .checked_out = 8, .overflow = 7})
                  .body.contains(R"({"size":9,"checked_out":8,"overflow":7})"));
}

TEST(Server, AnswersOverLoopback) {
  std::atomic<bool> reachable = true;
  auto server = Server::start("127.0.0.1:0", routes([&] {
                                return Health{.reachable = reachable.load(),
                                              .reason = "\"shop\": connection refused",
                                              .size = reachable.load() ? 2U : 0U};
                              }));
  ASSERT_TRUE(server) << server.error().what();
  const std::uint16_t port = (*server)->port();
  ASSERT_NE(port, 0);
  const auto fine = ask(port, "GET", "/health");
  EXPECT_TRUE(fine.starts_with("HTTP/1.1 200 OK\r\n")) << fine;
  EXPECT_TRUE(fine.contains("Content-Type: application/json\r\n")) << fine;
  EXPECT_EQ(body(fine), kHealthy);
  EXPECT_EQ(body(ask(port, "GET", "/health?x=1")), kHealthy);
  const auto head = ask(port, "HEAD", "/health");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\n")) << head;
  EXPECT_EQ(body(head), "");
  reachable = false;
  const auto down = ask(port, "GET", "/health");
  EXPECT_TRUE(down.starts_with("HTTP/1.1 503 Service Unavailable\r\n")) << down;
  EXPECT_EQ(body(down), kUnhealthy);
}

TEST(Server, RefusesTheRest) {
  auto server = Server::start("127.0.0.1:0", routes([] { return Health{.reachable = true}; }));
  ASSERT_TRUE(server);
  const std::uint16_t port = (*server)->port();
  for (const std::string_view path :
       {"/", "/healthy", "/health/", "/../../etc/passwd", "/%00", "/a%"}) {
    const auto reply = ask(port, "GET", path);
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 40")) << path << ": " << reply;
  }
  EXPECT_EQ(body(ask(port, "GET", "/x")), R"({"error":"not found; there is /health"})");
  for (const std::string_view method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    const auto reply = ask(port, method, "/health");
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"))
        << method << ": " << reply;
    EXPECT_TRUE(reply.contains("Allow: GET, HEAD\r\n")) << reply;
    EXPECT_EQ(body(reply), R"({"error":"method not allowed"})");
  }
  for (const std::string_view rubbish :
       {"\r\n\r\n", "x\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\r\n\r\n"})
    EXPECT_FALSE(talk(port, rubbish).contains(" 200 ")) << rubbish;
  EXPECT_TRUE(ask(port, "GET", "/health").contains(" 200 "));
}

TEST(Server, ServesManyAtOnce) {
  std::atomic<int> asked = 0;
  auto server = Server::start("127.0.0.1:0", routes([&] {
                                ++asked;
                                return Health{.reachable = true};
                              }));
  ASSERT_TRUE(server);
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 8; ++i)
      clients.emplace_back([&] {
        for (int n = 0; n < 25; ++n)
          EXPECT_TRUE(ask((*server)->port(), "GET", "/health").contains("healthy"));
      });
  }
  EXPECT_EQ(asked, 200);
}

TEST(Server, SaysWhichPortIsTaken) {
  auto first = Server::start("127.0.0.1:0", routes([] { return Health{}; }));
  ASSERT_TRUE(first);
  const auto address = fmt::format("127.0.0.1:{}", (*first)->port());
  const auto second = Server::start(address, routes([] { return Health{}; }));
  ASSERT_FALSE(second);
  const std::string& what = second.error().what();
  EXPECT_TRUE(what.contains(address)) << what;
  EXPECT_TRUE(what.contains("Address already in use")) << what;
  EXPECT_TRUE(what.contains("--http")) << what;
  EXPECT_FALSE(what.contains('\n')) << what;
  first->reset();
  EXPECT_TRUE(Server::start(address, routes([] { return Health{}; })));
}

TEST(Server, RefusesWhatIsNoAddress) {
  for (const std::string_view address : {"", "x", "127.0.0.1", "/run/x.sock", "[::1]:0"})
    EXPECT_FALSE(Server::start(address, routes([] { return Health{}; }))) << address;
  EXPECT_TRUE(Server::start("*:0", routes([] { return Health{}; })));
}

TEST(Json, IsValidWhateverTheBytes) {
  const std::pair<std::string_view, std::string_view> all[] = {
      {"", R"("")"},
      {"a\"b\\c/d", R"("a\"b\\c/d")"},
      {"\n\r\t\x01\x1f\x7f", R"("\n\r\t\u0001\u001f\u007f")"},
      {std::string_view("\0", 1), R"("\u0000")"},
      {"\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", "\"\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80\""},
      {"\xFF", "\"\xEF\xBF\xBD\""},
      {"a\xC3", "\"a\xEF\xBF\xBD\""},
      {"\xC3(", "\"\xEF\xBF\xBD(\""},
      {"\xC0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},                  // overlong
      {"\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},  // a surrogate
      {"\xF4\x90\x80\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
  };
  for (const auto& [text, json] : all) {
    std::string out;
    append_json(out, text);
    EXPECT_EQ(out, json);
  }
}

}  // namespace
}  // namespace pgw::http

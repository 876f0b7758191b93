#include "daemon/logs.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace pgw::daemon {
namespace {

About about_user(std::string_view user, std::string_view app = {}) {
  About about;
  about.user = user;
  about.app = app;
  return about;
}

TEST(Logs, TextHasFields) {
  EXPECT_EQ(text_line({}, "say \"hi\" to C:\\x"), "say \"hi\" to C:\\x");
  EXPECT_EQ(text_line({"10.0.0.7:5000", "bob", "shop", "my app"}, "logged in"),
            "logged in client=10.0.0.7:5000 user=bob database=shop app=\"my app\"");
  EXPECT_EQ(text_line(about_user("bob"), "x"), "x user=bob");
}

// An application_name is whatever a client sends; it must not look like a line or a field of ours.
TEST(Logs, ClientsCannotForgeLines) {
  const std::string line = text_line(about_user("a\n2026 error: b", "x user=root"), "m\nn\x1b[31m");
  EXPECT_EQ(line, "m\\nn\\u001b[31m user=\"a\\n2026 error: b\" app=\"x user=root\"");
  EXPECT_EQ(json_fields(about_user({}, "a\",\"user\":\"root\n"), "m\n"),
            R"("message":"m\n","app":"a\",\"user\":\"root\n")");
}

TEST(Logs, JsonHasFields) {
  EXPECT_EQ(json_fields({"c", "u", "d", "\xFF"}, "text"),
            "\"message\":\"text\",\"client\":\"c\",\"user\":\"u\",\"database\":\"d\","
            "\"app\":\"\xEF\xBF\xBD\"");
}

TEST(Logs, WritesWhatTheLevelAllows) {
  config::Settings settings;
  settings.log_format = "json";
  settings.log_level = "warning";
  testing::internal::CaptureStderr();
  start_logs(settings);
  log(Level::info, {}, "not this");
  log(Level::warning, about_user("bob"), "this {{{}}} %v", 1);
  settings.log_level = "debug";
  apply_log_level(settings);
  log(Level::debug, {}, "and this");
  log(Level::error, {}, "and {}", "that");
  stop_logs();
  log(Level::error, {}, "after the end");
  const std::string all = testing::internal::GetCapturedStderr();
  settings.log_level = "info";
  apply_log_level(settings);
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 3) << all;
  EXPECT_TRUE(all.starts_with("{\"time\":\"20")) << all;
  EXPECT_TRUE(
      all.contains("Z\",\"level\":\"warning\",\"message\":\"this {1} %v\",\"user\":\"bob\"}\n"))
      << all;
  EXPECT_TRUE(all.contains("\"level\":\"debug\",\"message\":\"and this\"}\n")) << all;
  EXPECT_TRUE(all.contains("\"level\":\"error\",\"message\":\"and that\"}\n")) << all;
}

TEST(Logs, TextLinesStartWithTimeAndLevel) {
  testing::internal::CaptureStderr();
  start_logs({});
  log(Level::info, about_user("bob"), "up");
  stop_logs();
  const std::string all = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(all.ends_with("Z info: up user=bob\n")) << all;
}

}  // namespace
}  // namespace pgw::daemon

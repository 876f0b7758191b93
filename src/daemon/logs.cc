#include "daemon/logs.h"

#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <utility>

#include "http/json.h"

namespace pgw::daemon {
namespace {

constexpr std::size_t kLinesQueued = 8192;

// base/log.h's sink is a plain function, so what it writes to has to be found from one.
struct Writer {
  std::shared_ptr<spdlog::details::thread_pool> thread;
  std::shared_ptr<spdlog::logger> logger;
  bool json = false;
};
std::atomic<Writer*> writer{nullptr};

spdlog::level::level_enum level_of(Level level) {
  switch (level) {
    case Level::trace:
      return spdlog::level::trace;
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

void write(Level level, const About& about, std::string_view text) {
  Writer* to = writer.load(std::memory_order_acquire);
  if (!to) return;
  const std::string line = to->json ? json_fields(about, text) : text_line(about, text);
  to->logger->log(level_of(level), spdlog::string_view_t(line.data(), line.size()));
}

// The pattern's time and level are UTC and the names of the setting log_level.
std::unique_ptr<spdlog::formatter> formatter(bool json) {
  return std::make_unique<spdlog::pattern_formatter>(
      json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})" : "%Y-%m-%dT%H:%M:%S.%eZ %l: %v",
      spdlog::pattern_time_type::utc);
}

template <class Each>
void for_fields(const About& about, Each each) {
  const std::pair<const char*, std::string_view> fields[] = {{"client", about.client},
                                                             {"user", about.user},
                                                             {"database", about.database},
                                                             {"app", about.app}};
  for (const auto& [name, value] : fields)
    if (!value.empty()) each(name, value);
}

}  // namespace

std::string text_line(const About& about, std::string_view text) {
  // As JSON strings, but without the quotes around the message.
  std::string quoted;
  http::append_json(quoted, text);
  std::string out;
  // A message that has quotes of its own stays readable: only what could break the line is escaped.
  for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
    if (quoted[i] == '\\' && (quoted[i + 1] == '"' || quoted[i + 1] == '\\')) ++i;
    out += quoted[i];
  }
  for_fields(about, [&](const char* name, std::string_view value) {
    out += fmt::format(" {}=", name);
    const bool plain = value.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                           "-_.:/[]@") == value.npos;
    if (plain)
      out += value;
    else
      http::append_json(out, value);
  });
  return out;
}

std::string json_fields(const About& about, std::string_view text) {
  std::string out = "\"message\":";
  http::append_json(out, text);
  for_fields(about, [&](const char* name, std::string_view value) {
    out += fmt::format(",\"{}\":", name);
    http::append_json(out, value);
  });
  return out;
}

void start_logs(const config::Settings& settings) {
  stop_logs();
  auto next = std::make_unique<Writer>();
  next->json = settings.log_format == "json";
  next->thread = std::make_shared<spdlog::details::thread_pool>(kLinesQueued, 1);
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  sink->set_formatter(formatter(next->json));
  next->logger = std::make_shared<spdlog::async_logger>(
      "pgweir", std::move(sink), next->thread, spdlog::async_overflow_policy::overrun_oldest);
  next->logger->set_level(spdlog::level::trace);  // base/log.h has chosen already
  writer.store(next.release(), std::memory_order_release);
  set_log_sink(&write);
  apply_log_level(settings);
}

void stop_logs() {
  // The thread pool's end writes what is queued. Workers have ended before, so nobody writes
  // meanwhile.
  const std::unique_ptr<Writer> last(writer.exchange(nullptr));
}

void apply_log_level(const config::Settings& settings) {
  static constexpr std::pair<std::string_view, Level> kLevels[] = {{"trace", Level::trace},
                                                                   {"debug", Level::debug},
                                                                   {"info", Level::info},
                                                                   {"warning", Level::warning},
                                                                   {"error", Level::error}};
  for (const auto& [name, level] : kLevels)
    if (settings.log_level == name) set_log_level(level);
}

}  // namespace pgw::daemon

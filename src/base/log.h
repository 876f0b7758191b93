// Log lines with fields: `log(Level::info, who, "text {}", ...)`. The sink is set once at start
// (spdlog in the daemon, a buffer in tests and the simulator). Thread: any.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>

namespace pgw {

enum class Level : unsigned char { trace, debug, info, warning, error };

// Whom a line is about; empty fields are left out.
struct About {
  std::string client;  // peer's address
  std::string_view user;
  std::string_view database;
  std::string_view app;  // application_name
};

using LogSink = void (*)(Level level, const About& about, std::string_view text);

void set_log_sink(LogSink sink);
void set_log_level(Level level);
Level log_level();
void write_log(Level level, const About& about, std::string_view text);

template <class... Args>
void log(Level level, const About& about, fmt::format_string<Args...> text, Args&&... args) {
  if (level < log_level()) return;
  write_log(level, about, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace pgw

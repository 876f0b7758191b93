#include "base/log.h"

#include <atomic>
#include <cstdio>

namespace pgw {
namespace {

void to_stderr(Level level, const About& about, std::string_view text) {
  static constexpr const char* kNames[] = {"trace", "debug", "info", "warning", "error"};
  fmt::print(stderr, "{}: {} {}@{} {}\n", kNames[static_cast<int>(level)], text, about.user,
             about.database, about.client);
}

std::atomic<LogSink> sink{&to_stderr};
std::atomic<Level> least{Level::info};

}  // namespace

void set_log_sink(LogSink to) { sink.store(to, std::memory_order_relaxed); }
void set_log_level(Level level) { least.store(level, std::memory_order_relaxed); }
Level log_level() { return least.load(std::memory_order_relaxed); }
void write_log(Level level, const About& about, std::string_view text) {
  sink.load(std::memory_order_relaxed)(level, about, text);
}

}  // namespace pgw

// Log lines on stderr, as text or JSON. Written by a thread of its own: a reader of the log that
// stalls must not stall a worker, so with thousands of lines unwritten the oldest are lost.
#pragma once
#include <string>
#include <string_view>

#include "base/log.h"
#include "config/settings.h"

namespace pgw::daemon {

// Starts the thread and becomes the sink of base/log.h. Signals that the process waits for are to
// be blocked before. Call stop_logs() before the process ends, or the last lines may be missing.
void start_logs(const config::Settings& settings);
void stop_logs();

// Sets the level only, as a reload does.
void apply_log_level(const config::Settings& settings);

// A line without its time and level. Neither form lets a client's words begin a line or a field.
std::string text_line(const About& about, std::string_view text);
std::string json_fields(const About& about, std::string_view text);

}  // namespace pgw::daemon

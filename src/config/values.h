// Times and sizes as people write them.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/settings.h"

namespace pgw::config {

// "100ms", "30s", "5m" or "5min", "1h", "2d", also "10us"; no unit: seconds. Fails without saying
// more than that it is not a time; the caller knows what was expected.
Result<Span> parse_span(std::string_view text);
// "65536", "64kB", "64KB", "16KiB", "64MB", "1GB", "1TB": units are 1024-based, as PostgreSQL's
// are.
Result<Size> parse_size(std::string_view text);

// In the largest unit that divides it: "90s", "5m", "64MB".
std::string span_text(Span span);
std::string size_text(Size size);

}  // namespace pgw::config

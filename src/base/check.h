// PGW_ASSERT: an invariant of our own is broken. Always on; ends the process with the place and the
// expression.
#pragma once
namespace pgw {
[[noreturn]] void broken(const char* expression, const char* file, int line);
}
#define PGW_ASSERT(expression) \
  (static_cast<bool>(expression) ? void(0) : ::pgw::broken(#expression, __FILE__, __LINE__))

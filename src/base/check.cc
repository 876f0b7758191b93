#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace pgw {

void broken(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "pgweir: a rule of its own is broken: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace pgw

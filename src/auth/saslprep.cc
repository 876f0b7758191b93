#include "auth/saslprep.h"

#include <stringprep.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace pgw::auth {
namespace {

struct Free {
  void operator()(char* text) const { std::free(text); }  // NOLINT: libidn allocates with malloc
};

}  // namespace

std::string saslprep(std::string_view password) {
  std::string raw(password);
  // ASCII stays as it is, control characters too: pg_saslprep does not look at it either.
  if (std::ranges::all_of(raw, [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
    return raw;
  if (raw.contains('\0')) return raw;
  char* out = nullptr;
  const int rc = stringprep_profile(raw.c_str(), &out, "SASLprep", STRINGPREP_NO_UNASSIGNED);
  const std::unique_ptr<char, Free> owned(out);
  if (rc != STRINGPREP_OK || !out || *out == '\0') return raw;
  return out;
}

}  // namespace pgw::auth

#include "base/result.h"

namespace pgw {

std::string_view sqlstate(Code code) {
  switch (code) {
#define ERROR_CODE(name, sqlstate, meaning) \
  case Code::name:                          \
    return sqlstate;
#include "base/errors.def"
#undef ERROR_CODE
  }
  return "XX000";
}

std::string_view name(Code code) {
  switch (code) {
#define ERROR_CODE(name, sqlstate, meaning) \
  case Code::name:                          \
    return #name;
#include "base/errors.def"
#undef ERROR_CODE
  }
  return "internal";
}

}  // namespace pgw

// Errors are values. This is the only file that names std::expected.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace pgw {

// What the peer or the operator is told. One row per code in base/errors.def.
enum class Code : std::uint8_t {
#define ERROR_CODE(name, sqlstate, meaning) name,
#include "base/errors.def"
#undef ERROR_CODE
};

// The five characters that PostgreSQL's clients know this failure by.
std::string_view sqlstate(Code code);
// The row's name, for logs.
std::string_view name(Code code);

// A failure: what happened, and (where somebody can do something about it) what to do.
class [[nodiscard]] Error {
 public:
  Error(Code code, std::string what) : code_(code), what_(std::move(what)) {}
  Code code() const { return code_; }
  const std::string& what() const { return what_; }
  const std::string& hint() const { return hint_; }
  // The SQLSTATE for the client: the code's own, or the one that PostgreSQL gave.
  std::string_view state() const {
    return state_.empty() ? sqlstate(code_) : std::string_view(state_);
  }
  Error&& with_state(std::string_view state) && {
    state_ = state;
    return std::move(*this);
  }
  Error&& with_hint(std::string hint) && {
    hint_ = std::move(hint);
    return std::move(*this);
  }
  Error&& while_doing(std::string_view step) && {
    what_ += fmt::format("; while {}", step);
    return std::move(*this);
  }

 private:
  Code code_;
  std::string what_;
  std::string hint_;
  std::string state_;
};

template <class T>
using Result = std::expected<T, Error>;
using Done = std::expected<void, Error>;

template <class... Args>
std::unexpected<Error> fail(Code code, fmt::format_string<Args...> text, Args&&... args) {
  return std::unexpected(Error(code, fmt::format(text, std::forward<Args>(args)...)));
}

}  // namespace pgw

// Declares `name` as the value of `expr`, or returns its error from the function.
#define PGW_TRY(name, expr)                                             \
  auto name##_or = (expr);                                              \
  if (!name##_or) return std::unexpected(std::move(name##_or).error()); \
  [[maybe_unused]] auto& name = *name##_or
#define PGW_DO(expr) \
  if (auto pgw_or = (expr); !pgw_or) return std::unexpected(std::move(pgw_or).error())

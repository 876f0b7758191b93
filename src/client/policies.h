// What a client is told when a server stays with it, or a statement is refused because one would
// have to. Pure.
#pragma once
#include <string>
#include <string_view>

#include "base/pin.h"
#include "base/result.h"
#include "wire/write.h"

namespace pgw::client {

// The front of the name of a statement that no server has: PostgreSQL refuses it in the place of
// one that a policy forbids, and the number of the reason stands behind it.
inline constexpr std::string_view kForbidden = "pgweir_forbidden:";

// A statement that shows this reason was refused. `number`: what stood behind kForbidden.
Error refusal_of(std::string_view number);
Error refusal_of(Pin pin);

// A NoticeResponse: the server stays. `statement` is the one that did it, empty if that is not
// known. `hidden`: it would have been refused if its text had shown it.
void write_warning(std::string& out, Pin pin, std::string_view statement, bool hidden);

}  // namespace pgw::client

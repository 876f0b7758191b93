// What to do about each reason for which a server must stay with its client (base/pin.h): the
// settings on_lock and the like, in a form that costs a client six bytes and a test.
#pragma once
#include "base/pin.h"
#include "config/settings.h"

namespace pgw::config {

// A reason that is in none of them: the server stays.
struct Policies {
  Pins warn = 0;    // the server stays, and the client is told
  Pins error = 0;   // a statement that shows it is refused; what is found later is as for `warn`
  Pins ignore = 0;  // the server is cleaned when the transaction ends
  bool operator==(const Policies&) const = default;
};

Policies policies_of(const Settings& settings);

}  // namespace pgw::config

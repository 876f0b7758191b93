// Zero configuration: a snapshot from one connection URL, for `pgweir serve URL`.
#pragma once
#include <string_view>

#include "base/result.h"
#include "config/snapshot.h"

namespace pgw::config {

// The URL's database under its own name, and every other name of the same PostgreSQL. Servers log
// in as the URL says. Who may connect:
//  * The URL has a user and a password: exactly that user with that password (SCRAM-SHA-256).
//  Whoever has
//    the URL can use pgweir by changing host and port in it, and nobody gains a right by pgweir
//    being there.
//  * It has no password: anybody (trust), since there is nothing to check against. The default
//  listeners
//    are on 127.0.0.1, so "anybody" is this machine until an address is given.
// A `preset` that is not empty sets its sizes.
Result<SnapshotPtr> from_url(std::string_view url, std::string_view preset = {});

}  // namespace pgw::config

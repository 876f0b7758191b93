// How the loops' sockets are set up. A value; the same for all loops of a process.
#pragma once
#include <limits>

#include "base/time.h"

namespace pgw::net {

struct SocketOptions {
  // TCP's keep-alive: a peer that is silent for `idle` is asked every `interval`, `probes` times.
  Duration keepalive_idle = 60s;
  Duration keepalive_interval = 10s;
  unsigned keepalive_probes = 6;
  // Accepting pauses while no descriptor below this is free: what is left of the process's limit is
  // for connections to PostgreSQL, without which those who are in could not be served.
  int accept_below = std::numeric_limits<int>::max();
};

}  // namespace pgw::net

// How the loops' sockets are set up. A value; the same for all loops of a process.
#pragma once
#include "base/time.h"

namespace pgw::net {

struct SocketOptions {
  // TCP's keep-alive: a peer that is silent for `idle` is asked every `interval`, `probes` times.
  Duration keepalive_idle = 60s;
  Duration keepalive_interval = 10s;
  unsigned keepalive_probes = 6;
};

}  // namespace pgw::net

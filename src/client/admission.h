// What a login has found out: who is there, and what for.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "config/snapshot.h"
#include "net/loop.h"
#include "relay/profile.h"
#include "server/credentials.h"

namespace pgw::client {

struct Admission {
  config::Mode mode = config::Mode::session;
  std::string database;
  std::string user;
  std::string app;           // application_name, then the app that it belongs to
  std::string listener_app;  // the app of who comes through this listener
  relay::Settings settings;  // the start-up parameters that are settings
  std::string replication;   // as the client gave it; empty: an ordinary client
  std::string options;       // as the client gave it; for replication alone
  std::string greeting;      // bytes that must be sent first: AuthenticationOk
  server::Credentials credentials;
  bool authenticated = false;  // it had to prove who it is
};

}  // namespace pgw::client

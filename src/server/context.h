// What the connections of one worker need from it. All of it outlives them.
#pragma once
#include "base/random.h"
#include "net/loop.h"
#include "relay/statements.h"
#include "server/apps.h"
#include "server/budgets.h"
#include "server/contacts.h"
#include "server/graveyard.h"
#include "server/schemas.h"
#include "stats/gauges.h"

namespace pgw::server {

struct Context {
  net::Loop& loop;
  net::Offload& offload;
  net::Resolver& resolver;
  Random random;
  stats::Gauges& gauges;
  relay::Statements& statements;
  Graveyard& graveyard;
  Contacts& contacts;
  Schemas& schemas;
  Apps& apps;
  Budgets& budgets;
  unsigned worker;  // its index
};

}  // namespace pgw::server

// Requests as scripts write them.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "request.h"

namespace pgw::sim {

inline Request message(char type) {
  Request r;
  r.type = type;
  return r;
}

inline Request query(std::vector<Statement> statements) {
  Request r = message('Q');
  r.statements = std::move(statements);
  return r;
}

inline Request parse_request(std::string name, std::vector<Statement> statements) {
  Request r = message('P');
  r.statement = std::move(name);
  r.statements = std::move(statements);
  return r;
}

inline Request on_name(char type, char what, std::string name) {
  Request r = message(type);
  r.what = what;
  (what == 'S' ? r.statement : r.portal) = std::move(name);
  return r;
}

inline Request execute(std::string portal, std::uint32_t limit) {
  Request r = message('E');
  r.portal = std::move(portal);
  r.limit = limit;
  return r;
}

inline Statement named_statement(Kind kind, std::string name) {
  return {kind, "", std::move(name)};
}

}  // namespace pgw::sim

// What a survey asks (server/survey.h).
#pragma once
#include <string>

namespace pgw::server {

// Gives one row: 'mark', '', '', '', and a text that changes with all that a survey reads.
std::string mark_query();
// 'routine', oid, language, name, body (null: too long), and 'tree', oid, catalog, '', text of an
// expression or rule that calls a function of PostgreSQL's own which may leave something.
std::string reading_query(int major, std::size_t routines_most, std::size_t body_most);
// `seeds`: rows of catalog, oid and marks, as VALUES has them. 'name', oid (of a routine; else 0),
// marks, name, '', and 'event' or 'all' where something is reached that no name calls.
std::string reach_query(const std::string& seeds);

}  // namespace pgw::server

// What a server does about functions that leave something in its session without a word of it in a
// statement's text: it surveys the database, and knows when the schema has changed.
#include "server/pool.h"
#include "server/server.h"
#include "wire/frame.h"
#include "wire/write.h"

namespace pgw::server {

using relay::Expected;
using relay::Want;

void Server::begin_group() {
  const auto& suspicion = pool_.suspicion();
  if (!unjudged_) judged_ = suspicion.changes();
  unjudged_ = suspicion.watches();
  if (suspicion.all()) dirty_ = true;
}

bool Server::suspect() {
  if (std::exchange(unjudged_, false) && judged_ != pool_.suspicion().changes()) dirty_ = true;
  return dirty_;
}

// DDL that takes something away makes nothing suspect.
void Server::schema_changes(std::string_view tag) {
  for (const std::string_view less : {"DROP", "GRANT", "REVOKE", "REFRESH", "SECURITY"})
    if (tag.starts_with(less)) return;
  if (!ddl_) ddl_ = pool_.suspicion().change();
}

// Whether inspect() must wait: for what is to be asked is not known.
bool Server::defers_inspection() {
  const auto& suspicion = pool_.suspicion();
  if (born_ < suspicion.moved()) return deferred_ = false;  // nobody gets it after this client
  if (!deferred_) settled_ = suspicion.changes();
  const auto first = suspicion.before_inspection(settled_);
  deferred_ = first != Suspicion::First::nothing;
  if (deferred_) dirty_ = true;
  if (first == Suspicion::First::survey) send_survey();
  return deferred_;
}

void Server::survey() {
  state_ = State::cleaning;
  quiet_failed_ = false;
  context_.loop.arm(timer_, pool_.settings().cancel_timeout);
  send_survey();
}

void Server::send_survey() {
  if (!survey_) survey_ = pool_.suspicion().begin(*this);
  survey_error_.reset();
  query(survey_->query());
}

void Server::survey_row(Bytes message) {
  if (!survey_->take_row(message.substr(wire::kHeaderBytes)) && !survey_error_)
    survey_error_ = Error(Code::protocol, "PostgreSQL has answered something else");
}

void Server::survey_answered() {
  if (!survey_error_ && survey_->next()) return send_survey();
  const auto survey = std::move(survey_);
  if (!survey_error_ && born_ < pool_.suspicion().moved())
    survey_error_ = Error(Code::connection, "its database leads elsewhere now")
                        .with_state(sqlstate(Code::cancelled));
  if (survey_error_) {
    pool_.suspicion().failed(*survey_error_);
  } else {
    pool_.suspicion().done(*survey);
  }
}

// It will not be answered any more.
void Server::drop_survey() {
  deferred_ = false;
  ddl_.reset();
  if (const auto survey = std::move(survey_))
    pool_.suspicion().failed(
        Error(Code::connection, "the server was lost").with_state(sqlstate(Code::cancelled)));
}

void Server::survey_over() {
  if (deferred_ && tenant_ && state_ == State::leased && !survey_) inspect();
}

}  // namespace pgw::server

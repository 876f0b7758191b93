#include "server/suspicion.h"

#include "server/pool.h"

namespace pgw::server {

namespace {
constexpr Duration kRetryAfter = 10s;
}  // namespace

Suspicion::Suspicion(Context& context, Pool& pool) : context_(context), pool_(pool) {}

void Suspicion::configure() {
  const auto& word = pool_.settings().suspect;
  mode_ = word == "text" ? Mode::text : word == "always" ? Mode::always : Mode::functions;
  std::string where = fmt::format("{}/{}", pool_.host(), pool_.dbname());
  if (schema_ && where == where_) return;
  if (schema_) moved_ = context_.loop.now();
  where_ = std::move(where);
  schema_ = context_.schemas.of(where_);
  mark_.clear();
  known_ = false;
}

bool Suspicion::due(std::uint64_t changes) const {
  return !known_ || seen_ < changes || context_.loop.now() >= stale_;
}

bool Suspicion::all() const {
  if (mode_ == Mode::text) return false;
  return mode_ == Mode::always || all_ || due(changes()) ||
         schema_->open.load(std::memory_order_relaxed) != 0;
}

bool Suspicion::blind() const {
  if (mode_ == Mode::text) return false;
  return !known_ || all_ || seen_ < changes() || schema_->open.load(std::memory_order_relaxed) != 0;
}

bool Suspicion::unjudged() const {
  return watches() && due(changes()) && context_.loop.now() >= retry_;
}

std::shared_ptr<void> Suspicion::change() const {
  ++schema_->changes;
  ++schema_->open;
  return {schema_.get(), [schema = schema_](void*) {
            ++schema->changes;
            --schema->open;
          }};
}

Suspicion::First Suspicion::before_inspection(std::uint64_t changes) const {
  if (mode_ == Mode::text || !due(changes) || context_.loop.now() < retry_) return First::nothing;
  return running_ ? First::wait : First::survey;
}

// One that is half as old as it may be is made anew when nobody waits for the server.
bool Suspicion::wants(bool waited_for) const {
  if (mode_ == Mode::text || !known_ || running_) return false;
  if (context_.loop.now() < retry_ || schema_->open.load(std::memory_order_relaxed) != 0)
    return false;
  const Duration early = waited_for ? 0us : pool_.settings().survey_interval / 2;
  return seen_ < changes() || context_.loop.now() + early >= stale_;
}

std::unique_ptr<Survey> Suspicion::begin(const Server& server) {
  running_ = true;
  begun_ = changes();
  // As an id that is no other's, for names of all pools of the worker.
  const auto version = context_.statements.fresh_scope();
  return std::make_unique<Survey>(mark_, server.major_version(), version);
}

void Suspicion::done(Survey& survey) {
  seen_ = begun_;
  known_ = true;
  retry_ = {};
  failures_ = 0;
  stale_ = context_.loop.now() + pool_.settings().survey_interval;
  if (!survey.unchanged()) {
    mark_ = survey.mark();
    all_ = !survey.too_much().empty();
    names_ = survey.take();
    opaque_ = false;
    for (const auto& name : names_->custom) opaque_ |= !pool_.know_setting(name);
    if (all_ && told_ != survey.too_much())
      log(Level::warning, pool_.about(), "every transaction is suspect: {}", survey.too_much());
    told_ = survey.too_much();
    log(Level::debug, pool_.about(), "{} names make a statement suspect", names_->count());
    if (names_->empty()) names_.reset();
  }
  over();
}

// Every transaction is suspect until one has succeeded. What was cancelled is tried again at once:
// a client may have gone that had the server.
void Suspicion::failed(const Error& why) {
  known_ = false;
  if (++failures_ > 1 || why.state() != sqlstate(Code::cancelled)) {
    retry_ = context_.loop.now() + kRetryAfter;
    if (told_ != why.what())
      log(Level::warning, pool_.about(),
          "every transaction is suspect, because what functions may leave could not be read: {}",
          why.what());
    told_ = why.what();
  }
  over();
}

void Suspicion::over() {
  running_ = false;
  pool_.survey_over();
}

}  // namespace pgw::server

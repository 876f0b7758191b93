#include "server/party.h"

#include <algorithm>

#include "server/pool.h"

namespace pgw::server {

Lane::Lane(Party& its_party, pool::Line& its_line, Allowance& app, Allowance* sessions)
    : Taker(its_party.pool.loop()),
      party(its_party),
      line(its_line),
      timer(
          [](void* self) {
            auto& lane = *static_cast<Lane*>(self);
            lane.party.pool.look_after(lane);
          },
          this),
      app_{&app},
      sessions_{sessions},
      hold_timer_([](void* self) { static_cast<Lane*>(self)->release_all(); }, this) {}

Lane::~Lane() { drop(); }

bool Lane::claim() {
  for (Need* need : {&app_, &sessions_}) {
    if (need->in_hand || !needs(*need)) continue;
    const Time since = line.count > 0 ? line.waiters.front()->waits_since : loop_.now();
    need->in_hand = need->budget->begin_or_wait(*this, since);
    if (!need->in_hand) {
      // What it has of the others is of use to somebody else meanwhile.
      if (need == &sessions_) release(app_);
      waits_for_ = need->budget;
      party.pool.block(line);
      return false;
    }
    if (!hold_timer_.armed()) loop_.arm(hold_timer_, kHoldMost);
  }
  return true;
}

Tenant::Places Lane::hand_over() {
  hold_timer_.disarm();
  return {.app = std::exchange(app_.in_hand, false),
          .session = std::exchange(sessions_.in_hand, false)};
}

void Lane::give_back(Tenant::Places places) {
  if (places.app) app_.budget->end(&loop_);
  if (places.session) sessions_.budget->end(&loop_);
}

void Lane::adopt(Tenant::Places& places) {
  if (needs(app_) && !std::exchange(places.app, true)) app_.budget->adopt();
  if (needs(sessions_) && !std::exchange(places.session, true)) sessions_.budget->adopt();
}

std::size_t Lane::room() const {
  std::size_t out = line.count;
  for (const Need* need : {&app_, &sessions_})
    if (needs(*need))
      out = std::min<std::size_t>(out, need->budget->free() + (need->in_hand ? 1u : 0u));
  return out;
}

// It may wait for another one by now, or have given up meanwhile.
void Lane::offered(Allowance& budget) {
  Need& need = app_.budget == &budget ? app_ : sessions_;
  if (waits_for_ == &budget) {
    budget.forget(*this);
    waits_for_ = nullptr;
  }
  if (need.in_hand || line.count == 0) {
    budget.end(&loop_);
    return drop();
  }
  need.in_hand = true;
  loop_.arm(hold_timer_, kHoldMost);
  if (!waits_for_) party.pool.unblock(line);
}

void Lane::release(Need& need) {
  if (std::exchange(need.in_hand, false)) need.budget->end(&loop_);
}

void Lane::release_all() {
  hold_timer_.disarm();
  release(app_);
  release(sessions_);
}

void Lane::drop() {
  if (waits_for_) std::exchange(waits_for_, nullptr)->forget(*this);
  if (line.blocked) party.pool.unblock(line);
  release_all();
}

Party::Party(Pool& its_pool, std::shared_ptr<App> its_app, unsigned worker, Allowance& sessions)
    : pool(its_pool),
      app(std::move(its_app)),
      load(app->loads[worker]),
      lanes{{{*this, lines[0], *app->servers, nullptr},
             {*this, lines[1], *app->servers, &sessions}}} {}

}  // namespace pgw::server

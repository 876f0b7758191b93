// Scenes about time limits, to the millisecond: see stage.h.
#include <gtest/gtest.h>

#include "stage.h"

namespace pgw::sim {
namespace {

constexpr Duration kExact = 5ms;  // for the network, and a timer that fires up to 2 ms late

class Limits : public Stage, public testing::WithParamInterface<std::uint16_t> {
 protected:
  Hand& client() {
    Hand& c = hand(GetParam());
    pass(10ms);
    EXPECT_EQ(c.take(), "R K ZI");
    return c;
  }
  void pass(Duration time) {
    sim.at(sim.now() + time, [] {});
    settle(time);
  }
  // What comes when this time is over, and nothing before.
  std::string after(Hand& from, Duration time) {
    if (time > kExact) pass(time - kExact);
    EXPECT_EQ(from.take(), "");
    pass(2 * kExact);
    return from.take();
  }
  // The only server serves others.
  void expect_a_free_server() {
    EXPECT_EQ(ask(client(), query("SELECT 'c2.1'")), "T D C ZI");
    EXPECT_EQ(postgres->backends(), 1u);
  }
};

TEST_P(Limits, AnIdleTransactionEndsAtItsTime) {
  plan.limits.idle_in_transaction = 700ms;
  open_with_postgres();
  Hand& c = client();
  c.send(query("BEGIN"));
  EXPECT_EQ(after(c, 1ms), "C ZT");
  pass(400ms);
  c.send(query("SELECT 'c1.1'"));  // counts anew
  EXPECT_EQ(after(c, 1ms), "T D C ZT");
  EXPECT_EQ(after(c, 700ms - 2 * kExact), "E25P03");
  EXPECT_TRUE(c.ended());
  expect_a_free_server();
}

TEST_P(Limits, ATransactionEndsAtItsTimeWhateverItDoes) {
  plan.limits.transaction = 700ms;
  open_with_postgres();
  Hand& c = client();
  c.send(query("BEGIN"));
  EXPECT_EQ(after(c, 1ms), "C ZT");
  pass(300ms);
  c.send(query("SELECT 'c1.1'"));
  EXPECT_EQ(after(c, 1ms), "T D C ZT");
  EXPECT_EQ(after(c, 700ms - 320ms), "E25P04");
  EXPECT_TRUE(c.ended());
  expect_a_free_server();
}

TEST_P(Limits, AStatementIsCancelledAtItsTime) {
  plan.limits.query = 200ms;
  open_with_postgres();
  Hand& c = client();
  c.send(query("SELECT pg_sleep(150, 'c1.1')"));
  pass(170ms);
  EXPECT_EQ(c.take(), "T D C ZI");
  c.send(query("SELECT pg_sleep(900, 'c1.2')"));
  pass(150ms);
  EXPECT_FALSE(c.take().contains('E'));
  EXPECT_EQ(after(c, 50ms), "T E57014 ZI");
  EXPECT_EQ(ask(c, query("SELECT 'c1.3'")), "T D C ZI");
  c.send(message('X'));
  expect_a_free_server();
}

TEST_P(Limits, AnIdleClientEndsAtItsTime) {
  plan.limits.client_idle = 1500ms;
  open_with_postgres();
  Hand& c = client();
  c.send(query("SELECT 'c1.1'"));
  EXPECT_EQ(after(c, 1ms), "T D C ZI");
  EXPECT_EQ(after(c, 1500ms - 2 * kExact), "E57P05");
  expect_a_free_server();
}

INSTANTIATE_TEST_SUITE_P(Ports, Limits, testing::Values(kSession, kTransaction));

}  // namespace
}  // namespace pgw::sim

// Worlds that have failed once, or that show one rule at work. A fixed bug gets its seed, or a
// world made for it, here.
#include <gtest/gtest.h>

#include <algorithm>

#include "stage.h"

namespace pgw::sim {
namespace {

struct Scenario {
  std::uint64_t seed;
  bool direct;
  const char* what;
};

const Scenario kScenarios[] = {
    {1345, true, "the server dies politely while a client waits for the answer to SSLRequest"},
    {285, true, "an error behind a Flush is sent at once, also when a Flush is skipped"},
    {307, true, "a cancel ends a COPY at its next row, not before"},
};

TEST(Scenarios, AllPass) {
  for (const Scenario& s : kScenarios) {
    World world(s.seed, s.direct);
    const Verdict verdict = world.run();
    EXPECT_TRUE(verdict.passed) << s.what << ": swarm " << (s.direct ? "--direct " : "")
                                << "--seed " << s.seed << ": " << verdict.reason;
  }
}

TEST_F(Stage, NothingIsSaidToAClientThatWasToldFatal) {
  const std::string settings_made = message('1') + message('2') +
                                    frame('C', Body().text("SELECT 1").take()) + message('3') +
                                    message('3') + frame('Z', "I");
  parrot = std::make_unique<Parrot>(
      pg, settings_made + frame('E', error_body("FATAL", "57P01", "terminating connection")));
  open();
  // Its settings are made, and PostgreSQL goes, in the same read: no greeting behind the goodbye.
  EXPECT_EQ(hand(kSession, {{"application_name", "c1.0"}}).take(), "R E57P01");
}

TEST_F(Stage, AReloadThatMovesADatabaseKeepsThePasswordsOfThoseWhoAreIn) {
  plan.ask = plan.front = Ask::password;
  Postgres::Options options;
  options.ask = Ask::password;
  options.passwords = {{"app", "app-secret"}};
  postgres = std::make_unique<Postgres>(pg, options);
  postgres->start();
  open();
  Hand& c = hand(kTransaction);
  EXPECT_EQ(c.take(), "R K ZI");
  for (int i = 0; i < 8; ++i) {  // each is by chance a move, or none
    EXPECT_EQ(ask(c, query("SELECT 'c1.1'")), "T D C ZI");
    middle->reload(false);
  }
}

TEST_F(Stage, AnUnnamedStatementThatCouldNotBeReplayedIsReplayedAgain) {
  open_with_postgres();
  Hand& c = hand(kTransaction);
  EXPECT_EQ(c.take(), "R K ZI");
  EXPECT_EQ(ask(c, query("BEGIN")), "C ZT");
  EXPECT_EQ(ask(c, parse_of("", "SET work_mem TO 'c1.1'") + message('S')), "1 ZT");
  EXPECT_EQ(ask(c, parse_of("x", "SELEKT") + message('S')), "E42601 ZE");
  // What is lost is said to be so, and never that the client has no such statement.
  EXPECT_EQ(ask(c, bind_of("") + message('S') + describe_of("") + message('S')),
            "E25P02 ZE E25P02 ZE");
  EXPECT_EQ(ask(c, query("ROLLBACK")), "C ZI");
}

TEST_F(Stage, CopyDataIsNotHeldBackBehindItsOwnQuery) {
  open_with_postgres();
  Hand& c = hand(kTransaction);
  EXPECT_EQ(c.take(), "R K ZI");
  EXPECT_EQ(ask(c, query("DEALLOCATE ALL; COPY \"c1.1\" FROM STDIN")), "C G");
  EXPECT_EQ(ask(c, frame('d', "c1.2\n") + message('c')), "C ZI");
}

TEST_F(Stage, ASyncThatWaitsForAServerIsNotCancelled) {
  open_with_postgres();
  Hand& c = hand(kTransaction);
  Hand& other = hand(kTransaction);
  EXPECT_EQ(c.take(), "R K ZI");
  EXPECT_EQ(ask(c, query("SELECT 'c1.0'")), "T D C ZI");  // now the functions are known
  c.send(query("SELECT pg_sleep(1500, 'c1.1'); DEALLOCATE ALL") + message('S'));
  settle(200ms);  // it has the server
  other.send(query("SELECT pg_sleep(5000, 'c2.1')"));
  settle(3s);
  EXPECT_EQ(c.take(), "T D C C ZI");  // the Sync queues behind the other
  connect(kTransaction, frame(0, Body().u32(80877102).raw(c.key()).take()));
  settle(5s);
  EXPECT_EQ(c.take(), "ZI");
  EXPECT_EQ(ask(c, query("SELECT 'c1.2'")), "T D C ZI");
}

TEST_F(Stage, CancelsOfOneServerGoOneAfterTheOther) {
  open_with_postgres();
  Hand& c = hand(kTransaction);
  EXPECT_EQ(c.take(), "R K ZI");
  c.send(query("SELECT pg_sleep(60000, 'c1.1')") + query("SELECT pg_sleep(60000, 'c1.2')"));
  settle();
  const std::string packet = frame(0, Body().u32(80877102).raw(c.key()).take());
  for (int i = 0; i < 50; ++i)
    hands.push_back(std::make_unique<Hand>(clients, kTransaction, packet));
  std::size_t most = 0;
  for (const Time until = sim.now() + 5s; sim.next() <= until && sim.step();)
    most = std::max(most, network.open_to(5432, 0));
  EXPECT_EQ(most, 2u);  // the server, and a request for it
  for (std::size_t i = 1; i < hands.size(); ++i) EXPECT_TRUE(hands[i]->ended()) << i;
  EXPECT_TRUE(c.take().starts_with("T E57014 ZI"));
}

TEST_F(Stage, AClientInTheMiddleOfAMessageIsNotToldWhyItMustGo) {
  open_with_postgres();
  Weather slow;
  slow.window = 1000;
  slow.latency_least = slow.latency_most = 20ms;
  network.set_weather(5432, slow);
  Hand& c = hand(kTransaction);
  c.send(query("SELECT big(1, 500000, 'c1.1')"));
  settle();
  EXPECT_NE(c.raw().find("xxxx"), std::string::npos);
  bool over = false;
  middle->drain(100ms, [&] { over = true; });
  settle(30s);
  EXPECT_TRUE(over && c.ended());
  EXPECT_EQ(c.raw().find("57P01"), std::string::npos);
}

TEST_F(Stage, OnlyALongMessageIsPassedOnBeforeItIsWhole) {
  const std::string row = frame('D', Body().u16(1).u32(100).raw(std::string(100, 'x')).take());
  parrot = std::make_unique<Parrot>(pg, message('1') + message('2') + row + row.substr(0, 50));
  open();
  Hand& c = hand(kSession);
  EXPECT_EQ(c.take(), "R K ZI");
  const std::string execute = frame('E', Body().text("").u32(0).take());
  EXPECT_EQ(ask(c, parse_of("", "SELECT") + bind_of("") + execute + message('S')), "1 2 D");
  EXPECT_EQ(ask(c, message('z')), "E08P01");
  EXPECT_TRUE(c.ended());
}

TEST_F(Stage, AClientThatDoesNotReadIsNotReadFromEither) {
  open_with_postgres();
  // Answered without a server, and with one: in a transaction.
  for (const bool transaction : {false, true}) {
    Hand& c = hand(kTransaction);
    if (transaction) EXPECT_EQ(ask(c, query("BEGIN")), "R K ZI C ZT");
    c.take();
    c.pause();
    const std::string close = frame('C', Body().u8('S').text("none").take());
    std::string flood;
    for (int i = 0; i < 400'000; ++i) flood += i % 2 ? message('S') : close;
    c.send(flood + message('S'));
    settle(10s);
    EXPECT_GT(c.queued(), flood.size() / 2);
    c.resume();
    settle(60s);
    EXPECT_EQ(c.queued(), 0u);
    const std::string got = c.take();
    EXPECT_EQ(std::ranges::count(got, '3'), 200'000);
    EXPECT_EQ(std::ranges::count(got, 'Z'), 200'001);
    EXPECT_FALSE(c.ended());
    if (transaction) EXPECT_EQ(ask(c, query("ROLLBACK")), "C ZI");
  }
}

TEST_F(Stage, ADrainWaitsForThoseWhoReadLate) {
  open_with_postgres();
  Weather narrow;
  narrow.window = 1000;
  narrow.split = 0;
  network.set_weather(kTransaction, narrow);
  Hand& late = hand(kTransaction);
  late.take();
  late.pause();
  late.send(query("SELECT big(1, 100000, 'c1.1')"));
  settle();
  bool over = false;
  std::string had;
  middle->drain(20s, [&] {
    over = true;
    had = late.take();
  });
  settle(8s);
  EXPECT_FALSE(over);
  late.resume();
  settle(8s);
  EXPECT_TRUE(over);
  EXPECT_EQ(had, "T D C ZI E57P01");
}

TEST_F(Stage, ADrainDoesNotWaitForeverForThoseWhoNeverRead) {
  open_with_postgres();
  Weather narrow;
  narrow.window = 1000;
  network.set_weather(kTransaction, narrow);
  Hand& never = hand(kTransaction);
  never.pause();
  never.send(query("SELECT big(1, 100000, 'c1.1')"));
  settle();
  bool over = false;
  middle->drain(3s, [&] { over = true; });
  settle(2s);
  EXPECT_FALSE(over);
  settle(3s);
  EXPECT_TRUE(over);
}

TEST_F(Stage, AHostThatDiesIsNoticedInTwoMinutes) {
  open_with_postgres();
  Weather patient;
  patient.keep_alive = 10h;
  network.set_weather(5432, patient);
  network.set_weather(kTransaction, patient);
  Hand& c = hand(kTransaction);
  EXPECT_EQ(ask(c, query("SELECT 'c1.1'")), "R K ZI T D C ZI");
  for (const auto& link : network.links_to(5432)) link->go_silent();
  c.send(query("SELECT 'c1.2'"));
  settle(100s);
  EXPECT_EQ(c.take(), "");
  settle(50s);
  EXPECT_EQ(c.take(), "E08006");
  // A client that dies while it is sent a result keeps its server no longer than that.
  Hand& dead = hand(kTransaction);
  dead.take();
  EXPECT_EQ(ask(dead, query("BEGIN")), "C ZT");
  dead.send(query("SELECT pg_sleep(5000, 'c2.1')"));
  settle();
  for (const auto& link : network.links_to(kTransaction)) link->go_silent();
  settle(150s);
  Hand& next = hand(kTransaction);
  EXPECT_EQ(ask(next, query("SELECT 'c3.1'")), "R K ZI T D C ZI");
}

TEST_F(Stage, ACopyThatFailsDoesNotTakeTheEndOfTheNextOne) {
  open_with_postgres();
  Hand& c = hand(kTransaction);
  EXPECT_EQ(c.take(), "R K ZI");
  // In one go: a COPY that fails at its data, one that is well, and a transaction.
  const std::string execute = frame('E', Body().text("").u32(0).take());
  EXPECT_EQ(ask(c, query("COPY \"c1.1\" FROM STDIN") + frame('d', "bad") +
                       parse_of("", "COPY \"c1.2\" FROM STDIN") + bind_of("") + execute +
                       frame('d', "c1.3\n") + message('c') + message('S') + query("BEGIN")),
            "G E22P02 ZI 1 2 G C ZI C ZT");
  EXPECT_EQ(ask(c, query("COMMIT")), "C ZI");
}

// Nothing slow is done for a login with SCRAM, whether the user exists, and whether it has logged
// in before: else the time would tell.
TEST_F(Stage, ScramAsksEverybodyAlike) {
  plan.front = Ask::scram;
  open_with_postgres();
  const std::string first =
      frame('p', Body().text("SCRAM-SHA-256").u32(20).take() + "n,,n=,r=abcdefghijkl");
  for (const char* user : {"app", "nobody", "app", "worker", "somebody"}) {
    Hand& c = hand(kTransaction, {{"user", user}});
    EXPECT_EQ(c.take(), "R");
    EXPECT_EQ(ask(c, first), "R") << user;
  }
  EXPECT_EQ(offload.submitted(), 0u);
}

TEST_F(Stage, AQueryInsideCopyEndsTheConnectionAsInPostgres) {
  open_with_postgres();
  for (const std::uint16_t port : {kSession, kTransaction}) {
    Hand& c = hand(port);
    EXPECT_EQ(c.take(), "R K ZI");
    EXPECT_EQ(ask(c, query("COPY \"c1.1\" FROM STDIN") + query("SELECT 'c1.2'")),
              "G E08P01 E08P01");
    EXPECT_TRUE(c.ended());
    settle(20s);
  }
}

}  // namespace
}  // namespace pgw::sim

// Scenes about what a session holds: see stage.h.
#include <gtest/gtest.h>

#include "stage.h"

namespace pgw::sim {
namespace {

// The settings are replayed with the client's messages right behind them. If that fails, these must
// not be carried out under the settings of the client before.
TEST_F(Stage, NothingRunsUnderAnothersSettings) {
  open_with_postgres();
  const std::string show = parse_of("s", "SHOW application_name") + bind_of("s") +
                           frame('E', Body().text("").u32(0).take());
  for (const Kind failing : {Kind::begin, Kind::set_config, Kind::commit}) {
    for (const auto& wanted :
         {query("SHOW application_name") + query("SHOW application_name"),
          show + message('S') + query("COMMIT") + query("SHOW application_name")}) {
      Hand& one = hand(kTransaction, {{"application_name", "c1.0"}});
      Hand& two = hand(kTransaction, {{"application_name", "c2.0"}});
      EXPECT_EQ(ask(two, query("SELECT 'c2.1'")), "R K ZI T D C ZI");
      EXPECT_EQ(ask(one, query("SELECT 'c1.1'")), "R K ZI T D C ZI");
      postgres->cancel_next = failing;
      EXPECT_EQ(ask(two, wanted), "E57014");
      EXPECT_TRUE(two.ended());
      // The server is as it should be for those who come later.
      EXPECT_EQ(ask(one, query("SELECT 'c1.2'")), "T D C ZI");
      hands.clear();
      settle();
    }
  }
}

// With a statement_timeout that may hit the replay itself, its answer is awaited, and a failure is
// nothing to the client.
TEST_F(Stage, AShortTimeoutOfTheClientBeforeIsNoHarm) {
  open_with_postgres();
  Hand& one = hand(kTransaction, {{"statement_timeout", "1"}});
  Hand& two = hand(kTransaction, {{"application_name", "c2.0"}});
  EXPECT_EQ(ask(two, query("SELECT 'c2.1'")), "R K ZI T D C ZI");
  EXPECT_EQ(ask(one, query("SELECT 'c1.1'")), "R K ZI T D C ZI");
  postgres->cancel_next = Kind::set_config;
  EXPECT_EQ(ask(two, query("SHOW application_name")), "T D C ZI");
}

// A start-up parameter is the pooler's setting to PostgreSQL, which reports its own value after a
// RESET; the client is told what it has asked for, and before ReadyForQuery.
TEST_F(Stage, AResetOfAStartUpParameterIsToldAtOnce) {
  open_with_postgres();
  Hand& c = hand(kTransaction, {{"application_name", "c1.0"}, {"client_encoding", "LATIN1"}});
  EXPECT_EQ(c.take(), "R K ZI");
  c.hears_settings = true;
  const std::string execute = frame('E', Body().text("").u32(0).take());
  EXPECT_EQ(ask(c, query("SET application_name TO 'c1.1'")), "C S(application_name=c1.1) ZI");
  EXPECT_EQ(ask(c, query("RESET application_name")), "C S(application_name=c1.0) ZI");
  // Set to just what is PostgreSQL's own: that reports nothing then.
  EXPECT_EQ(ask(c, query("SET client_encoding TO 'UTF8'")), "C S(client_encoding=UTF8) ZI");
  EXPECT_EQ(ask(c, parse_of("", "RESET client_encoding") + bind_of("") + execute + message('S')),
            "1 2 C S(client_encoding=LATIN1) ZI");
  EXPECT_EQ(ask(c, query("SET application_name TO 'c1.2'; SELECT 'c1.3'")),
            "C T D C S(application_name=c1.2) ZI");
  EXPECT_EQ(ask(c, query("SELECT 1") + query("DISCARD ALL") + query("SELECT 'c1.4'")),
            "T D C ZI C S(application_name=c1.0) ZI T D C ZI");
}

// It is put back behind a savepoint, so that going back there undoes it, but not the RESET.
TEST_F(Stage, AResetBeforeASavepointStays) {
  open_with_postgres();
  Hand& c = hand(kTransaction, {{"application_name", "c1.0"}});
  EXPECT_EQ(c.take(), "R K ZI");
  c.hears_settings = true;
  EXPECT_EQ(ask(c, query("SET application_name TO 'c1.1'")), "C S(application_name=c1.1) ZI");
  EXPECT_EQ(ask(c, query("BEGIN; RESET ALL; SAVEPOINT a")), "C C C S(application_name=c1.0) ZT");
  EXPECT_EQ(ask(c, query("SELECT 'c1.2'")), "T D C ZT");
  EXPECT_EQ(ask(c, query("SELECT error('c1.3')")), "E22012 ZE");
  EXPECT_EQ(ask(c, query("ROLLBACK TO a")), "C ZT");
  const std::size_t from = c.raw().size();
  EXPECT_EQ(ask(c, query("SHOW application_name")), "T D C ZT");
  EXPECT_NE(c.raw().find("c1.0", from), std::string::npos);
  EXPECT_EQ(ask(c, query("ROLLBACK")), "C S(application_name=c1.1) ZI");
}

// PostgreSQL lists no custom setting by itself, so a list that is empty says nothing of one whose
// name is not known.
TEST_F(Stage, ACustomSettingOfUnknownNameIsNobodyElses) {
  open_with_postgres();
  Hand& one = hand(kTransaction);
  Hand& two = hand(kTransaction);
  EXPECT_EQ(ask(one, query("DO 'BEGIN PERFORM set_config(''app.v1'', ''c1.1'', false); END'")),
            "R K ZI C ZI");
  two.send(query("SELECT current_setting('app.v1', true)"));
  settle();
  EXPECT_EQ(ask(one, query("SELECT current_setting('app.v1', true)")), "T D C ZI");
  EXPECT_NE(one.raw().find("c1.1"), std::string::npos);
  EXPECT_EQ(two.take(), "R K ZI");  // it waits: the server stays with the first
  EXPECT_EQ(ask(one, message('X')), "");
  EXPECT_EQ(two.take(), "T D C ZI");
  EXPECT_EQ(two.raw().find("c1.1"), std::string::npos);
}

}  // namespace
}  // namespace pgw::sim

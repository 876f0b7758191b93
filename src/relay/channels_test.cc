#include "relay/channels.h"

#include <gtest/gtest.h>

namespace pgw::relay {
namespace {

TEST(ConcernsChannels, WhatListensNotifiesOrAsks) {
  for (const auto* text :
       {"LISTEN a", "listen \"A\"", "unlisten *", "UNLISTEN a", "NOTIFY a, 'x'",
        "select pg_notify('a', 'b')", "select pg_catalog.pg_notify($1,$2)",
        "select * from pg_listening_channels()", "select 1; listen a", "/* x */ LISTEN a",
        "insert into t values (1);notify t", "select PG_NOTIFY(channel, '') from t"})
    EXPECT_TRUE(concerns_channels(text)) << text;
}

// After these a text that is sent later may do so where it is too late to prepare for it, or one
// that is not seen here may.
TEST(ConcernsChannels, WhatLeadsThere) {
  for (const auto* text :
       {"begin", "BEGIN ISOLATION LEVEL SERIALIZABLE", "start transaction", "do $$ begin end $$",
        "call p()", "execute p", "discard all", "set client_encoding = latin1", "set names 'utf8'",
        "select set_config('a.b','',false)", "reset all", "update pg_settings set setting = 1",
        "select u&\"pg\\005fnotify\"('a','')"})
    EXPECT_TRUE(concerns_channels(text)) << text;
}

TEST(ConcernsChannels, NothingOfTheKind) {
  for (const auto* text : {"", " ", "select 1", "select start_date, domain, window from undo",
                           "insert into t values (1)", "commit", "rollback", "set search_path = a",
                           "select beginning, renames, recall from x", "lock table t",
                           "select dot from t where a & \"b\" = 1"})
    EXPECT_FALSE(concerns_channels(text)) << text;
}

TEST(QuotedChannel, DoublesQuotes) {
  EXPECT_EQ(quoted_channel("a"), "\"a\"");
  EXPECT_EQ(quoted_channel("A b"), "\"A b\"");
  EXPECT_EQ(quoted_channel("a\"; drop table t; --"), "\"a\"\"; drop table t; --\"");
  EXPECT_EQ(quoted_channel(""), "\"\"");
}

}  // namespace
}  // namespace pgw::relay

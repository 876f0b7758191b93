#include "relay/profile.h"

#include <gtest/gtest.h>

namespace pgw::relay {
namespace {

TEST(SettingsOf, LeavesOutWhatIsNoSetting) {
  const auto got = settings_of({{"user", "me"},
                                {"database", "shop"},
                                {"replication", "false"},
                                {"_pq_.x", "1"},
                                {"application_name", "app"}});
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, (Settings{{"application_name", "app"}}));
  EXPECT_TRUE(settings_of({})->empty());
}

TEST(SettingsOf, AreLoweredAndSortedAndOnce) {
  EXPECT_EQ(*settings_of({{"TimeZone", "UTC"}, {"DateStyle", "ISO"}, {"extra.Thing", "X"}}),
            (Settings{{"datestyle", "ISO"}, {"extra.thing", "X"}, {"timezone", "UTC"}}));
  EXPECT_EQ(*settings_of({{"a", "1"}, {"A", "2"}, {"b", "3"}, {"a", "4"}}),
            (Settings{{"a", "4"}, {"b", "3"}}));
}

TEST(SettingsOf, OptionsCountLessThanThePacketWhereverTheyStand) {
  EXPECT_EQ(*settings_of({{"options", "-c a=1 -c B=2 --c-d=3"}}),
            (Settings{{"a", "1"}, {"b", "2"}, {"c_d", "3"}}));
  EXPECT_EQ(*settings_of({{"options", "-c a=1 -c a=2"}}), (Settings{{"a", "2"}}));
  EXPECT_EQ(*settings_of({{"a", "p"}, {"options", "-c A=o -c b=o"}}),
            (Settings{{"a", "p"}, {"b", "o"}}));
  EXPECT_EQ(*settings_of({{"options", "-c a=o"}, {"A", "p"}}), (Settings{{"a", "p"}}));
  EXPECT_TRUE(settings_of({{"options", ""}})->empty());
}

TEST(SettingsOf, FailsOnOptionsThatCannotBeUnderstood) {
  for (const char* bad : {"-c", "-c a", "-d 5", "a=1"}) {
    const auto got = settings_of({{"a", "1"}, {"options", bad}});
    ASSERT_FALSE(got) << bad;
    EXPECT_EQ(got.error().state(), "22023");
  }
}

TEST(SettingsOf, AHundredAreAllowed) {
  Settings many{{"user", "me"}, {"database", "shop"}};
  for (int i = 0; i < 99; ++i) many.emplace_back(fmt::format("x.s{}", i), "v");
  many.emplace_back("options", "-c x.last=1 -c x.s0=2");
  EXPECT_EQ(settings_of(many)->size(), 100u);
  many.emplace_back("x.more", "v");
  const auto got = settings_of(many);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().state(), "22023");
}

TEST(AllSafe, OnlyWhatEveryServerAccepts) {
  EXPECT_TRUE(all_safe({}));
  EXPECT_TRUE(
      all_safe({{"application_name", "a"}, {"client_encoding", "UTF8"}, {"work_mem", "1"}}));
  for (const char* name :
       {"application_name", "bytea_output", "client_encoding", "client_min_messages", "datestyle",
        "default_transaction_isolation", "default_transaction_read_only", "extra_float_digits",
        "idle_in_transaction_session_timeout", "idle_session_timeout", "intervalstyle",
        "lock_timeout", "search_path", "standard_conforming_strings", "statement_timeout",
        "timezone", "work_mem"})
    EXPECT_TRUE(all_safe({{name, "x"}})) << name;
  // A role may be missing, an extension not loaded.
  EXPECT_FALSE(all_safe({{"role", "x"}}));
  EXPECT_FALSE(all_safe({{"application_name", "a"}, {"my.extension", "x"}}));
}

TEST(MeaningKey, LeavesOutOnlyWhatCannotChangeATextsMeaning) {
  for (const char* name : {"application_name", "client_min_messages", "extra_float_digits",
                           "idle_in_transaction_session_timeout", "idle_session_timeout",
                           "lock_timeout", "statement_timeout", "work_mem"})
    EXPECT_EQ(meaning_key({{name, "x"}}), "") << name;
  for (const char* name : {"search_path", "datestyle", "client_encoding", "my.own", "role",
                           "standard_conforming_strings", "timezone"})
    EXPECT_NE(meaning_key({{name, "x"}}), meaning_key({{name, "y"}})) << name;
}

TEST(MeaningKey, TellsEveryListFromEveryOther) {
  EXPECT_EQ(meaning_key({{"a", "1"}, {"work_mem", "2"}}),
            meaning_key({{"a", "1"}, {"statement_timeout", "9"}}));
  const Settings lists[] = {{},
                            {{"a", ""}},
                            {{"a", "b"}},
                            {{"ab", ""}},
                            {{"b", "a"}},
                            {{"a", "b"}, {"c", "d"}},
                            {{"a", "bc"}, {"d", ""}}};
  for (const auto& one : lists)
    for (const auto& other : lists)
      EXPECT_EQ(meaning_key(one) == meaning_key(other), &one == &other);
}

TEST(Change, IsEmptyWhenNothingDiffers) {
  EXPECT_EQ(change({}, {}), "");
  EXPECT_EQ(change({{"a", "1"}, {"b", "2"}}, {{"a", "1"}, {"b", "2"}}), "");
}

TEST(Change, SetsWhatDiffersAndResetsWhatIsGone) {
  EXPECT_EQ(change({}, {{"a", "1"}}), "SELECT pg_catalog.set_config('a','1',false)");
  EXPECT_EQ(change({{"a", "1"}}, {{"a", "2"}}), "SELECT pg_catalog.set_config('a','2',false)");
  EXPECT_EQ(change({{"a", "1"}}, {}), "SELECT pg_catalog.set_config('a',NULL,false)");
  EXPECT_EQ(change({{"a", "1"}, {"c", "3"}, {"d", "4"}, {"f", "6"}},
                   {{"b", "2"}, {"c", "x"}, {"d", "4"}, {"e", "5"}}),
            "SELECT pg_catalog.set_config('a',NULL,false),pg_catalog.set_config('b','2',false),"
            "pg_catalog.set_config('c','x',false),pg_catalog.set_config('e','5',false),"
            "pg_catalog.set_config('f',NULL,false)");
  EXPECT_EQ(change({{"b", "1"}}, {{"a", "1"}, {"c", "1"}}),
            "SELECT pg_catalog.set_config('a','1',false),pg_catalog.set_config('b',NULL,false),"
            "pg_catalog.set_config('c','1',false)");
}

TEST(Change, QuotesWhatClientsSend) {
  EXPECT_EQ(change({}, {{"a", "it's"}}), "SELECT pg_catalog.set_config('a','it''s',false)");
  // The same literal whatever standard_conforming_strings says.
  EXPECT_EQ(change({}, {{"a", "\\'"}}), "SELECT pg_catalog.set_config('a', E'\\\\''',false)");
  EXPECT_EQ(change({}, {{"a'b\\", "x"}}), "SELECT pg_catalog.set_config( E'a''b\\\\','x',false)");
  EXPECT_EQ(change({}, {{"a", ""}}), "SELECT pg_catalog.set_config('a','',false)");
  EXPECT_EQ(change({{"my.Own\"x", "1"}}, {}),
            "SELECT pg_catalog.set_config('my.Own\"x',NULL,false)");
}

// A server may still be in another client's encoding, where these bytes mean something else.
TEST(Change, IsPlainAscii) {
  EXPECT_EQ(change({}, {{"search_path", "sch\xc3\xa9"}}),
            "SELECT pg_catalog.set_config('search_path',pg_catalog.convert_from("
            "pg_catalog.decode('736368c3a9','hex'),pg_catalog.getdatabaseencoding()),false)");
  for (const char c : change({{"\xc3\xa4", "1"}}, {{"\xff", "\x80'"}})) EXPECT_GE(c, ' ');
}

TEST(Hasty, MeansLessThanASecond) {
  for (const char* value : {"1", "999", "500ms", "0.5s", "800 ms", "90us", "soon", ""})
    EXPECT_TRUE(hasty({{"statement_timeout", value}})) << value;
  for (const char* value : {"0", "1000", "5s", "1min", "2h", "3 d"})
    EXPECT_FALSE(hasty({{"statement_timeout", value}})) << value;
  EXPECT_TRUE(hasty({{"transaction_timeout", "1"}}));
  EXPECT_FALSE(hasty({{"lock_timeout", "1"}}));
}

TEST(Change, SetsTheEncodingLast) {
  EXPECT_EQ(change({}, {{"a", "1"}, {"client_encoding", "LATIN1"}, {"datestyle", "ISO"}}),
            "SELECT pg_catalog.set_config('a','1',false),"
            "pg_catalog.set_config('datestyle','ISO',false),"
            "pg_catalog.set_config('client_encoding','LATIN1',false)");
  EXPECT_EQ(change({{"a", "1"}}, {{"client_encoding", "LATIN1"}}),
            "SELECT pg_catalog.set_config('a',NULL,false),"
            "pg_catalog.set_config('client_encoding','LATIN1',false)");
}

TEST(Change, WhoTheSessionIsComesLast) {
  const Settings joe = {{"role", "joe"}, {"session_authorization", "app"}};
  EXPECT_EQ(change(joe, joe), "");
  EXPECT_EQ(change({}, joe),
            "SELECT pg_catalog.set_config('session_authorization','app',false),"
            "pg_catalog.set_config('role','joe',false)");
  EXPECT_EQ(change(joe, {}),
            "SELECT pg_catalog.set_config('session_authorization',NULL,false),"
            "pg_catalog.set_config('role',NULL,false)");
  EXPECT_EQ(change({{"role", "joe"}}, {{"role", "joe"}, {"work_mem", "1MB"}}),
            "SELECT pg_catalog.set_config('role',NULL,false),"
            "pg_catalog.set_config('work_mem','1MB',false),"
            "pg_catalog.set_config('role','joe',false)");
}

TEST(Reported, RemembersTheLastValue) {
  Settings reported;
  EXPECT_EQ(look_up(reported, "TimeZone"), nullptr);
  EXPECT_TRUE(remember(reported, "TimeZone", "UTC"));
  EXPECT_FALSE(remember(reported, "TimeZone", "UTC"));
  EXPECT_TRUE(remember(reported, "DateStyle", "ISO"));
  EXPECT_TRUE(remember(reported, "TimeZone", "CET"));
  ASSERT_NE(look_up(reported, "TimeZone"), nullptr);
  EXPECT_EQ(*look_up(reported, "TimeZone"), "CET");
  EXPECT_EQ(look_up(reported, "timezone"), nullptr);
  EXPECT_EQ(reported.size(), 2u);
}

TEST(Profile, TellsEachClientWhatItDoesNotKnow) {
  Profile profile;
  profile.learn({{"TimeZone", "UTC"}, {"DateStyle", "ISO"}});
  EXPECT_TRUE(profile.known);
  const auto first = profile.version;
  EXPECT_EQ(profile.since(first), Settings{});
  profile.learn({{"TimeZone", "UTC"}, {"DateStyle", "ISO"}});
  EXPECT_EQ(profile.version, first);
  profile.learn({{"TimeZone", "CET"}, {"DateStyle", "ISO"}, {"in_hot_standby", "off"}});
  const auto second = profile.version;
  profile.learn({{"TimeZone", "CET"}, {"DateStyle", "SQL"}, {"in_hot_standby", "off"}});
  EXPECT_EQ(profile.since(first),
            (Settings{{"TimeZone", "CET"}, {"DateStyle", "SQL"}, {"in_hot_standby", "off"}}));
  EXPECT_EQ(profile.since(second), (Settings{{"DateStyle", "SQL"}}));
  EXPECT_EQ(profile.reported,
            (Settings{{"TimeZone", "CET"}, {"DateStyle", "SQL"}, {"in_hot_standby", "off"}}));
}

TEST(Agrees, OverlooksOnlyWhatTheChangeTouches) {
  const Settings told = {{"TimeZone", "UTC"}, {"application_name", "b"}};
  EXPECT_TRUE(agrees(told, told, {}, {}));
  EXPECT_TRUE(agrees(told, {{"application_name", "b"}, {"TimeZone", "UTC"}}, {}, {}));
  const Settings now = {{"TimeZone", "UTC"}, {"application_name", "a"}};
  EXPECT_FALSE(agrees(told, now, {}, {}));
  EXPECT_TRUE(agrees(told, now, {{"application_name", "a"}}, {{"application_name", "b"}}));
  EXPECT_TRUE(agrees(told, now, {}, {{"application_name", "b"}}));
  EXPECT_FALSE(agrees(told, now, {{"application_name", "b"}}, {{"application_name", "b"}}));
  EXPECT_TRUE(
      agrees(told, {{"TimeZone", "CET"}, {"application_name", "b"}}, {{"timezone", "CET"}}, {}));
  EXPECT_FALSE(agrees(told, {{"TimeZone", "CET"}, {"application_name", "b"}}, {}, {}));
  EXPECT_FALSE(
      agrees(told, {{"TimeZone", "UTC"}, {"application_name", "b"}, {"new", "x"}}, {}, {}));
}

}  // namespace
}  // namespace pgw::relay

#include "config/policies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

using namespace pgw;
using namespace pgw::config;

TEST(Policies, EveryServerStaysByDefaultButForSequences) {
  EXPECT_EQ(policies_of(Settings{}), (Policies{0, 0, Pins{} | Pin::sequence}));
}

TEST(Policies, EachReasonHasItsSetting) {
  std::set<std::string_view> seen;
  for (const PinKind& kind : pin_kinds()) {
    if (kind.pin == Pin::unknown) continue;  // nothing is known, so nothing can be done about it
    const Row* row = find_row(kind.setting);
    ASSERT_TRUE(row) << kind.word;
    EXPECT_TRUE(seen.insert(row->name).second) << row->name;
    EXPECT_EQ(row->scopes, GLOBAL | DATABASE | USER | APP) << row->name;
    Settings settings;
    ASSERT_TRUE(set_text(*row, settings, "warn"));
    EXPECT_EQ(policies_of(settings).warn, Pins{} | kind.pin);
    ASSERT_TRUE(set_text(*row, settings, "error"));
    EXPECT_EQ(policies_of(settings).error, Pins{} | kind.pin);
    ASSERT_TRUE(set_text(*row, settings, "ignore"));
    EXPECT_TRUE(has(policies_of(settings).ignore, kind.pin));
    ASSERT_TRUE(set_text(*row, settings, "pin"));
    const Policies none = policies_of(settings);
    EXPECT_FALSE(has(none.warn, kind.pin) || has(none.error, kind.pin) ||
                 has(none.ignore, kind.pin));
  }
  const auto named = [](const Row& row) { return row.name.starts_with("on_"); };
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(std::ranges::count_if(rows(), named)));
}

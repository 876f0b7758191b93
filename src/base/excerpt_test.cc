#include "base/excerpt.h"

#include <gtest/gtest.h>

using pgw::excerpt;

TEST(Excerpt, IsTheWholeTextWhereThatIsShort) {
  EXPECT_EQ(excerpt("", 5), "");
  EXPECT_EQ(excerpt("abcde", 5), "abcde");
  EXPECT_EQ(excerpt("abcdef", 5), "abcde...");
  EXPECT_EQ(excerpt("a", 0), "...");
}

TEST(Excerpt, IsOneLine) {
  EXPECT_EQ(excerpt("\n  create\ttemp\r\n\n table t ()  ", 100), "create temp table t ()");
  EXPECT_EQ(excerpt(std::string_view("a\0b\x7f\x1b[1m", 8), 100), "a b [1m");
  EXPECT_EQ(excerpt("ab   ", 2), "ab");
  EXPECT_EQ(excerpt("ab c", 3), "ab...");  // no space at the end
}

TEST(Excerpt, IsNeverCutInsideACharacter) {
  const std::string text = "a\u00e9\u20ac\U0001f600z";  // of 1, 2, 3, 4 and 1 bytes
  EXPECT_EQ(excerpt(text, 11), text);
  EXPECT_EQ(excerpt(text, 10), "a\u00e9\u20ac\U0001f600...");
  for (const std::size_t most : {9u, 8u, 7u, 6u})
    EXPECT_EQ(excerpt(text, most), "a\u00e9\u20ac...");
  for (const std::size_t most : {5u, 4u, 3u}) EXPECT_EQ(excerpt(text, most), "a\u00e9...");
  for (const std::size_t most : {2u, 1u}) EXPECT_EQ(excerpt(text, most), "a...");
}

TEST(Excerpt, ShowsWhatIsNotUtf8AsQuestionMarks) {
  EXPECT_EQ(excerpt("na\xefve", 100), "na?ve");
  EXPECT_EQ(excerpt("\xc3", 100), "?");                 // cut off
  EXPECT_EQ(excerpt("\xc0\xaf", 100), "??");            // overlong
  EXPECT_EQ(excerpt("\xed\xa0\x80", 100), "???");       // a surrogate
  EXPECT_EQ(excerpt("\xf4\x90\x80\x80", 100), "????");  // beyond Unicode
  EXPECT_EQ(excerpt("\xe2\x82z", 100), "??z");
  EXPECT_EQ(excerpt("\x80\xff", 1), "?...");
}

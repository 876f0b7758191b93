#include "relay/suspects.h"

#include <gtest/gtest.h>

namespace pgw::relay {
namespace {

constexpr Marks kLeaves = static_cast<Marks>(Mark::leaves);
constexpr Marks kFrees = static_cast<Marks>(Mark::frees);

TEST(Suspects, NothingIsNamed) {
  const Suspects none(1);
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.marks_in("select f()"), 0);
}

TEST(Suspects, Named) {
  Suspects names(1);
  names.add("f", kLeaves);
  names.add("keep_it", kLeaves);
  names.add("MyFunc", kLeaves);
  names.add("my func", kLeaves);
  names.add("a\"b", kLeaves);
  names.add("pay$me", kLeaves);
  names.add("9lives", kLeaves);
  names.add(std::string(63, 'x'), kLeaves);
  for (const std::string& text :
       {std::string("select f()"), std::string("SELECT F ( )"), std::string("f"),
        std::string("select 1f()"), std::string("select public.keep_it(1)"),
        std::string("insert into Keep_It values (1)"), std::string("select \"MyFunc\"()"),
        std::string("select myfunc()"), std::string("select \"my func\"()"),
        std::string("select \"a\"\"b\"()"), std::string("select pay$me()"),
        std::string("select $$x$$f()"), std::string("select \"9lives\"()"),
        std::string("select U&\"\\0066\"()"), std::string("select u&\"x\""),
        std::string("/*f*/select 1"), std::string("select 'f'"), std::string(63, 'X'),
        std::string(80, 'x')})
    EXPECT_EQ(names.marks_in(text), kLeaves) << text;
  for (const char* text :
       {"", "select 1", "select ff()", "select keep_its, fkeep_it, keep", "select \"x\"",
        "select funcs from my_t", "select t\xc3\xa9", "select 9", "select u & \"x\""})
    EXPECT_EQ(names.marks_in(text), 0) << text;
}

TEST(Suspects, MarksOfAllThatIsNamed) {
  Suspects names(1);
  names.add("f", kLeaves);
  names.add("g", kFrees);
  names.add("h", Mark::leaves | Mark::opaque);
  names.add("nothing", 0);
  EXPECT_EQ(names.count(), 3u);
  EXPECT_EQ(names.marks_in("select f(), g()"), Mark::leaves | Mark::frees);
  EXPECT_EQ(names.marks_in("select g()"), kFrees);
  EXPECT_EQ(names.marks_in("select U&\"x\""), names.all());
  EXPECT_EQ(names.marks_in("select nothing"), 0);
}

// The client's encoding may be another than the one in which the name is known.
TEST(Suspects, NamesBeyondAscii) {
  Suspects names(1);
  names.add("\xc3\xa4ndern", kLeaves);
  EXPECT_EQ(names.marks_in("select \xe4ndern()"), kLeaves);
  EXPECT_EQ(names.marks_in("select '\xc3\xa9'"), kLeaves);
  EXPECT_EQ(names.marks_in("select ndern()"), 0);
}

TEST(Suspects, NamesWithoutAWord) {
  Suspects names(1);
  names.add("1", kLeaves);
  EXPECT_EQ(names.marks_in("select \"1\"()"), kLeaves);
  EXPECT_EQ(names.marks_in("select 1"), 0);
}

}  // namespace
}  // namespace pgw::relay

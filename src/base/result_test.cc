#include "base/result.h"

#include <gtest/gtest.h>

#include "base/list.h"

namespace pgw {
namespace {

struct Node {
  int value;
  ListHook hook;
};

// Every failure has a SQLSTATE of five characters: drivers read exactly that many.
TEST(Result, SqlstatesAreFiveCharacters) {
  for (int i = 0; i <= static_cast<int>(Code::internal); ++i)
    EXPECT_EQ(sqlstate(static_cast<Code>(i)).size(), 5u) << i;
}

TEST(List, KeepsOrderAndForgetsTheDead) {
  List<Node, &Node::hook> list;
  Node a{1, {}}, c{3, {}};
  {
    Node b{2, {}};
    list.push_back(a);
    list.push_back(b);
    list.push_back(c);
    EXPECT_EQ(list.after(a), &b);
  }
  EXPECT_EQ(list.after(a), &c);
  EXPECT_EQ(list.pop_front(), &a);
  EXPECT_EQ(list.front(), &c);
  c.hook.unlink();
  EXPECT_TRUE(list.empty());
}

// Pushing what is there already moves it, also when it is the last one.
TEST(List, MovesWhatIsThereAlready) {
  List<Node, &Node::hook> list;
  Node a{1, {}}, b{2, {}};
  list.push_back(a);
  list.push_back(b);
  list.push_back(b);
  list.push_back(a);
  EXPECT_EQ(list.pop_front(), &b);
  EXPECT_EQ(list.pop_front(), &a);
  EXPECT_TRUE(list.empty());
}

}  // namespace
}  // namespace pgw

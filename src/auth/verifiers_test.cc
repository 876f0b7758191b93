#include "auth/verifiers.h"

#include <gtest/gtest.h>

namespace pgw::auth {
namespace {

const Key kSecret = sha256("process");

Verifiers make(const Userlist& users, const Verifiers* before, std::size_t work_expected) {
  Verifiers out;
  auto work = Verifiers::needed(users, kSecret, before, out);
  EXPECT_EQ(work.size(), work_expected);
  for (auto& one : work) {
    one.run();
    out.add(std::move(one));
  }
  return out;
}

TEST(Verifiers, AreMadeOfPlainPasswordsOnce) {
  const auto md5 = "md5" + std::string(32, '0');
  const auto users = *Userlist::of({{"a", "one"}, {"b", "two"}, {"c", md5}, {"empty", ""}});
  const auto first = make(users, nullptr, 3);
  EXPECT_EQ(first.size(), 3u);
  ASSERT_NE(first.find("a"), nullptr);
  EXPECT_EQ(*first.find("a"),
            verifier_of(derive("one", {user_salt("a", kSecret), kScramIterationsDefault})));
  EXPECT_EQ(first.find("c"), nullptr);
  EXPECT_EQ(first.find("nobody"), nullptr);
  EXPECT_TRUE(first.find("empty")->mock);
  const auto changed = *Userlist::of({{"a", "one"}, {"b", "other"}});
  const auto second = make(changed, &first, 1);
  EXPECT_EQ(second.size(), 2u);
  EXPECT_EQ(*second.find("a"), *first.find("a"));
  EXPECT_NE(*second.find("b"), *first.find("b"));
}

// A user who exists and one who does not are asked alike.
TEST(Verifiers, LookLikeAMock) {
  const auto all = make(*Userlist::of({{"a", "one"}}), nullptr, 1);
  EXPECT_EQ(all.find("a")->challenge, mock_verifier("a", kSecret).challenge);
}

}  // namespace
}  // namespace pgw::auth

#include "auth/userlist.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

namespace pgw::auth {
namespace {

constexpr Key kProcess = {9};
constexpr std::string_view kMd5 = "md58f17e819085d894388eec1c90d19409b";

std::string text_of(std::string_view file, std::string_view user) {
  const auto list = parse_userlist(file, "users.txt");
  if (!list) return "error: " + list.error().what();
  const Secret* secret = list->find(user);
  return secret ? secret->text() : "none";
}

std::string error_of(std::string_view file) {
  const auto list = parse_userlist(file, "users.txt");
  if (list) return "none";
  EXPECT_EQ(list.error().code(), Code::configuration);
  EXPECT_FALSE(list.error().hint().empty());
  return list.error().what();
}

TEST(ParseUserlist, OrdinaryLines) {
  constexpr std::string_view kFile = "\"a\" \"one\"\n\"b\"\t\t\"two\"\n\"c\" \"three\"\n";
  EXPECT_EQ(text_of(kFile, "a"), "one");
  EXPECT_EQ(text_of(kFile, "b"), "two");
  EXPECT_EQ(text_of(kFile, "z"), "none");
  EXPECT_EQ(text_of(kFile, ""), "none");
}

TEST(ParseUserlist, NothingIsAnEmptyList) {
  for (const char* file : {"", "\n", "\r\n\r\n", " \t", "; all\n;comments", "\xef\xbb\xbf"}) {
    const auto list = parse_userlist(file, "users.txt");
    ASSERT_TRUE(list) << file;
    EXPECT_EQ(list->size(), 0u);
  }
}

TEST(ParseUserlist, BlanksCommentsAndLineEnds) {
  EXPECT_EQ(text_of("  \"a\" \"1\"  ", "a"), "1");
  EXPECT_EQ(text_of("; \"a\" \"0\"\n  ;x\n\n\"a\" \"1\"", "a"), "1");
  EXPECT_EQ(text_of("\"a\" \"1\"\r\n\"b\" \"2\"\r\n", "b"), "2");
  EXPECT_EQ(text_of("\xef\xbb\xbf\"a\" \"1\"", "a"), "1");
  // PgBouncer ignores what follows: old files had more columns.
  EXPECT_EQ(text_of("\"a\" \"1\" \"\" \"x\"\n\"b\" \"2\" ; note\n", "a"), "1");
  EXPECT_EQ(text_of("\"a\" \"1\" \"\" \"x\"\n\"b\" \"2\" ; note\n", "b"), "2");
}

TEST(ParseUserlist, DoubledQuotes) {
  EXPECT_EQ(text_of(R"("a""b" "c""d""")", "a\"b"), "c\"d\"");
  EXPECT_EQ(text_of(R"("""" """")", "\""), "\"");
  EXPECT_EQ(text_of(R"("a" "")", "a"), "");
  EXPECT_EQ(text_of(R"("a;b" ";")", "a;b"), ";");
  EXPECT_EQ(text_of(R"("a" "b\")", "a"), "b\\");
  EXPECT_EQ(text_of("\"\xc3\xa9\" \"\xc3\xbc\"", "\xc3\xa9"), "\xc3\xbc");
}

TEST(ParseUserlist, LaterLinesCount) { EXPECT_EQ(text_of("\"a\" \"1\"\n\"a\" \"2\"", "a"), "2"); }

TEST(ParseUserlist, ErrorsSayWhere) {
  EXPECT_TRUE(error_of("\"a\" \"1\"\nb c\n").starts_with("users.txt:2: expected a user name"));
  EXPECT_TRUE(error_of("; x\n\n\"a\"\n").starts_with("users.txt:3: expected the secret of \"a\""));
  EXPECT_TRUE(error_of("\"a\" b").starts_with("users.txt:1: expected the secret"));
  EXPECT_TRUE(error_of("\"a").starts_with("users.txt:1: expected a user name"));
  EXPECT_TRUE(error_of("\"a\" \"b\n\"").starts_with("users.txt:1: expected the secret"));
  EXPECT_TRUE(error_of("\"\" \"b\"").starts_with("users.txt:1: the user name is empty"));
  EXPECT_TRUE(error_of("# x").starts_with("users.txt:1: expected a user name"));
  EXPECT_TRUE(error_of("\"a\" \"SCRAM-SHA-256$x\"")
                  .starts_with("users.txt:1: the secret of \"a\": a SCRAM secret"));
  EXPECT_NE(error_of(std::string("\"a\0b\" \"c\"", 9)), "none");
  EXPECT_NE(error_of(std::string("\"a\" \"c\0\"", 8)), "none");
}

// No error shows the secret: it ends up in a log.
TEST(ParseUserlist, ErrorsKeepSecrets) {
  EXPECT_FALSE(error_of("\"a\" \"hunter2").contains("hunter2"));
  EXPECT_FALSE(error_of("\"a\" \"SCRAM-SHA-256$4096:hunter2\"").contains("hunter2"));
  EXPECT_FALSE(error_of("\"a\" \"SCRAM-SHA-256$hunter2:aaaa$b:c\"").contains("hunter2"));
}

TEST(ParseUserlist, EveryPrefixEndsCleanly) {
  constexpr std::string_view kFile = "; c\n\"a\"\"b\" \"x\"\"y\" z\n\"c\" \"d\"\n";
  for (std::size_t n = 0; n <= kFile.size(); ++n) {
    const auto list = parse_userlist(kFile.substr(0, n), "f");
    if (!list) EXPECT_TRUE(list.error().what().starts_with("f:")) << n;
  }
}

TEST(Userlist, OfPairs) {
  const auto list = Userlist::of({{"b", "2"}, {"a", std::string(kMd5)}, {"b", "3"}});
  ASSERT_TRUE(list);
  EXPECT_EQ(list->size(), 2u);
  EXPECT_EQ(list->find("b")->text(), "3");
  EXPECT_EQ(list->find("a")->kind(), Secret::Kind::md5);
  const auto broken = Userlist::of({{"b", "SCRAM-SHA-256$"}});
  ASSERT_FALSE(broken);
  EXPECT_TRUE(broken.error().what().contains("\"b\""));
}

TEST(Userlist, MockIsOfTheCommonKind) {
  EXPECT_EQ(Userlist().mock("x", kProcess).kind(), Secret::Kind::scram);
  const std::string md5(kMd5);
  const auto list = Userlist::of({{"a", md5}, {"b", md5}, {"c", "plain"}});
  EXPECT_EQ(list->mock("x", kProcess).kind(), Secret::Kind::md5);
  const ScramVerifier verifier = mock_verifier("a", kProcess, 600'000);
  const auto scram = Userlist::of({{"a", to_text(verifier)}});
  const Secret mock = scram->mock("x", kProcess);
  ASSERT_TRUE(mock.scram());
  EXPECT_EQ(mock.scram()->challenge.iterations, 600'000u);
}

TEST(LoadUserlist, FromAFile) {
  const std::string path = testing::TempDir() + "/pgweir_userlist_test.txt";
  std::ofstream(path) << "\"a\" \"1\"\nbad\n";
  const auto broken = load_userlist(path);
  ASSERT_FALSE(broken);
  EXPECT_TRUE(broken.error().what().starts_with(path + ":2: "));
  std::ofstream(path) << "\"a\" \"1\"\n";
  const auto list = load_userlist(path);
  ASSERT_TRUE(list);
  EXPECT_EQ(list->find("a")->text(), "1");
  std::remove(path.c_str());
  EXPECT_FALSE(load_userlist(path));
  EXPECT_FALSE(load_userlist(testing::TempDir()));  // a folder
}

}  // namespace
}  // namespace pgw::auth

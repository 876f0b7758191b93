#include "wire/read.h"

#include <gtest/gtest.h>

namespace pgw::wire {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string packet(std::uint32_t code, std::string_view rest) {
  std::string out(8, '\0');
  put_u32(out.data(), static_cast<std::uint32_t>(8 + rest.size()));
  put_u32(out.data() + 4, code);
  return out.append(rest);
}

constexpr std::uint32_t kVersion3 = 3 << 16;

TEST(Reader, TakesFieldsInOrder) {
  Reader in("ab\0\x01\x02\x03\x04\x05\x06zrest"sv);
  EXPECT_EQ(in.text(), "ab");
  EXPECT_EQ(in.u32(), 0x01020304u);
  EXPECT_EQ(in.u16(), 0x0506);
  EXPECT_EQ(in.byte(), 'z');
  EXPECT_EQ(in.take(1), "r");
  EXPECT_EQ(in.rest(), "est");
  EXPECT_FALSE(in.done());
  EXPECT_EQ(in.take(3), "est");
  EXPECT_TRUE(in.done());
  EXPECT_EQ(in.take(0), "");
  EXPECT_TRUE(in.done());
}

TEST(Reader, OnceSomethingIsMissingItStaysSo) {
  const auto spoilt = [](auto take) {
    Reader in("abc");
    take(in);
    EXPECT_FALSE(in.ok());
    EXPECT_FALSE(in.done());
    EXPECT_EQ(in.rest(), "");
    EXPECT_EQ(in.byte(), 0);
    EXPECT_EQ(in.u16(), 0);
    EXPECT_EQ(in.u32(), 0u);
    EXPECT_EQ(in.take(0), "");
    EXPECT_EQ(in.text(), "");
    EXPECT_FALSE(in.ok());
  };
  spoilt([](Reader& in) { EXPECT_EQ(in.text(), ""); });
  spoilt([](Reader& in) { EXPECT_EQ(in.u32(), 0u); });
  spoilt([](Reader& in) { EXPECT_EQ(in.take(4), ""); });
  spoilt([](Reader& in) {
    in.u16();
    EXPECT_TRUE(in.ok());
    EXPECT_EQ(in.u16(), 0);
  });
}

TEST(ReadParse, GivesNameTextAndRawTypes) {
  const auto got = read_parse("s1\0select $1\0\0\2\0\0\0\x17\0\0\0\x19"sv);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->name, "s1");
  EXPECT_EQ(got->text, "select $1");
  EXPECT_EQ(got->types, "\0\2\0\0\0\x17\0\0\0\x19"sv);
  const auto least = read_parse("\0\0\0\0"sv);
  ASSERT_TRUE(least);
  EXPECT_EQ(least->types, "\0\0"sv);
}

TEST(ReadParse, FailsOnEveryPrefixAndOnMore) {
  const auto whole = "s1\0select\0\0\2\0\0\0\x17\0\0\0\x19"s;
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto got = read_parse(Bytes(whole).substr(0, n));
    ASSERT_FALSE(got) << n;
    EXPECT_EQ(got.error().code(), Code::protocol);
  }
  EXPECT_TRUE(read_parse(whole));
  EXPECT_FALSE(read_parse(whole + 'x'));
  EXPECT_FALSE(read_parse("a\0b\0\xff\xff\0\0\0\0"sv));  // more types than bytes
}

TEST(ReadBindFront, NeedsBothNamesAndNothingElse) {
  const auto whole = "portal\0st\0the rest"s;
  for (std::size_t n = 0; n <= whole.size(); ++n) {
    const auto got = read_bind_front(Bytes(whole).substr(0, n));
    ASSERT_EQ(got.has_value(), n >= 10) << n;
    if (!got) continue;
    EXPECT_EQ(got->portal, "portal");
    EXPECT_EQ(got->statement, "st");
    EXPECT_EQ(got->bytes, 10u);
  }
  const auto unnamed = read_bind_front("\0\0"sv);
  ASSERT_TRUE(unnamed);
  EXPECT_EQ(unnamed->bytes, 2u);
}

TEST(ReadTarget, StatementOrPortal) {
  for (const char kind : {'S', 'P'}) {
    const auto body = kind + "name\0"s;
    const auto got = read_target(body);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->kind, kind);
    EXPECT_EQ(got->name, "name");
  }
  ASSERT_TRUE(read_target("S\0"sv));
  for (const Bytes bad : {""sv, "S"sv, "Sname"sv, "Sname\0x"sv, "s\0"sv, "\0\0"sv, "\xff\0"sv})
    EXPECT_FALSE(read_target(bad)) << bad;
  EXPECT_EQ(read_target("\xff\0"sv).error().what(),
            "invalid subtype 255 of a Describe or Close message");
}

TEST(ReadQuery, OneTextWithItsNul) {
  EXPECT_EQ(*read_query("select 1\0"sv), "select 1");
  EXPECT_EQ(*read_query("\0"sv), "");
  for (const Bytes bad : {""sv, "select 1"sv, "select\0 1"sv, "a\0b\0"sv, "\0\0"sv})
    EXPECT_FALSE(read_query(bad)) << bad;
}

TEST(ReadParameter, NameAndValue) {
  const auto got = read_parameter("TimeZone\0UTC\0"sv);
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, std::pair("TimeZone"sv, "UTC"sv));
  EXPECT_TRUE(read_parameter("\0\0"sv));
  for (const Bytes bad : {""sv, "a"sv, "a\0"sv, "a\0b"sv, "a\0b\0c"sv, "a\0b\0\0"sv})
    EXPECT_FALSE(read_parameter(bad)) << bad;
}

TEST(ReadNotification, PidChannelAndPayload) {
  const auto got = read_notification("\0\0\1\2news\0late\0"sv);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->pid, 258u);
  EXPECT_EQ(got->channel, "news");
  EXPECT_EQ(got->payload, "late");
  EXPECT_TRUE(read_notification("\0\0\0\0a\0\0"sv));
  for (const Bytes bad : {""sv, "\0\0\0"sv, "\0\0\0\0"sv, "\0\0\0\0a"sv, "\0\0\0\0a\0"sv,
                          "\0\0\0\0a\0b"sv, "\0\0\0\0a\0b\0c"sv})
    EXPECT_FALSE(read_notification(bad)) << bad.size();
}

TEST(ReadFields, TakesWhatItKnows) {
  const auto got = read_fields("SERROR\0C42601\0Mwrong\0Dmore\0Hdo\0P7\0Rscanner\0\0"sv);
  EXPECT_EQ(got.severity, "ERROR");
  EXPECT_EQ(got.sqlstate, "42601");
  EXPECT_EQ(got.message, "wrong");
  EXPECT_EQ(got.detail, "more");
  EXPECT_EQ(got.hint, "do");
  EXPECT_EQ(got.routine, "scanner");
  EXPECT_EQ(read_fields("\0"sv).message, "");
}

// S is in the server's language, V never is; either may come first.
TEST(ReadFields, SeverityIsTheOneThatIsNotTranslated) {
  EXPECT_EQ(read_fields("SFEHLER\0VERROR\0\0"sv).severity, "ERROR");
  EXPECT_EQ(read_fields("VERROR\0SFEHLER\0\0"sv).severity, "ERROR");
  EXPECT_EQ(read_fields("SFEHLER\0\0"sv).severity, "FEHLER");
}

// What is cut off counts as absent; what follows the end is not looked at.
TEST(ReadFields, ReadsEveryPrefixWithoutInventing) {
  const auto whole = "SERROR\0C42601\0Mwrong\0\0"s;
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto got = read_fields(Bytes(whole).substr(0, n));
    EXPECT_EQ(got.severity, n >= 7 ? "ERROR" : "") << n;
    EXPECT_EQ(got.sqlstate, n >= 14 ? "42601" : "") << n;
    EXPECT_EQ(got.message, n >= 21 ? "wrong" : "") << n;
  }
  EXPECT_EQ(read_fields("Ma\0\0Mb\0\0"sv).message, "a");
}

TEST(ReadStartup, Parameters) {
  const auto got = read_startup(packet(kVersion3, "user\0me\0database\0\0\0"sv));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->code, kVersion3);
  EXPECT_EQ(got->parameters, (Pairs{{"user", "me"}, {"database", ""}}));
  EXPECT_EQ(read_startup(packet(kVersion3 | 2, "\0"sv))->code, kVersion3 | 2);
  EXPECT_TRUE(read_startup(packet(kVersion3, "\0"sv))->parameters.empty());
}

TEST(ReadStartup, FailsOnEveryPrefixWhateverItsLengthSays) {
  const auto body = "user\0me\0a\0b\0\0"s;
  const auto whole = packet(kVersion3, body);
  ASSERT_TRUE(read_startup(whole));
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(read_startup(Bytes(whole).substr(0, n))) << n;
  for (std::size_t n = 0; n < body.size(); ++n)
    EXPECT_FALSE(read_startup(packet(kVersion3, Bytes(body).substr(0, n)))) << n;
  EXPECT_FALSE(read_startup(packet(kVersion3, body + 'x')));
  EXPECT_FALSE(read_startup(whole + 'x'));
}

TEST(ReadStartup, OnlyVersion3) {
  for (const std::uint32_t code : {0u, 2u << 16, 4u << 16, 0xffffffffu}) {
    const auto got = read_startup(packet(code, "\0"sv));
    ASSERT_FALSE(got) << code;
    EXPECT_EQ(got.error().code(), Code::unsupported);
  }
  EXPECT_EQ(read_startup(packet(2u << 16 | 7, "\0"sv)).error().what(),
            "unsupported frontend protocol 2.7: server supports 3.0");
}

TEST(ReadStartup, EncryptionRequestsAreEightBytes) {
  for (const auto code : {kTlsCode, kGssCode}) {
    EXPECT_EQ(read_startup(packet(code, ""))->code, code);
    EXPECT_FALSE(read_startup(packet(code, "x")));
  }
}

// Keys are 4 bytes in protocol 3.0, and from 4 to 256 since 3.2.
TEST(ReadStartup, CancelKeys) {
  for (const std::size_t bytes : std::initializer_list<std::size_t>{0, 3, 4, 5, 32, 256, 257}) {
    const std::string key(bytes, 'k');
    const auto whole = packet(kCancelCode, "\x01\x02\x03\x04" + key);
    const auto got = read_startup(whole);
    ASSERT_EQ(got.has_value(), bytes >= 4 && bytes <= 256) << bytes;
    if (!got) continue;
    EXPECT_EQ(got->cancel_pid, 0x01020304u);
    EXPECT_EQ(got->cancel_key, key);
  }
  EXPECT_FALSE(read_startup(packet(kCancelCode, "\x01\x02\x03")));
}

TEST(ReadOptions, TheThreeSpellings) {
  const auto got = read_options("-c a=1 -cb=2  --c-d-e=f-g ");
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, (Pairs{{"a", "1"}, {"b", "2"}, {"c_d_e", "f-g"}}));
  EXPECT_TRUE(read_options("")->empty());
  EXPECT_TRUE(read_options(" \t\n\r\v\f")->empty());
  EXPECT_EQ(*read_options("--a=b=c"), (Pairs{{"a", "b=c"}}));
  EXPECT_EQ(*read_options("--a="), (Pairs{{"a", ""}}));
}

TEST(ReadOptions, BackslashTakesTheNextCharacterAsItIs) {
  EXPECT_EQ(*read_options("-c a=x\\ y"), (Pairs{{"a", "x y"}}));
  EXPECT_EQ(*read_options("-c a=x\\\\ --b=\\n"), (Pairs{{"a", "x\\"}, {"b", "n"}}));
  EXPECT_EQ(*read_options("-c a=\\ "), (Pairs{{"a", " "}}));
  // pg_split_opts drops one that has nothing behind it.
  EXPECT_EQ(*read_options("-c a=x\\"), (Pairs{{"a", "x"}}));
}

TEST(ReadOptions, RefusesWhatItWouldHaveToGuess) {
  for (const char* bad :
       {"-c", "-c a", "-c =1", "--", "--a", "--=1", "-d 5", "a=1", "-ca", "x", "-c a=1 -c", "\\"}) {
    const auto got = read_options(bad);
    ASSERT_FALSE(got) << bad;
    EXPECT_EQ(got.error().code(), Code::invalid_value);
  }
}

}  // namespace
}  // namespace pgw::wire

#include "wire/write.h"

#include <gtest/gtest.h>

#include "wire/frame.h"
#include "wire/read.h"

namespace pgw::wire {
namespace {

using namespace std::string_view_literals;

// What a writer appends, behind something that is there already and must stay.
template <class... Args>
std::string written(void (*writer)(std::string&, Args...), std::type_identity_t<Args>... args) {
  std::string out = "before";
  writer(out, args...);
  EXPECT_TRUE(out.starts_with("before"));
  return out.substr(6);
}

TEST(Message, LengthCountsItselfAndTheBody) {
  std::string out = "x";
  {
    Message(out, 'a');
  }
  EXPECT_EQ(out, "xa\0\0\0\4"sv);
  Message(out, 'b').text("t").raw("r").byte('c').u32(0x01020304).u16(0x0506);
  EXPECT_EQ(out, "xa\0\0\0\4b\0\0\0\x0et\0rc\1\2\3\4\5\6"sv);
  out.clear();
  {
    Message(out, 'c').raw(std::string(0x10000, 'x'));
  }
  EXPECT_EQ(out.substr(0, 5), "c\0\1\0\4"sv);
}

TEST(Write, ToAClient) {
  EXPECT_EQ(written(write_ready, 'T'), "Z\0\0\0\5T"sv);
  EXPECT_EQ(written(write_parameter, "a", "bc"),
            "S\0\0\0\x09"
            "a\0bc\0"sv);
  EXPECT_EQ(written(write_key, 258, 0xfffefdfcu), "K\0\0\0\x0c\0\0\1\2\xff\xfe\xfd\xfc"sv);
  EXPECT_EQ(written(write_auth, kAuthOk, ""), "R\0\0\0\x08\0\0\0\0"sv);
  EXPECT_EQ(written(write_auth, kAuthMd5, "salt"), "R\0\0\0\x0c\0\0\0\5salt"sv);
  EXPECT_EQ(written(write_negotiate, 1, {"_pq_.a", "_pq_.b"}),
            "v\0\0\0\x1a\0\3\0\1\0\0\0\2_pq_.a\0_pq_.b\0"sv);
  EXPECT_EQ(written(write_negotiate, 0, {}), "v\0\0\0\x0c\0\3\0\0\0\0\0\0"sv);
}

TEST(Write, ToAServer) {
  EXPECT_EQ(written(write_query, "abc"),
            "Q\0\0\0\x08"
            "abc\0"sv);
  EXPECT_EQ(written(write_parse, "n", "t", "\0\0"sv), "P\0\0\0\x0an\0t\0\0\0"sv);
  EXPECT_EQ(written(write_close, 'S', "n"), "C\0\0\0\7Sn\0"sv);
  EXPECT_EQ(written(write_describe, 'P', ""), "D\0\0\0\6P\0"sv);
  EXPECT_EQ(written(write_execute, "p"), "E\0\0\0\x0ap\0\0\0\0\0"sv);
  EXPECT_EQ(written(write_sync), "S\0\0\0\4"sv);
  EXPECT_EQ(written(write_flush), "H\0\0\0\4"sv);
  EXPECT_EQ(written(write_copy_fail, "no"), "f\0\0\0\7no\0"sv);
  EXPECT_EQ(written(write_terminate), "X\0\0\0\4"sv);
  EXPECT_EQ(written(write_password, "pw"), "p\0\0\0\7pw\0"sv);
  EXPECT_EQ(written(write_sasl, "xy"), "p\0\0\0\6xy"sv);
  EXPECT_EQ(written(write_sasl_initial, "M", "xyz"), "p\0\0\0\x0dM\0\0\0\0\3xyz"sv);
}

// What is written for a message that is not ours to hold must announce what is still to come.
TEST(WriteBindFront, AnnouncesTheRest) {
  for (const std::size_t rest : std::initializer_list<std::size_t>{0, 6, 70'000}) {
    const auto out = written(write_bind_front, "po", "st", rest);
    Header header;
    ASSERT_EQ(peek_header(out, 100'000, header), Peek::header);
    EXPECT_EQ(header.tag, 'B');
    EXPECT_EQ(header.body_bytes, 6 + rest);
    EXPECT_EQ(out.substr(kHeaderBytes), "po\0st\0"sv);
    const auto front = read_bind_front(Bytes(out).substr(kHeaderBytes));
    ASSERT_TRUE(front);
    EXPECT_EQ(front->portal, "po");
    EXPECT_EQ(front->statement, "st");
  }
}

TEST(WriteStartup, IsReadBackAsItWas) {
  for (const auto& parameters : {std::vector<std::pair<std::string, std::string>>{},
                                 {{"user", "me"}, {"database", "shop"}, {"empty", ""}}}) {
    const auto out = written(write_startup, parameters);
    const auto got = read_startup(out);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->code, 3u << 16);
    EXPECT_EQ(got->parameters, parameters);
  }
}

TEST(WriteCancel, IsReadBackAsItWas) {
  for (const std::size_t bytes : std::initializer_list<std::size_t>{4, 32, 256}) {
    const std::string key(bytes, 'k');
    const auto got_bytes = written(write_cancel, 0xfedcba98u, key);
    const auto got = read_startup(got_bytes);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->code, kCancelCode);
    EXPECT_EQ(got->cancel_pid, 0xfedcba98u);
    EXPECT_EQ(got->cancel_key, key);
  }
}

TEST(WriteError, FieldsAsPostgresqlOrdersThem) {
  std::string out;
  write_error(out, Severity::fatal, "28000", "no", "hint", "detail");
  EXPECT_EQ(out.substr(5), "SFATAL\0VFATAL\0C28000\0Mno\0Ddetail\0Hhint\0\0"sv);
  EXPECT_EQ(out[0], 'E');
  EXPECT_EQ(get_u32(out.data() + 1), out.size() - 1);
  out.clear();
  write_error(out, Severity::error, "22023", "no");
  EXPECT_EQ(out.substr(5), "SERROR\0VERROR\0C22023\0Mno\0\0"sv);
  out.clear();
  write_error(out, Severity::notice, "00000", "well");
  EXPECT_EQ(out[0], 'N');
  EXPECT_EQ(read_fields(Bytes(out).substr(5)).severity, "NOTICE");
}

TEST(WriteError, AnErrorCarriesItsStateAndHint) {
  std::string out;
  write_error(out, Severity::error, Error(Code::invalid_value, "bad").with_hint("better"));
  auto fields = read_fields(Bytes(out).substr(5));
  EXPECT_EQ(fields.sqlstate, "22023");
  EXPECT_EQ(fields.message, "bad");
  EXPECT_EQ(fields.hint, "better");
  out.clear();
  write_error(out, Severity::error, Error(Code::invalid_value, "bad").with_state("42P01"));
  fields = read_fields(Bytes(out).substr(5));
  EXPECT_EQ(fields.sqlstate, "42P01");
  EXPECT_EQ(fields.hint, "");
}

}  // namespace
}  // namespace pgw::wire

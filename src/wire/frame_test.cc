#include "wire/frame.h"

#include <gtest/gtest.h>

namespace pgw::wire {
namespace {

std::string head(char tag, std::uint32_t length) {
  std::string out(5, tag);
  put_u32(out.data() + 1, length);
  return out;
}

Peek peek(std::uint32_t length, std::uint32_t body_bytes_max) {
  Header header;
  return peek_header(head('D', length), body_bytes_max, header);
}

// A header may arrive one byte at a time; every prefix must ask for more, never guess.
TEST(PeekHeader, AsksForMoreOnEveryPrefix) {
  for (const std::uint32_t length : {0u, 4u, 5u, 0xffffffffu}) {
    const auto whole = head('S', length);
    for (std::size_t n = 0; n < whole.size(); ++n) {
      Header header{'?', 77};
      EXPECT_EQ(peek_header(Bytes(whole).substr(0, n), 100, header), Peek::need_more) << n;
      EXPECT_EQ(header.tag, '?');
      EXPECT_EQ(header.body_bytes, 77u);
    }
  }
}

TEST(PeekHeader, GivesTagAndBodyWhateverFollows) {
  for (const std::string_view rest : {"", "x", "body and more"}) {
    Header header;
    EXPECT_EQ(peek_header(head('Q', 0x0102) + std::string(rest), 1000, header), Peek::header);
    EXPECT_EQ(header.tag, 'Q');
    EXPECT_EQ(header.body_bytes, 0x0102u - 4);
  }
}

TEST(PeekHeader, LengthCountsItself) {
  for (const std::uint32_t length : {0u, 1u, 2u, 3u}) EXPECT_EQ(peek(length, 100), Peek::broken);
  EXPECT_EQ(peek(4, 100), Peek::header);
  EXPECT_EQ(peek(4, 0), Peek::header);
  EXPECT_EQ(peek(5, 0), Peek::broken);
}

TEST(PeekHeader, LimitIsTheLargestBodyAllowed) {
  EXPECT_EQ(peek(4 + 99, 100), Peek::header);
  EXPECT_EQ(peek(4 + 100, 100), Peek::header);
  EXPECT_EQ(peek(4 + 101, 100), Peek::broken);
  EXPECT_EQ(peek(0x7fffffff, 0x7fffffff - 4), Peek::header);
  EXPECT_EQ(peek(0x80000000, 0x7fffffff - 4), Peek::broken);
  EXPECT_EQ(peek(0xffffffff, 0x7fffffff - 4), Peek::broken);
}

TEST(BrokenHeader, TellsWhichMessageAndWhy) {
  const auto text = [](char tag, std::uint32_t length) {
    const auto error = broken_header(head(tag, length), 100);
    EXPECT_EQ(error.code(), Code::protocol);
    return error.what();
  };
  EXPECT_EQ(text('Q', 3), "message 'Q' has length 3: at least 4 is needed");
  EXPECT_EQ(text('Q', 105), "message 'Q' of 101 bytes is over the limit of 100 bytes");
  EXPECT_EQ(text('Q', 0x7fffffff),
            "message 'Q' of 2147483643 bytes is over the limit of 100 bytes");
  EXPECT_EQ(text('Q', 0x80000000), "message 'Q' has a negative length");
  // Bytes that do not print must not reach a log as they are.
  EXPECT_EQ(text('\x1f', 0), "message 0x1f has length 0: at least 4 is needed");
  EXPECT_EQ(text(' ', 0), "message ' ' has length 0: at least 4 is needed");
  EXPECT_EQ(text('~', 0), "message '~' has length 0: at least 4 is needed");
  EXPECT_EQ(text('\x7f', 0), "message 0x7f has length 0: at least 4 is needed");
  EXPECT_EQ(text('\xff', 0), "message 0xff has length 0: at least 4 is needed");
}

}  // namespace
}  // namespace pgw::wire

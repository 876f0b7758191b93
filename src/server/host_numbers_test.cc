#include "server/host_numbers.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace pgw::server {
namespace {

std::string row(std::initializer_list<std::string_view> fields) {
  const auto number = [](std::size_t n, int bytes) {
    std::string out;
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
      out += static_cast<char>((n >> shift) & 0xFF);
    return out;
  };
  std::string out = number(fields.size(), 2);
  for (const auto field : fields) out += number(field.size(), 4) + std::string(field);
  return out;
}

TEST(HostNumbers, TellsOwnConnectionsFromOthersByTheirProcesses) {
  HostAnswer answer({100, 101});
  for (const auto& one :
       {row({"setting", "max_connections", "60"}),
        row({"setting", "superuser_reserved_connections", "3"}),
        row({"setting", "reserved_connections", "2"}), row({"backend", "api", "100"}),
        row({"backend", "api", "102"}), row({"backend", "", "103"}), row({"backend", "api", "104"}),
        row({"backend", "mine", "105"})})
    EXPECT_TRUE(answer.take_row(one));
  // One of them has logged in while PostgreSQL looked.
  const auto numbers = answer.finish({101, 105}, Time(5s));
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->room(), 55u);
  EXPECT_EQ(numbers->own, 2u);
  EXPECT_EQ(numbers->others, 3u);
  EXPECT_EQ(numbers->by_app, (std::map<std::string, unsigned>{{"", 1}, {"api", 2}}));
  EXPECT_EQ(numbers->asked, Time(5s));
}

TEST(HostNumbers, WhatIsNotItsAnswerIsRefused) {
  HostAnswer answer({});
  EXPECT_FALSE(answer.take_row(""));
  EXPECT_FALSE(answer.take_row(row({"setting", "max_connections"})));
  EXPECT_FALSE(answer.take_row(row({"setting", "max_connections", "many"})));
  EXPECT_FALSE(answer.take_row(row({"setting", "max_connections", "99999999999"})));
  EXPECT_FALSE(answer.take_row(row({"other", "max_connections", "5"})));
  const std::string whole = row({"backend", "api", "100"});
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(answer.take_row(Bytes(whole).substr(0, n))) << n;
  EXPECT_FALSE(answer.finish({}, Time{}));
}

TEST(HostNumbers, ReservingMoreThanThereIsLeavesNothing) {
  HostNumbers numbers;
  numbers.max_connections = 3;
  numbers.superuser_reserved = 5;
  EXPECT_EQ(numbers.room(), 0u);
}

TEST(HostNumbers, ManyNamesAreBounded) {
  HostAnswer answer({});
  EXPECT_TRUE(answer.take_row(row({"setting", "max_connections", "1000"})));
  for (int i = 0; i < 500; ++i)
    EXPECT_TRUE(
        answer.take_row(row({"backend", "app" + std::to_string(i), std::to_string(i + 1)})));
  const auto numbers = answer.finish({}, Time{});
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->by_app.size(), 101u);
  EXPECT_EQ(numbers->by_app.at("(other)"), 400u);
}

}  // namespace
}  // namespace pgw::server

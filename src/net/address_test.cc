#include "net/address.h"

#include <gtest/gtest.h>

namespace pgw::net {
namespace {

using Kind = Address::Kind;

TEST(Address, AcceptsWhatIsDocumented) {
  const struct {
    const char* text;
    Address is;
    const char* prints;
  } cases[] = {
      {"127.0.0.1:5432", {Kind::ipv4, "127.0.0.1", 5432}, "127.0.0.1:5432"},
      {"[::1]:5432", {Kind::ipv6, "::1", 5432}, "[::1]:5432"},
      {"*:0", {Kind::ipv4, "0.0.0.0", 0}, "0.0.0.0:0"},
      {":65535", {Kind::ipv4, "0.0.0.0", 65535}, "0.0.0.0:65535"},
      {"localhost:1", {Kind::ipv4, "127.0.0.1", 1}, "127.0.0.1:1"},
      {"/run/x/.s.PGSQL.5432",
       {Kind::unix_path, "/run/x/.s.PGSQL.5432", 0},
       "/run/x/.s.PGSQL.5432"},
  };
  for (const auto& one : cases) {
    const auto got = parse_address(one.text);
    ASSERT_TRUE(got.has_value()) << one.text;
    EXPECT_EQ(*got, one.is) << one.text;
    EXPECT_EQ(got->text(), one.prints);
  }
}

TEST(Address, RefusesEverythingElse) {
  const std::string long_path = "/" + std::string(107, 'x');
  for (const std::string& text :
       {std::string(), std::string("5432"), std::string("host:5432"), std::string("127.0.0.1"),
        std::string("127.0.0.1:"), std::string("127.0.0.1:65536"), std::string("127.0.0.1:-1"),
        std::string("127.0.0.1:5x"), std::string("::1:5432"), std::string("[::1:5432"),
        std::string("[1.2.3.4]:1"), std::string("run/x"), long_path})
    EXPECT_FALSE(parse_address(text).has_value()) << text;
  EXPECT_TRUE(parse_address(long_path.substr(0, 107)).has_value());
}

}  // namespace
}  // namespace pgw::net

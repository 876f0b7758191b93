#include "config/url.h"

#include <gtest/gtest.h>

namespace pgw::config {
namespace {

struct Good {
  std::string_view url;
  std::string_view host;
  int port;
  std::string_view dbname;
  std::string_view user;
  std::optional<std::string> password;
};

// What libpq 15 makes of the same text; an absent part is the default, or the client's own.
TEST(Url, ReadsWhatLibpqReads) {
  const Good all[] = {
      {"postgresql://", "localhost", 5432, "", "", {}},
      {"postgres://", "localhost", 5432, "", "", {}},
      {"postgresql://h", "h", 5432, "", "", {}},
      {"postgresql://h:5433", "h", 5433, "", "", {}},
      {"postgresql://h:/d", "h", 5432, "d", "", {}},
      {"postgresql:///d", "localhost", 5432, "d", "", {}},
      {"postgresql://u@h", "h", 5432, "", "u", {}},
      {"postgresql://u@", "localhost", 5432, "", "u", {}},
      {"postgresql://@h", "h", 5432, "", "", {}},
      {"postgresql://u:p@h:1/d", "h", 1, "d", "u", "p"},
      {"postgresql://u:@h/d", "h", 5432, "d", "u", {}},
      {"postgresql://u:a:b@h/d", "h", 5432, "d", "u", "a:b"},
      {"postgresql://u%40x:p%3A%2f%25%40@h/d%20e", "h", 5432, "d e", "u@x", "p:/%@"},
      {"postgresql://postgres:secret@127.0.0.1:65535/shop", "127.0.0.1", 65535, "shop", "postgres",
       "secret"},
      {"postgresql://[::1]/d", "::1", 5432, "d", "", {}},
      {"postgresql://u:p@[2001:db8::7]:6000/d", "2001:db8::7", 6000, "d", "u", "p"},
      {"postgresql://%2Frun%2Fpostgresql/d", "/run/postgresql", 5432, "d", "", {}},
      {"postgresql://u@%2Frun%2Fpostgresql:5433/d", "/run/postgresql", 5433, "d", "u", {}},
      {"postgresql:///d?host=/run/postgresql&port=5433", "/run/postgresql", 5433, "d", "", {}},
      {"postgresql://?user=u&password=p&dbname=d&host=h", "h", 5432, "d", "u", "p"},
      {"postgresql://a/d?host=b", "b", 5432, "d", "", {}},
      {"postgresql://h/?hostaddr=10.0.0.1", "10.0.0.1", 5432, "", "", {}},
      {"postgresql://h/d?sslmode=disable", "h", 5432, "d", "", {}},
      {"postgresql://h/d?sslmode=allow", "h", 5432, "d", "", {}},
      {"postgresql://h/d?sslmode=prefer&target_session_attrs=any", "h", 5432, "d", "", {}},
      {"postgresql://h/d?", "h", 5432, "d", "", {}},
      {"postgresql://h?host=", "localhost", 5432, "", "", {}},
      {"postgresql://h/a/b", "h", 5432, "a/b", "", {}},
      {"postgresql:///d?user=a@b", "localhost", 5432, "d", "a@b", {}},
      {"postgresql://h/%C3%A9", "h", 5432, "\xC3\xA9", "", {}},
  };
  for (const Good& good : all) {
    const auto url = parse_url(good.url);
    ASSERT_TRUE(url) << good.url << ": " << url.error().what();
    EXPECT_EQ(url->upstream.host, good.host) << good.url;
    EXPECT_EQ(url->upstream.port, good.port) << good.url;
    EXPECT_EQ(url->upstream.dbname, good.dbname) << good.url;
    EXPECT_EQ(url->upstream.user, good.user) << good.url;
    EXPECT_EQ(url->upstream.password, good.password) << good.url;
    EXPECT_TRUE(url->upstream.parameters.empty()) << good.url;
    EXPECT_FALSE(url->connect_timeout) << good.url;
  }
}

struct Bad {
  std::string_view url;
  std::string_view says;  // a piece of the error
};

TEST(Url, RefusesWhatItCannotDo) {
  const Bad all[] = {
      {"", "expected postgresql://"},
      {"host=h dbname=d", "expected postgresql://"},
      {"mysql://h/d", "expected postgresql://"},
      {"postgresql:/h", "expected postgresql://"},
      {"POSTGRESQL://h", "expected postgresql://"},
      {"postgresql://a,b/d", "several hosts"},
      {"postgresql://a:1,b:2/d", "several hosts"},
      {"postgresql:///d?host=a,b", "several hosts"},
      {"postgresql://[::1],[::2]/d", "several hosts"},
      {"postgresql://h/d?sslmode=require", "TLS to servers is not there yet"},
      {"postgresql://h/d?sslmode=verify-ca", "TLS to servers is not there yet"},
      {"postgresql://h/d?sslmode=verify-full", "TLS to servers is not there yet"},
      {"postgresql://h/d?sslmode=", "TLS to servers is not there yet"},
      {"postgresql://h/d?ssl=true", "TLS to servers is not there yet"},
      {"postgresql://h/d?sslrootcert=/x", "TLS to servers is not there yet"},
      {"postgresql://h/d?channel_binding=require", "TLS to servers is not there yet"},
      {"postgresql://h/d?gssencmode=require", "GSSAPI"},
      {"postgresql://h/d?target_session_attrs=read-write", "one host"},
      {"postgresql://h/d?service=x", "service files"},
      {"postgresql://h/d?sslmod=disable", "did you mean \"sslmode\"?"},
      {"postgresql://h/d?zzz=1", "unknown option \"zzz\""},
      {"postgresql://h/d?zzz", "expected name=value"},
      {"postgresql://h/d?user=a=b", "expected name=value"},
      {"postgresql://h/d?&", "expected name=value"},
      {"postgresql://h:0/d", "1 to 65535"},
      {"postgresql://h:65536/d", "1 to 65535"},
      {"postgresql://h:-1/d", "1 to 65535"},
      {"postgresql://h:5432x/d", "1 to 65535"},
      {"postgresql://h:99999999999999999999/d", "1 to 65535"},
      {"postgresql://[::1/d", "[::1]"},
      {"postgresql://[]/d", "[::1]"},
      {"postgresql://[::1]x/d", "after the ]"},
      {"postgresql://h/%", "hexadecimal"},
      {"postgresql://h/%4", "hexadecimal"},
      {"postgresql://h/%4g", "hexadecimal"},
      {"postgresql://h/a%00b", "%00"},
      {"postgresql://h/a b", "%20"},
      {"postgresql://h/a\nb", "%20"},
      {std::string_view("postgresql://h/a\0b", 18), "%20"},
      {"postgresql://run%2Fx/d", "starts with /"},
      {"postgresql://%40abstract/d", "abstract"},
      {"postgresql://h/d?connect_timeout=x", "an integer (seconds)"},
      {"postgresql://h/d?connect_timeout=10ms", "an integer (seconds)"},
      {"postgresql://h/d?connect_timeout=0", "from 10ms to 1h"},
      {"postgresql://h/d?connect_timeout=3601", "from 10ms to 1h"},
  };
  for (const Bad& bad : all) {
    const auto url = parse_url(bad.url);
    ASSERT_FALSE(url) << bad.url;
    EXPECT_NE(url.error().what().find(bad.says), std::string::npos)
        << bad.url << ": " << url.error().what();
  }
}

// A password that should have been encoded ends up in other parts; it must not end up in a log.
TEST(Url, DoesNotRepeatPasswords) {
  for (const std::string_view url :
       {"postgresql://u:hunter@dozen@h/d", "postgresql://u:hunter/dozen@h/d",
        "postgresql://u:hunter%dozen@h/d", "postgresql://u:hunter?dozen@h:x/d",
        "postgresql://u:hunter dozen@h/d", "postgresql://u:hunter@a,b/d"}) {
    const auto parsed = parse_url(url);
    ASSERT_FALSE(parsed) << url;
    EXPECT_EQ(parsed.error().what().find("hunter"), std::string::npos) << parsed.error().what();
    EXPECT_EQ(parsed.error().what().find("dozen"), std::string::npos) << parsed.error().what();
  }
}

TEST(Url, KeepsParametersForServers) {
  const auto url = parse_url(
      "postgresql://h/d?options=-c%20search_path%3Dx&application_name=a%26b&client_encoding=UTF8"
      "&connect_timeout=7");
  ASSERT_TRUE(url) << url.error().what();
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"application_name", "a&b"}, {"client_encoding", "UTF8"}, {"options", "-c search_path=x"}};
  EXPECT_EQ(url->upstream.parameters, expected);
  EXPECT_EQ(url->connect_timeout, 7s);
  const auto fallback = parse_url("postgresql://h/d?fallback_application_name=f");
  ASSERT_TRUE(fallback);
  ASSERT_EQ(fallback->upstream.parameters.size(), 1u);
  EXPECT_EQ(fallback->upstream.parameters[0].second, "f");
}

// Every prefix of a long URL, and every byte in every place, ends in a value or an error.
TEST(Url, SurvivesEveryPrefixAndByte) {
  const std::string whole =
      "postgresql://u%40:p%25@[::1]:5432/d%20?host=%2Frun&sslmode=disable&options=-c%20a%3Db";
  ASSERT_TRUE(parse_url(whole));
  for (std::size_t n = 0; n < whole.size(); ++n) (void)parse_url(whole.substr(0, n));
  for (std::size_t n = 0; n < whole.size(); ++n)
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = whole;
      changed[n] = static_cast<char>(byte);
      (void)parse_url(changed);
    }
}

}  // namespace
}  // namespace pgw::config

#include "auth/digest.h"

#include <gtest/gtest.h>

namespace pgw::auth {
namespace {

// RFC 4648 section 10.
TEST(Base64, Vectors) {
  const std::pair<std::string, std::string> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes) << text;
  }
}

TEST(Base64, EveryLengthAndByteComesBack) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) {
    EXPECT_EQ(from_base64(base64(bytes)), bytes);
    bytes += static_cast<char>(255 - i);
  }
}

TEST(Base64, RefusesAllThatNoEncoderMakes) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Z===", "Zm=v",
                           "Zg==Zg==", "Zm9v\n", "Zm 9", "Zm9-", "Zm9_", "Zh==", "Zm9=", "Zm8=="})
    EXPECT_FALSE(from_base64(text)) << text;
  EXPECT_FALSE(from_base64(std::string("Zm9\0", 4)));
}

TEST(Base64, AKeyHasThirtyTwoBytes) {
  EXPECT_TRUE(key_from_base64(base64(std::string(32, 'k'))));
  EXPECT_FALSE(key_from_base64(base64(std::string(31, 'k'))));
  EXPECT_FALSE(key_from_base64(base64(std::string(33, 'k'))));
}

// RFC 1321 appendix A.5; FIPS 180-2 appendix B.1; RFC 4231 test case 2.
TEST(Digest, Vectors) {
  EXPECT_EQ(md5_hex(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(md5_hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(base64(view(sha256("abc"))), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
  EXPECT_EQ(base64(view(hmac_sha256("Jefe", {"what do ya want ", "for nothing?"}))),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
}

TEST(Same, ComparesLengthAndBytes) {
  EXPECT_TRUE(same("", ""));
  EXPECT_TRUE(same("abc", "abc"));
  EXPECT_FALSE(same("abc", "abd"));
  EXPECT_FALSE(same("abc", "ab"));
}

}  // namespace
}  // namespace pgw::auth

#include "client/policies.h"

#include <gtest/gtest.h>

#include "wire/frame.h"
#include "wire/read.h"

using namespace pgw;
using namespace pgw::client;

namespace {

TEST(Policies, ARefusalNamesTheReasonAndItsSetting) {
  for (const PinKind& kind : pin_kinds()) {
    if (kind.setting.empty()) continue;
    const Error error = refusal_of(std::to_string(index_of(kind.pin)));
    EXPECT_EQ(error.state(), "0A000");
    EXPECT_TRUE(error.what().starts_with(kind.what)) << error.what();
    EXPECT_NE(error.what().find(kind.setting), std::string::npos) << error.what();
    EXPECT_NE(error.hint().find(kind.setting), std::string::npos) << error.hint();
  }
}

// The number comes back from a server, which may be anything.
TEST(Policies, ARefusalOfNothingKnownIsOneToo) {
  for (const char* number : {"", "x", "-1", "9", "99999999999999999999999"})
    EXPECT_EQ(refusal_of(number).state(), "0A000") << number;
}

TEST(Policies, AWarningIsOneMessageAndNamesTheStatement) {
  std::string out;
  write_warning(out, Pin::listen, "listen x", false);
  const auto known = wire::read_fields(Bytes(out).substr(wire::kHeaderBytes));
  EXPECT_EQ(out[0], 'N');
  EXPECT_EQ(known.severity, "WARNING");
  EXPECT_EQ(known.sqlstate, "01000");
  EXPECT_EQ(known.message,
            "a server connection stays with this client alone because of LISTEN: listen x");
  out.clear();
  write_warning(out, Pin::lock, {}, true);
  const auto hidden = wire::read_fields(Bytes(out).substr(wire::kHeaderBytes));
  EXPECT_EQ(hidden.message,
            "a server connection stays with this client alone because of session advisory locks");
  EXPECT_NE(hidden.hint.find("on_lock is \"error\""), Bytes::npos);
}

}  // namespace

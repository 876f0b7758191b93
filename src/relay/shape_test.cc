#include "relay/shape.h"

#include <gtest/gtest.h>

#include <string>

using pgw::Bytes;
using pgw::relay::shape_of;

namespace {

std::string number(std::uint32_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

std::string column(const std::string& name, std::uint32_t type, std::uint32_t modifier = ~0u,
                   std::uint32_t table = 16384, std::uint32_t place = 1) {
  return name + '\0' + number(table, 4) + number(place, 2) + number(type, 4) + number(4, 2) +
         number(modifier, 4) + number(0, 2);
}

const std::string kNone = number(0, 2);

}  // namespace

TEST(Shape, DiffersByWhatAClientReliesOn) {
  const auto one = shape_of(kNone, number(1, 2) + column("a", 23));
  EXPECT_NE(one, 0u);
  EXPECT_NE(one, shape_of(kNone, number(1, 2) + column("b", 23)));
  EXPECT_NE(one, shape_of(kNone, number(1, 2) + column("a", 25)));
  EXPECT_NE(one, shape_of(kNone, number(1, 2) + column("a", 23, 7)));
  EXPECT_NE(one, shape_of(kNone, number(2, 2) + column("a", 23) + column("b", 23)));
  EXPECT_NE(one, shape_of(kNone, {}));
  EXPECT_NE(one, shape_of(number(1, 2) + number(23, 4), number(1, 2) + column("a", 23)));
}

TEST(Shape, IsTheSameForAnotherTableWithTheSameColumns) {
  EXPECT_EQ(shape_of(kNone, number(1, 2) + column("a", 23)),
            shape_of(kNone, number(1, 2) + column("a", 23, ~0u, 16999, 5)));
}

TEST(Shape, OfBrokenBodiesIsUnknown) {
  const std::string whole = number(1, 2) + column("a", 23);
  for (std::size_t n = 1; n < whole.size(); ++n)
    EXPECT_EQ(shape_of(kNone, Bytes(whole).substr(0, n)), 0u) << n;
  EXPECT_EQ(shape_of(kNone, whole + "x"), 0u);
}

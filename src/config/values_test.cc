#include "config/values.h"

#include <gtest/gtest.h>

#include "config/address.h"
#include "config/names.h"

namespace pgw::config {
namespace {

TEST(Span, HasUnits) {
  const std::pair<std::string_view, Span> all[] = {
      {"30s", 30s}, {"5m", 5min},   {"5min", 5min}, {"100ms", 100ms}, {"1h", 1h},
      {"2d", 48h},  {"10us", 10us}, {"7", 7s},      {"0", 0s},        {"30 s", 30s}};
  for (const auto& [text, span] : all) {
    const auto parsed = parse_span(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, span) << text;
  }
  for (const std::string_view text :
       {"", "s", "-1s", "+1s", "1.5s", "30x", "30S", "5M", "1h30m", "30s ", " 30s", "1e3s"})
    EXPECT_FALSE(parse_span(text)) << text;
}

TEST(Size, HasUnits) {
  const std::pair<std::string_view, Size> all[] = {
      {"65536", 65536},   {"64kB", 65536},   {"64KB", 65536},  {"16KiB", 16384},
      {"64MB", 67108864}, {"1GiB", 1 << 30}, {"1gb", 1 << 30}, {"1TB", 1ULL << 40},
      {"9B", 9},          {"0", 0}};
  for (const auto& [text, size] : all) {
    const auto parsed = parse_size(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, size) << text;
  }
  for (const std::string_view text : {"", "MB", "-1MB", "1.5MB", "1PB", "1M B"})
    EXPECT_FALSE(parse_size(text)) << text;
}

// A product that does not fit must not wrap around into the bounds of a setting.
TEST(Values, DoNotOverflow) {
  EXPECT_EQ(parse_span("9223372036854775807d")->count(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(*parse_size("17179869184GB"),
            static_cast<Size>(std::numeric_limits<std::int64_t>::max()));
  EXPECT_FALSE(parse_span("99999999999999999999s"));
  Settings settings;
  EXPECT_FALSE(set_text(*find_row("pool_timeout"), settings, "213503982335d"));
  EXPECT_FALSE(set_number(*find_row("pool_timeout"), settings, std::int64_t{18446744073710}));
  EXPECT_FALSE(set_number(*find_row("pool_size"), settings, (std::int64_t{1} << 32) + 1));
  EXPECT_EQ(settings, Settings{});
}

TEST(Values, PrintAsTheyAreRead) {
  for (const Span span : {Span{0}, Span{1}, Span{1'500}, Span{90s}, Span{10min}, Span{8760h}})
    EXPECT_EQ(*parse_span(span_text(span)), span) << span_text(span);
  EXPECT_EQ(span_text(90s), "90s");
  EXPECT_EQ(span_text(10min), "10m");
  for (const Size size : {Size{0}, Size{1}, Size{1024}, Size{1'073'741'823}, Size{1} << 36})
    EXPECT_EQ(*parse_size(size_text(size)), size) << size_text(size);
}

// Each default is within its bounds, and each bound is accepted and what is beyond is not.
TEST(Settings, RowsHoldTogether) {
  for (const Row& row : rows()) {
    Settings settings;
    const Settings defaults;
    std::string text = value_text(row, defaults);
    if (text.starts_with('"')) text = text.substr(1, text.size() - 2);
    EXPECT_TRUE(set_any(row, settings, text)) << row.name << " = " << text;
    EXPECT_TRUE(same(row, settings, defaults)) << row.name;
    EXPECT_FALSE(row.help.empty() || row.scopes == 0) << row.name;
    EXPECT_EQ(find_row(row.name), &row);
    if (row.kind == Kind::Text || row.kind == Kind::Address || row.kind == Kind::Flag) continue;
    const auto given = [&](std::uint64_t number) {
      return fmt::format("{}{}", number, row.kind == Kind::Span ? "us" : "");
    };
    EXPECT_TRUE(set_any(row, settings, given(row.least))) << row.name;
    EXPECT_TRUE(set_any(row, settings, given(row.most))) << row.name;
    EXPECT_FALSE(set_any(row, settings, given(row.most + 1))) << row.name;
    if (row.least > 0) EXPECT_FALSE(set_any(row, settings, given(row.least - 1))) << row.name;
    EXPECT_FALSE(set_any(row, settings, "-1")) << row.name;
    EXPECT_FALSE(set_any(row, settings, "")) << row.name;
  }
}

TEST(Settings, CountsHaveNoUnit) {
  Settings settings;
  EXPECT_FALSE(set_text(*find_row("pool_size"), settings, "10"));
  EXPECT_TRUE(set_any(*find_row("pool_size"), settings, "10"));
  EXPECT_EQ(settings.pool_size, 10u);
}

TEST(Settings, FlagsAreTrueOrFalse) {
  Settings settings;
  const Row& row = *find_row("log_connections");
  EXPECT_TRUE(set_text(row, settings, "false"));
  EXPECT_FALSE(settings.log_connections);
  for (const std::string_view wrong : {"", "yes", "TRUE", "1"})
    EXPECT_FALSE(set_any(row, settings, wrong)) << wrong;
  EXPECT_FALSE(set_number(row, settings, 1));
  EXPECT_EQ(expected(row), "true or false");
}

TEST(Address, IsMadeCanonical) {
  const std::pair<std::string_view, std::string_view> all[] = {
      {"127.0.0.1:5432", "127.0.0.1:5432"},
      {"[::1]:5432", "[::1]:5432"},
      {"*:5432", "*:5432"},
      {":5432", "*:5432"},
      {"0.0.0.0:5432", "*:5432"},
      {"localhost:5432", "127.0.0.1:5432"},
      {"6543", "127.0.0.1:6543"},
      {"10.0.0.7:0", "10.0.0.7:0"},
      {"[fe80::1%eth0]:1", "[fe80::1%eth0]:1"},
      {"/run/x/.s.PGSQL.5432", "/run/x/.s.PGSQL.5432"}};
  for (const auto& [text, canonical] : all) {
    const auto address = canonical_address(text);
    ASSERT_TRUE(address) << text << ": " << address.error().what();
    EXPECT_EQ(*address, canonical);
  }
  for (const std::string_view text :
       {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:5x",
        "256.0.0.1:1", "1.2.3:1", "1.2.3.4.5:1", "::1:5432", "[::1]", "[::1:5432", "[]:1", "[1]:1",
        "db.example.com:5432", "127.0.0.1 :1", "run/x.sock", "70000", "1.2..4:1"})
    EXPECT_FALSE(canonical_address(text)) << text;
  EXPECT_FALSE(canonical_address("/" + std::string(107, 'x')));
  EXPECT_TRUE(canonical_address("/" + std::string(106, 'x')));
  EXPECT_TRUE(is_local("127.0.0.1:1") && is_local("[::1]:1") && is_local("/run/x"));
  EXPECT_FALSE(is_local("*:1") || is_local("10.0.0.7:1") || is_local("[::]:1"));
}

TEST(Names, NearestIsWhatWasMeant) {
  const std::string_view known[] = {"pool_size", "pool_timeout", "max_overflow", "scram-sha-256"};
  EXPECT_EQ(nearest("pool_sise", known), "pool_size");
  EXPECT_EQ(nearest("poolsize", known), "pool_size");
  EXPECT_EQ(nearest("pool-size", known), "pool_size");
  EXPECT_EQ(nearest("POOL_SIZE", known), "pool_size");
  EXPECT_EQ(nearest("pool_tiemout", known), "pool_timeout");
  EXPECT_EQ(nearest("scram_sha_256", known), "scram-sha-256");
  EXPECT_EQ(nearest("colour", known), "");
  EXPECT_EQ(nearest("", known), "");
  EXPECT_EQ(nearest(std::string(100'000, 'x'), known), "");
}

}  // namespace
}  // namespace pgw::config

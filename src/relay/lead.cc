#include "relay/lead.h"

#include <algorithm>
#include <vector>

#include "wire/write.h"

namespace pgw::relay {
namespace {

constexpr std::size_t kAllAtOnce = 8;
constexpr std::uint64_t kScope = 0;  // of no profile
constexpr Bytes kNoTypes("\0\0", 2);
// The isolation level is given because the other client's default may be one that waits.
constexpr std::string_view kBegin = "BEGIN ISOLATION LEVEL READ COMMITTED";
constexpr std::string_view kCommit = "COMMIT";

bool fits(const Settings& settings) {
  return settings.size() <= kAllAtOnce && std::ranges::all_of(settings, [](const auto& one) {
           return one.first != "role" && one.first != "session_authorization" &&
                  std::ranges::all_of(one.second, [](char c) { return c >= 0 && c <= 0x7e; });
         });
}

void execute(std::string& out, std::string_view statement,
             const std::vector<std::string_view>& values) {
  std::size_t rest = 3 * sizeof(std::uint16_t);
  for (const auto value : values) rest += sizeof(std::uint32_t) + value.size();
  wire::write_bind_front(out, {}, statement, rest);
  const auto number = [&out](std::uint32_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
      out += static_cast<char>(value >> shift & 0xff);
  };
  number(0, 2);
  number(static_cast<std::uint32_t>(values.size()), 2);
  for (const auto value : values) {
    number(static_cast<std::uint32_t>(value.size()), 4);
    out += value;
  }
  number(0, 2);
  wire::write_execute(out, {});
}

}  // namespace

bool covers(const Settings& to, const Settings& from) {
  return std::ranges::includes(to, from, {}, &Settings::value_type::first,
                               &Settings::value_type::first);
}

std::optional<Lead> lead(Statements& statements, const Settings& from, const Settings& to) {
  if (!fits(from) || !fits(to)) return std::nullopt;
  std::string sets;
  std::vector<std::string_view> values;
  const auto set = [&](std::string_view name, const std::string& value) {
    sets += fmt::format("{}pg_catalog.set_config({},{},false)", sets.empty() ? "SELECT " : ",",
                        quoted(name), value);
  };
  for (const auto& [name, value] : from)
    if (!look_up(to, name)) set(name, "NULL");
  for (const auto& [name, value] : to) {
    values.push_back(value);
    set(name, fmt::format("${}", values.size()));
  }
  Lead out;
  const std::array<std::string_view, 3> texts{kBegin, sets, kCommit};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    out.statements[i] = statements.intern(kScope, texts[i], kNoTypes);
    execute(out.messages, out.statements[i]->server_name(),
            i == 1 ? values : std::vector<std::string_view>());
  }
  return out;
}

std::string plain_lead(std::string_view sql) {
  std::string out;
  for (const std::string_view text : {kBegin, sql, kCommit}) {
    wire::write_parse(out, {}, text, kNoTypes);
    execute(out, {}, {});
  }
  return out;
}

}  // namespace pgw::relay

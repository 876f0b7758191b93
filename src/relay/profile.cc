#include "relay/profile.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/bytes.h"
#include "wire/read.h"

namespace pgw::relay {
namespace {

constexpr std::size_t kSettingsMax = 100;

// Neither changes what a statement's text means. Sorted.
constexpr auto kNeutral = std::to_array<std::string_view>(
    {"application_name", "client_min_messages", "extra_float_digits",
     "idle_in_transaction_session_timeout", "idle_session_timeout", "lock_timeout",
     "statement_timeout", "work_mem"});

// Accepted by every server of one PostgreSQL once one has accepted it. Sorted.
constexpr auto kSafe = std::to_array<std::string_view>(
    {"application_name", "bytea_output", "client_encoding", "client_min_messages", "datestyle",
     "default_transaction_isolation", "default_transaction_read_only", "extra_float_digits",
     "idle_in_transaction_session_timeout", "idle_session_timeout", "intervalstyle", "lock_timeout",
     "search_path", "standard_conforming_strings", "statement_timeout", "timezone", "work_mem"});

// "30s", "500ms", "0"; not understood: 1, as if it were very short.
double milliseconds(std::string_view text) {
  double number = 1;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc{}) return 1;
  std::string_view unit(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  if (unit.empty() || unit == "ms") return number;
  if (unit == "s") return number * 1'000;
  return unit == "min" || unit == "h" || unit == "d" ? number * 60'000 : 1;
}

}  // namespace

std::string quoted(std::string_view value) {
  if (std::ranges::any_of(value, [](char c) { return static_cast<unsigned char>(c) > 0x7e; })) {
    std::string hex;
    for (const char c : value) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return fmt::format(
        "pg_catalog.convert_from(pg_catalog.decode('{}','hex'),pg_catalog.getdatabaseencoding())",
        hex);
  }
  std::string out = value.find('\\') == std::string_view::npos ? "'" : " E'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  return out += '\'';
}

void put(Settings& settings, std::string name, std::string_view value) {
  const auto at = std::ranges::lower_bound(settings, name, {}, &Settings::value_type::first);
  if (at != settings.end() && at->first == name) {
    at->second = value;
  } else {
    settings.emplace(at, std::move(name), value);
  }
}

Result<Settings> settings_of(const std::vector<std::pair<std::string, std::string>>& parameters) {
  Settings out;
  for (const auto& [name, value] : parameters) {
    if (name != "options") continue;
    PGW_TRY(inner, wire::read_options(value));
    for (const auto& [key, text] : inner) put(out, lowered(key), text);
  }
  for (const auto& [name, value] : parameters) {
    if (name == "user" || name == "database" || name == "replication" || name == "options" ||
        name.starts_with("_pq_."))
      continue;
    put(out, lowered(name), value);
  }
  if (out.size() > kSettingsMax)
    return fail(Code::invalid_value, "{} start-up parameters are more than the {} that are allowed",
                out.size(), kSettingsMax);
  return out;
}

bool all_safe(const Settings& settings) {
  return std::ranges::all_of(settings, [](const auto& one) {
    return std::ranges::binary_search(kSafe, std::string_view(one.first));
  });
}

bool keeps_meaning(std::string_view name) {
  // A plan made under another search_path, or by another role, PostgreSQL makes anew by itself.
  return std::ranges::binary_search(kNeutral, name) || name == "search_path" || name == "role" ||
         name.starts_with("enable_") || name.starts_with("log_") || name.ends_with("_cost") ||
         name.ends_with("_timeout") || name.ends_with("_mem") || name == "row_security" ||
         name == "synchronous_commit";
}

std::string meaning_key(const Settings& settings) {
  std::string out;
  for (const auto& [name, value] : settings) {
    if (std::ranges::binary_search(kNeutral, std::string_view(name))) continue;
    out.append(name).push_back('\0');
    out.append(value).push_back('\0');
  }
  return out;
}

// Who the session is: set last, and taken back first, because all else is done with the rights of
// who logged in. Another session_authorization takes the role back, too.
static std::string under_own_name(const Settings& from, const Settings& to, std::string sets) {
  std::string before;
  std::string after;
  bool differs = !sets.empty();
  for (const char* name : {"session_authorization", "role"}) {
    const auto* old = look_up(from, name);
    const auto* now = look_up(to, name);
    differs |= !old != !now || (old && *old != *now);
    if (old) before += fmt::format("pg_catalog.set_config('{}',NULL,false),", name);
    if (now) after += fmt::format(",pg_catalog.set_config('{}',{},false)", name, quoted(*now));
  }
  if (!differs) return {};
  std::string out = before + sets;
  if (sets.empty() && !before.empty()) out.pop_back();
  if (out.empty()) return after.empty() ? after : after.substr(1);
  return out + after;
}

std::string change(const Settings& from, const Settings& to) {
  std::string sets;
  std::string encoding;
  auto a = from.begin();
  auto b = to.begin();
  // set_config takes the value as a start-up packet does (SET would take a list for one name); null
  // is what RESET means.
  const auto set = [&](const std::string& name, const std::string* value) {
    if (name == "role" || name == "session_authorization") return;
    std::string& out = name == "client_encoding" ? encoding : sets;
    out += fmt::format("{}pg_catalog.set_config({},{},false)", out.empty() ? "" : ",", quoted(name),
                       value ? quoted(*value) : "NULL");
  };
  while (a != from.end() || b != to.end()) {
    if (b == to.end() || (a != from.end() && a->first < b->first)) {
      set(a->first, nullptr);
      ++a;
    } else if (a == from.end() || b->first < a->first) {
      set(b->first, &b->second);
      ++b;
    } else {
      if (a->second != b->second) set(b->first, &b->second);
      ++a;
      ++b;
    }
  }
  if (!encoding.empty()) sets += (sets.empty() ? "" : ",") + encoding;
  sets = under_own_name(from, to, std::move(sets));
  return sets.empty() ? sets : "SELECT " + sets;
}

std::string refill(const Settings& wanted) {
  std::string values;
  for (const auto& [name, value] : wanted)
    values += fmt::format("{}({},{})", values.empty() ? "" : ",", quoted(name), quoted(value));
  if (values.empty()) return values;
  // pg_settings has neither role nor custom settings.
  return fmt::format(
      "/* pgweir: refill */ SELECT pg_catalog.set_config(w.name, w.value, false)"
      " FROM (VALUES {}) w (name, value) LEFT JOIN pg_catalog.pg_settings s"
      " ON pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) w.name"
      " WHERE COALESCE(s.source OPERATOR(pg_catalog.<>) 'session',"
      " COALESCE(pg_catalog.current_setting(w.name, true), '')"
      " OPERATOR(pg_catalog.=) ANY (ARRAY['', 'none']))",
      values);
}

bool hasty(const Settings& settings) {
  return std::ranges::any_of(settings, [](const auto& one) {
    if (one.first != "statement_timeout" && one.first != "transaction_timeout") return false;
    const double ms = milliseconds(one.second);
    return ms > 0 && ms < 1'000;
  });
}

bool remember(Settings& reported, std::string_view name, std::string_view value) {
  for (auto& [key, old] : reported) {
    if (key != name) continue;
    if (old == value) return false;
    old = value;
    return true;
  }
  reported.emplace_back(name, value);
  return true;
}

const std::string* look_up(const Settings& reported, std::string_view name) {
  for (const auto& [key, value] : reported)
    if (key == name) return &value;
  return nullptr;
}

bool agrees(const Settings& told, const Settings& now, const Settings& from, const Settings& to) {
  return std::ranges::all_of(now, [&](const auto& one) {
    const auto place = static_cast<std::size_t>(&one - now.data());
    if (place < told.size() && told[place] == one) return true;  // nearly always
    const auto* value = look_up(told, one.first);
    if (value && *value == one.second) return true;
    const std::string name = lowered(one.first);
    const auto* before = look_up(from, name);
    const auto* after = look_up(to, name);
    return !before != !after || (before && *before != *after);
  });
}

void Profile::learn(const Settings& now) {
  known = true;
  if (reported == now) return;
  ++version;
  changed.resize(reported.size(), 1);
  for (const auto& [name, value] : now) {
    if (!remember(reported, name, value)) continue;
    changed.resize(reported.size(), version);
    const auto at = std::ranges::find(reported, name, &Settings::value_type::first);
    changed[static_cast<std::size_t>(at - reported.begin())] = version;
  }
}

Settings Profile::since(std::uint32_t told) const {
  Settings out;
  for (std::size_t i = 0; i < changed.size(); ++i)
    if (changed[i] > told) out.push_back(reported[i]);
  return out;
}

}  // namespace pgw::relay

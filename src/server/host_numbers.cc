#include "server/host_numbers.h"

#include <charconv>

#include "wire/read.h"

namespace pgw::server {

namespace {
constexpr std::size_t kAppsMost = 100;
constexpr std::size_t kAppNameMost = 64;  // as PostgreSQL's NAMEDATALEN
constexpr std::size_t kBackendsMost = 100'000;

// Each name is PostgreSQL's own, whatever search_path says. Backends without a user are its own
// (autovacuum); those whose type is shown and is another are so, too.
constexpr std::string_view kQuery =
    "/* pgweir: how many connections are there? */ "
    "SELECT 'setting', name, setting FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=)"
    " ANY (ARRAY['max_connections', 'superuser_reserved_connections', 'reserved_connections'])"
    " UNION ALL SELECT 'backend', application_name, pid::pg_catalog.text"
    " FROM pg_catalog.pg_stat_activity WHERE datid IS NOT NULL AND usesysid IS NOT NULL"
    " AND COALESCE(backend_type OPERATOR(pg_catalog.=) 'client backend', true)";

std::optional<unsigned> number(Bytes text) {
  unsigned out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return out;
}
}  // namespace

std::string_view host_query() { return kQuery; }

bool HostAnswer::take_row(Bytes row) {
  wire::Reader reader(row);
  if (reader.u16() != 3) return false;
  Bytes fields[3];
  for (Bytes& field : fields) {
    const auto length = reader.u32();
    if (length != ~0u) field = reader.take(length);  // else NULL
  }
  if (!reader.done()) return false;
  const auto& [kind, name, text] = fields;
  const auto value = number(text);
  if (!value) return false;
  if (kind == "backend") {
    if (backends_.size() >= kBackendsMost) return false;
    backends_.emplace(*value, name.substr(0, kAppNameMost));
    return true;
  }
  if (kind != "setting") return false;
  if (name == "max_connections")
    numbers_.max_connections = *value;
  else if (name == "superuser_reserved_connections")
    numbers_.superuser_reserved = *value;
  else if (name == "reserved_connections")
    numbers_.reserved = *value;
  return true;
}

std::optional<HostNumbers> HostAnswer::finish(const std::multiset<std::uint32_t>& own, Time now) {
  if (numbers_.max_connections == 0) return {};
  numbers_.asked = now;
  for (auto& [pid, app] : backends_) {
    if (own_.contains(pid) || own.contains(pid)) {
      ++numbers_.own;
      continue;
    }
    ++numbers_.others;
    const bool known = numbers_.by_app.size() < kAppsMost || numbers_.by_app.contains(app);
    ++numbers_.by_app[known ? std::move(app) : "(other)"];
  }
  return std::move(numbers_);
}

}  // namespace pgw::server

#include "config/zero.h"

#include "config/presets.h"
#include "config/url.h"

namespace pgw::config {

Result<SnapshotPtr> from_url(std::string_view url, std::string_view preset) {
  PGW_TRY(parsed, parse_url(url));
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->listen = default_listeners();
  Settings settings;
  if (!preset.empty()) settings.preset = preset;
  apply_preset(settings);
  if (parsed.connect_timeout) settings.connect_timeout = *parsed.connect_timeout;
  snapshot->settings = settings;
  const Upstream& upstream = parsed.upstream;
  if (!upstream.dbname.empty())
    snapshot->databases.try_emplace(upstream.dbname, Database{upstream.dbname, upstream, settings});
  Database any{"*", upstream, settings};
  any.upstream.dbname.clear();
  snapshot->databases.insert_or_assign("*", std::move(any));
  limit_hosts(*snapshot);
  if (!upstream.user.empty() && upstream.password) {
    snapshot->auth.method = AuthMethod::scram_sha_256;
    snapshot->auth.users.emplace_back(upstream.user, *upstream.password);
  }
  return snapshot;
}

}  // namespace pgw::config

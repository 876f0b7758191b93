#include "client/headcount.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace pgw::client {

namespace {

constexpr std::size_t kShownMost = 3;

// Of whom: "", " of app \"worker\"".
Error too_many(std::uint32_t most, const std::string& of, const std::string& who,
               const std::string& section) {
  return Error(Code::too_many_connections,
               fmt::format("sorry, too many clients already: {} of {}{}{}", most, most, of, who))
      .with_hint(fmt::format("The limit is max_clients{}.", section));
}

}  // namespace

std::optional<Error> Headcount::enter(const config::Snapshot& snapshot, const std::string& database,
                                      const std::string& user, const std::string& app) {
  const std::scoped_lock lock(mutex_);
  const auto full = [](const Counts& counts, const std::string& name, std::uint32_t most) {
    const auto found = counts.find(name);
    return found != counts.end() && found->second >= most;
  };
  const auto most = snapshot.settings.max_clients;
  if (all_ >= most) return too_many(most, "", holders(snapshot), "");
  if (const auto* found = snapshot.find(database);
      found && full(databases_, database, found->settings.max_clients))
    return too_many(found->settings.max_clients, fmt::format(" of database \"{}\"", database), "",
                    " in " + config::section_text("databases", found->name));
  if (const auto of_user = snapshot.max_clients_of(user); of_user && full(users_, user, *of_user))
    return too_many(*of_user, fmt::format(" of user \"{}\"", user), "",
                    " in " + snapshot.user_section(user));
  if (const auto of_app = snapshot.terms_of(app).clients; of_app && full(apps_, app, *of_app))
    return too_many(*of_app, fmt::format(" of app \"{}\"", app), "",
                    " in " + snapshot.app_section(app));
  ++all_;
  ++databases_[database];
  ++users_[user];
  ++apps_[app];
  return {};
}

void Headcount::leave(const std::string& database, const std::string& user,
                      const std::string& app) {
  const std::scoped_lock lock(mutex_);
  const auto less = [](Counts& counts, const std::string& name) {
    const auto found = counts.find(name);
    if (--found->second == 0) counts.erase(found);
  };
  --all_;
  less(databases_, database);
  less(users_, user);
  less(apps_, app);
}

// " (api 9, worker 6, ...)": the apps with most clients. Of other users a client is told only what
// the configuration has names for.
std::string Headcount::holders(const config::Snapshot& snapshot) const {
  std::vector<std::pair<std::uint32_t, std::string>> all;
  std::uint32_t others = all_;
  for (const auto& [app, overlay] : snapshot.apps) {
    const auto found = apps_.find(app);
    if (found == apps_.end() || app.empty()) continue;
    all.emplace_back(found->second, app);
    others -= found->second;
  }
  if (others > 0) all.emplace_back(others, "others");
  const auto shown = all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), kShownMost));
  std::ranges::partial_sort(all, shown, std::ranges::greater());
  std::string out;
  for (auto one = all.begin(); one != shown; ++one)
    out += fmt::format("{}{} {}", out.empty() ? " (" : ", ", one->second, one->first);
  return out + (shown != all.end() ? ", ...)" : ")");
}

}  // namespace pgw::client

// The scripted PostgreSQL's backend: settings (guc.c).
#include "backend.h"

namespace pgw::sim {

void Backend::unknown_setting(const std::string& name) {
  raise("42704", fmt::format("unrecognized configuration parameter \"{}\"", name));
}

// None: there is no such setting.
std::optional<std::string> Backend::value_of(const std::string& any_name) const {
  const std::string name = setting_name(any_name);
  for (const Values* values : {&local_, &session_, &initial_})
    if (const auto it = values->find(name); it != values->end()) return it->second;
  if (const Setting* setting = find_setting(name)) return setting->initial;
  if (placeholders_.contains(name)) return "";
  return std::nullopt;
}

void Backend::reset(const std::string& name) {
  session_.erase(name);
  local_.erase(name);
}

// All but the role, which no RESET ALL touches.
void Backend::reset_all() {
  const auto others = [](const auto& one) { return one.first != "role"; };
  std::erase_if(session_, others);
  std::erase_if(local_, others);
}

bool Backend::assign(const Assignment& one) {
  const std::string name = setting_name(one.name);
  if (name.empty()) return unknown_setting(one.name), false;
  if (is_custom(name)) placeholders_.insert(name);
  if (one.local) {
    const auto it = initial_.find(name);
    const Setting* setting = find_setting(name);
    local_[name] = one.value              ? *one.value
                   : it != initial_.end() ? it->second
                   : setting              ? setting->initial
                                          : "";
  } else {
    reset(name);
    if (one.value) session_[name] = *one.value;
  }
  return true;
}

void Backend::setting_statement(const Statement& s) {
  const auto done = [&](std::string_view tag) { put('C', Body().text(tag).take()); };
  if (s.kind == Kind::reset_all) {
    reset_all();
    return done("RESET");
  }
  if (s.kind == Kind::reset) {
    if (assign({s.name, std::nullopt})) done("RESET");
    return;
  }
  const bool local = s.kind == Kind::set_local;
  if (setting_name(s.name).empty()) return unknown_setting(s.name);
  if (local && block_ == 'I' && !several_)
    warn("25P01", "SET LOCAL can only be used in transaction blocks");
  if (assign({s.name, s.value, local})) done(s.kind == Kind::do_set ? "DO" : "SET");
}

}  // namespace pgw::sim

#include "server/watch.h"

#include <fmt/format.h>

#include "sql/normalise.h"

namespace pgw::server {

std::string Texts::shown(const Slot& slot) {
  std::string out =
      slot.statement ? sql::normalise(slot.statement->text()) : sql::normalise(slot.text, slot.cut);
  if (slot.count > 1) out += fmt::format(" (the last of {} sent together)", slot.count);
  return out;
}

std::string Texts::of(std::uint32_t group) const {
  const Slot& slot = slots_[group % slots_.size()];
  return slot.count > 0 && slot.group == group ? shown(slot) : std::string();
}

std::string Texts::last() const { return of(newest_); }

}  // namespace pgw::server

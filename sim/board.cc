#include "board.h"

#include <fmt/format.h>

#include <algorithm>

#include "link.h"

namespace pgw::sim {

void Board::sends(const std::string& database, const Statement& s) {
  if (s.kind != Kind::notify && s.kind != Kind::notify_call) return;
  Sent& one = sent_[s.token];
  one.database = database;
  one.channel = s.name;
  ++one.times;
}

void Board::queued(const std::string& database, const std::string& payload) {
  const auto it = sent_.find(payload);
  if (it != sent_.end() && it->second.database == database) it->second.place = ++places_;
}

void Board::uncertain(int client) {
  Member& member = members_[client];
  member.locks.clear();
  member.channels.clear();
  member.due.clear();
}

void Board::settled(int client, const std::string& database, Time now, const Model& model,
                    std::shared_ptr<const Link> link) {
  Member& member = members_[client];
  member.link = std::move(link);
  member.database = database;
  const auto take = [now](std::map<std::string, Time>& into, const std::set<std::string>& have) {
    std::erase_if(into, [&](const auto& one) { return !have.contains(one.first); });
    for (const std::string& name : have) into.try_emplace(name, now);
  };
  take(member.locks, model.locks());
  take(member.channels, model.listens());
}

void Board::gone(int client) { members_.erase(client); }

void Board::published(const std::string& database, const Model::Note& note, Time sent, Time now) {
  for (auto& [client, member] : members_) {
    const auto listens = member.channels.find(note.first);
    if (member.database != database || listens == member.channels.end()) continue;
    if (listens->second >= sent || member.heard.contains(note.second)) continue;
    member.due.try_emplace(note.second, now);
  }
}

std::optional<std::string> Board::heard(int client, const std::string& database,
                                        const std::string& channel, const std::string& payload) {
  const auto sent = sent_.find(payload);
  if (sent == sent_.end() || sent->second.database != database || sent->second.channel != channel)
    return fmt::format("a notification that nobody has sent: {}, {}", channel, payload);
  Member& member = members_[client];
  member.due.erase(payload);
  if (++member.heard[payload] > sent->second.times)
    return fmt::format("the notification {} came twice", payload);
  // What was sent twice has two places, and nobody knows which of them this is.
  if (sent->second.times > 1) return std::nullopt;
  if (sent->second.place < member.last)
    return fmt::format("the notification {} came behind one that was sent later", payload);
  member.last = sent->second.place;
  return std::nullopt;
}

std::optional<std::string> Board::locked(int client, const std::string& database,
                                         const std::string& key, Time sent) const {
  for (const auto& [other, member] : members_) {
    const auto it = member.locks.find(key);
    if (other == client || member.database != database || it == member.locks.end()) continue;
    // Its session has ended at the other end, and the locks with it; it only does not know yet.
    const Link::End& far = member.link->end(1);
    if (far.closed || far.closing || far.reset) continue;
    if (it->second < sent) return fmt::format("got lock {}, which c{} has", key, other);
  }
  return std::nullopt;
}

std::optional<Time> Board::owes(int client) const {
  const auto it = members_.find(client);
  if (it == members_.end() || it->second.due.empty()) return std::nullopt;
  return std::ranges::min_element(it->second.due, {}, [](const auto& one) { return one.second; })
      ->second;
}

}  // namespace pgw::sim

// The scripted PostgreSQL: what its sessions share, or tell each other.
#include <algorithm>

#include "backend.h"
#include "postgres.h"

namespace pgw::sim {

bool Postgres::lock(const Backend& backend, const std::string& key) {
  Lock& lock = locks_[{backend.database(), key}];
  if (lock.count > 0 && lock.pid != backend.pid()) return false;
  lock.pid = backend.pid();
  ++lock.count;
  return true;
}

bool Postgres::unlock(const Backend& backend, const std::string& key) {
  const auto it = locks_.find({backend.database(), key});
  if (it == locks_.end() || it->second.pid != backend.pid()) return false;
  if (--it->second.count > 0) return true;
  const auto freed_key = it->first;
  locks_.erase(it);
  freed(freed_key);
  return true;
}

void Postgres::unlock_all(const Backend& backend) {
  std::vector<std::pair<std::string, std::string>> keys;
  for (const auto& [key, lock] : locks_)
    if (lock.pid == backend.pid()) keys.push_back(key);
  for (const auto& key : keys) {
    locks_.erase(key);
    freed(key);
  }
}

std::map<std::string, unsigned> Postgres::locks_of(const Backend& backend) const {
  std::map<std::string, unsigned> out;
  for (const auto& [key, lock] : locks_)
    if (lock.pid == backend.pid()) out[key.second] = lock.count;
  return out;
}

// The first who waits gets it, a little later: who asks meanwhile is faster.
void Postgres::freed(const std::pair<std::string, std::string>& key) {
  loop_.ready([this, key] {
    for (const auto& [pid, backend] : backends_) {
      if (backend->database() != key.first || !backend->waits_for(key.second)) continue;
      if (lock(*backend, key.second)) backend->locked();
      return;
    }
  });
}

void Postgres::notify(const Backend& from, const std::string& channel, const std::string& payload) {
  if (queued) queued(from.database(), payload);
  for (const auto& [pid, backend] : backends_)
    if (backend->database() == from.database()) backend->notify(from.pid(), channel, payload);
}

}  // namespace pgw::sim

// The scripted PostgreSQL: what its sessions share, or tell each other.
#include <algorithm>

#include "backend.h"
#include "postgres.h"

namespace pgw::sim {

bool Postgres::lock(const Backend& backend, const std::string& key, bool here) {
  Lock& lock = locks_[{backend.database(), key}];
  if (lock.times() > 0 && lock.pid != backend.pid()) return false;
  lock.pid = backend.pid();
  ++(here ? lock.here : lock.count);
  return true;
}

bool Postgres::unlock(const Backend& backend, const std::string& key) {
  const auto it = locks_.find({backend.database(), key});
  if (it == locks_.end() || it->second.pid != backend.pid() || it->second.count == 0) return false;
  --it->second.count;
  free_what_nobody_has();
  return true;
}

void Postgres::unlock_all(const Backend& backend) {
  for (auto& [key, lock] : locks_)
    if (lock.pid == backend.pid()) lock.count = 0;
  free_what_nobody_has();
}

void Postgres::keep_here(const Backend& backend, const std::map<std::string, unsigned>& locks) {
  for (auto& [key, lock] : locks_) {
    if (lock.pid != backend.pid()) continue;
    const auto it = locks.find(key.second);
    lock.here = it == locks.end() ? 0 : it->second;
  }
  free_what_nobody_has();
}

std::map<std::string, unsigned> Postgres::locks_here(const Backend& backend) const {
  std::map<std::string, unsigned> out;
  for (const auto& [key, lock] : locks_)
    if (lock.pid == backend.pid() && lock.here > 0) out[key.second] = lock.here;
  return out;
}

void Postgres::free_what_nobody_has() {
  for (auto it = locks_.begin(); it != locks_.end();) {
    if (it->second.times() > 0) {
      ++it;
      continue;
    }
    freed(it->first);
    it = locks_.erase(it);
  }
}

std::map<std::string, unsigned> Postgres::locks_of(const Backend& backend) const {
  std::map<std::string, unsigned> out;
  for (const auto& [key, lock] : locks_)
    if (lock.pid == backend.pid()) out[key.second] = lock.times();
  return out;
}

// The first who waits gets it, a little later: who asks meanwhile is faster.
void Postgres::freed(const std::pair<std::string, std::string>& key) {
  loop_.ready([this, key] {
    for (const auto& [pid, backend] : backends_) {
      if (backend->database() != key.first || !backend->waits_for(key.second)) continue;
      if (lock(*backend, key.second, backend->waits_here())) backend->locked();
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

// What is known of the schemas of PostgreSQL's databases, over all pools and workers: DDL by the
// client of one pool concerns all pools that lead to the same database. Thread: any; found once by
// each pool, and written for DDL only.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace pgw::server {

struct Schema {
  std::atomic<std::uint64_t> changes{0};  // seen
  std::atomic<std::uint32_t> open{0};     // transactions that have changed it and may be undone
};

class Schemas {
 public:
  // `where`: host, port and name of the database.
  std::shared_ptr<Schema> of(const std::string& where) {
    const std::scoped_lock lock(mutex_);
    auto& slot = schemas_[where];
    auto schema = slot.lock();
    if (!schema) slot = schema = std::make_shared<Schema>();
    std::erase_if(schemas_, [](const auto& one) { return one.second.expired(); });
    return schema;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Schema>> schemas_;
};

}  // namespace pgw::server

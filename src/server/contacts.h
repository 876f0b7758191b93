// When pgweir last spoke with PostgreSQL, for each database of the configuration: what /health
// tells. Thread: any; touched when a server logs in, fails to, or is lost, never for a query.
#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/time.h"

namespace pgw::server {

class Contacts {
 public:
  struct Contact {
    std::optional<Time> success;  // of a login
    std::optional<Time> failure;  // of one; gone with the next success
    std::string reason;           // of the last failure
    bool lost = false;            // since the last success a server has ended by itself
    bool good() const { return success && !failure && !lost; }
  };

  void succeeded(const std::string& database, Time now) {
    const std::scoped_lock lock(mutex_);
    Contact& contact = contacts_[database];
    contact.success = now;
    contact.failure.reset();
    contact.lost = false;
  }
  // PostgreSQL has closed a server's connection. That may be a single one's affair.
  void lost(const std::string& database) {
    const std::scoped_lock lock(mutex_);
    contacts_[database].lost = true;
  }
  void failed(const std::string& database, Time now, const std::string& reason) {
    const std::scoped_lock lock(mutex_);
    Contact& contact = contacts_[database];
    contact.failure = now;
    contact.reason = reason;
  }
  std::map<std::string, Contact> all() const {
    const std::scoped_lock lock(mutex_);
    return contacts_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Contact> contacts_;
};

}  // namespace pgw::server

// The names that a worker's clients give to their statements, each text kept once: drivers number
// theirs, so thousands of clients have the same. Thread: each worker has its own table.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace pgw::client {

class NameTable {
 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  struct Use {
    NameTable* home;
    std::uint32_t refs = 0;
  };
  using Table = std::unordered_map<std::string, Use, Hash, std::equal_to<>>;

 public:
  // Shares a name; the last one to go frees it. The table outlives it.
  class Ref {
   public:
    Ref() = default;
    Ref(Ref&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
    Ref& operator=(Ref&& other) noexcept {
      std::swap(entry_, other.entry_);
      return *this;
    }
    ~Ref() {
      if (!entry_ || --entry_->second.refs > 0) return;
      Table& table = entry_->second.home->table_;
      table.erase(table.find(entry_->first));
    }
    const std::string& text() const { return entry_->first; }
    // The same for equal names of one table.
    const void* id() const { return entry_; }

   private:
    friend class NameTable;
    explicit Ref(Table::value_type* entry) : entry_(entry) { ++entry->second.refs; }
    Table::value_type* entry_ = nullptr;
  };

  NameTable() = default;
  NameTable(const NameTable&) = delete;
  NameTable& operator=(const NameTable&) = delete;

  Ref share(std::string_view text) {
    auto at = table_.find(text);
    if (at == table_.end()) at = table_.emplace(text, Use{this}).first;
    return Ref(&*at);
  }
  // Its Ref::id(), or null: nobody has it.
  const void* find(std::string_view text) const {
    const auto at = table_.find(text);
    return at == table_.end() ? nullptr : &*at;
  }
  std::size_t count() const { return table_.size(); }

 private:
  Table table_;
};

}  // namespace pgw::client

// The names under which one client has prepared statements, as PostgreSQL would know them at each
// point of the client's stream of messages: what was sent and not answered yet counts, within its
// own group of messages.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ring.h"
#include "relay/pipeline.h"
#include "relay/statements.h"

namespace pgw::client {

class Names {
 public:
  struct Value {
    relay::StatementRef statement;  // null: no statement has this name
    std::uint64_t token = 0;        // of an unnamed one: which of all unnamed statements it is
    std::uint64_t shape = 0;        // that the client was told (relay/shape.h); 0: none
    std::string deallocates;        // the statement is DEALLOCATE of this name
  };
  struct Look {
    bool unsure = false;           // replies to an earlier group decide
    const Value* value = nullptr;  // null: no such name
  };
  Look look(std::string_view name, std::uint32_t group) const;

  // A message that defines a name, or takes it away, was sent in `group`; settle() says what became
  // of it, in order.
  void define(std::string_view name, Value value, std::uint32_t group);
  void undefine(std::string_view name, std::uint32_t group) { define(name, {}, group); }
  void settle(relay::Fate fate);
  // The client was told the shape of what `name` stands for.
  void told(const std::string& name, const relay::StatementRef& statement, std::uint64_t shape);
  // DEALLOCATE ALL: the unnamed statement stays, and so does what is being sent.
  void forget_all() {
    std::erase_if(names_, [](const auto& one) { return !one.first.empty(); });
  }
  // It was found to be gone. Only with nothing under way.
  void lose(const std::string& name) { names_.erase(name); }
  // All that have a name, by it, as they will be when what was sent has been carried out.
  std::map<std::string, relay::StatementRef, std::less<>> named() const;
  void drop_unnamed() { names_.erase(std::string()); }

  bool empty() const { return names_.empty() && pending_.empty(); }
  // How many there will be when all that was sent has been carried out; without the unnamed one.
  std::size_t count() const;
  // The name of this statement; for error texts.
  const std::string* name_of(std::string_view server_name) const;

 private:
  struct Change {
    std::string name;
    Value value;
    std::uint32_t group;
    int more;  // names than before
  };
  bool will_exist(std::string_view name) const;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  std::unordered_map<std::string, Value, Hash, std::equal_to<>> names_;
  std::vector<Change> pending_;  // from first_ on
  std::size_t first_ = 0;
  long more_ = 0;  // names, by what is pending
};

}  // namespace pgw::client

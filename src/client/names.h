// The names under which one client has prepared statements, as PostgreSQL would know them at each
// point of the client's stream of messages: what was sent and not answered yet counts, within its
// own group of messages.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/name_table.h"
#include "relay/pipeline.h"
#include "relay/statements.h"

namespace pgw::client {

class Names {
 public:
  explicit Names(NameTable& table) : table_(&table) {}
  struct Value {
    relay::StatementRef statement;  // null: no statement has this name
    std::uint64_t token = 0;        // of an unnamed one: which of all unnamed statements it is
    std::uint64_t shape = 0;        // that the client was told (relay/shape.h); 0: none
    std::string deallocates;        // the statement is DEALLOCATE of this name
  };
  struct Look {
    bool unsure = false;         // replies to an earlier group decide
    std::optional<Value> value;  // none: no such name
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
  void forget_all();
  // It was found to be gone. Only with nothing under way.
  void lose(std::string_view name) { erase(table_->find(name)); }
  // All that have a name, by it, as they will be when what was sent has been carried out.
  std::map<std::string, relay::StatementRef, std::less<>> named() const;
  void drop_unnamed() { unnamed_.reset(); }

  bool empty() const { return entries_.empty() && !unnamed_ && pending_.empty(); }
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
  // A client may have a hundred of these, and there may be thousands of such clients.
  struct Entry {
    NameTable::Ref name;
    relay::StatementRef statement;
    std::uint64_t shape;
  };
  bool will_exist(std::string_view name) const;
  std::vector<Entry>::const_iterator place(const void* id) const;
  const Entry* find(std::string_view name) const;
  void erase(const void* id);
  void put(std::string name, Value value);

  NameTable* table_;
  std::vector<Entry> entries_;  // by NameTable::Ref::id()
  std::optional<Value> unnamed_;
  std::unique_ptr<std::map<std::string, std::string, std::less<>>>
      deallocators_;             // names whose statements are DEALLOCATE of another
  std::vector<Change> pending_;  // from first_ on
  std::size_t first_ = 0;
  long more_ = 0;  // names, by what is pending
};

}  // namespace pgw::client

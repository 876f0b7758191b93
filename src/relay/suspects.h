// The names of a database that make a text suspect: functions that leave something in the session
// without a word of it in the text that calls them, and the tables and views that call these. A
// text is suspect when one of its words, quoted or not, inside a string or not, could be such a
// name; a false alarm costs one question to PostgreSQL. Pure.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pgw::relay {

// What naming it may do. A set of these is a Marks.
enum class Mark : std::uint8_t {
  leaves = 1,     // it may leave what Server::inspect() finds
  opaque = 2,     // ... a custom setting, too, whose name nobody knows
  indelible = 4,  // ... which nothing takes away again
  sequences = 8,  // it reads the session's sequence values (currval, lastval)
  frees = 16,     // it may end something that was left before
  alters = 32,    // texts may have another meaning until the transaction's end
  lists = 64,     // it may show the statements that are prepared on its server
  channels = 128  // it may ask or change what the session listens to
};
using Marks = std::uint8_t;
constexpr Marks operator|(Mark a, Mark b) {
  return static_cast<Marks>(static_cast<Marks>(a) | static_cast<Marks>(b));
}
constexpr Marks operator|(Marks marks, Mark mark) {
  return static_cast<Marks>(marks | static_cast<Marks>(mark));
}
inline Marks& operator|=(Marks& marks, Mark mark) { return marks = marks | mark; }
constexpr bool has(Marks marks, Mark mark) { return (marks & static_cast<Marks>(mark)) != 0; }

// The words of a text as names are compared: letters, digits and '_' from a letter or '_' on, in
// lower case, no longer than PostgreSQL's names are. Quotes, dots and '$' part words.
class Words {
 public:
  static constexpr std::size_t kMost = 63;
  explicit Words(std::string_view text) : text_(text) {}
  // Empty: there are no more. What it gives is good until the next call.
  std::string_view next();
  bool odd() const { return odd_; }          // some byte so far was not ASCII
  bool quoted() const { return quoted_; }    // some byte so far was a '"'
  bool escaped() const { return escaped_; }  // U&"...": any name

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  bool odd_ = false;
  bool quoted_ = false;
  bool escaped_ = false;
  char word_[kMost];
};

std::uint32_t hash_of(std::string_view word);

// What a text that names `name` (as PostgreSQL keeps it) holds in any case: of its words the
// longest. kOdd: there are characters in it that are not ASCII; kQuoted: there is no word in it.
std::string key_of(std::string_view name);
inline constexpr std::string_view kOdd = "\x80";
inline constexpr std::string_view kQuoted = "\"";

class Suspects {
 public:
  // `version` is no other's.
  explicit Suspects(std::uint64_t version) : version_(version) {}

  // `name` as PostgreSQL keeps it.
  void add(std::string_view name, Marks marks);
  void add_function(std::uint32_t oid, Marks marks) { functions_[oid] |= marks; }
  // What the text may do by what it names.
  Marks marks_in(std::string_view text) const;
  // ... a function call message.
  Marks marks_of(std::uint32_t oid) const {
    const auto at = functions_.find(oid);
    return at == functions_.end() ? Marks{0} : at->second;
  }
  // ... if it names everything.
  Marks all() const { return all_; }
  bool empty() const { return all_ == 0; }
  std::size_t count() const { return names_.size(); }
  std::uint64_t version() const { return version_; }
  // The custom settings that bodies of functions set, in lower case.
  std::vector<std::string> custom;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view word) const { return hash_of(word); }
  };
  Marks found(std::string_view word) const;

  std::unordered_map<std::string, Marks, Hash, std::equal_to<>> names_;
  std::unordered_map<std::uint32_t, Marks> functions_;
  // For each first character the lengths of the names that begin with it, as bits: most words are
  // done with here.
  std::uint64_t lengths_[128] = {};
  Marks all_ = 0;     // of any name
  Marks odd_ = 0;     // of those with a character that is not ASCII
  Marks quoted_ = 0;  // of those without a word in them: "1", "?"
  std::uint64_t version_;
};

}  // namespace pgw::relay

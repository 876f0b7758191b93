// Which names make a text suspect in this database (relay/suspects.h), asked of PostgreSQL: the
// bodies of functions are read, and what depends on those that may leave something. One object for
// one survey; it says what to ask next. Pure but for the names that it is given.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "relay/routine.h"
#include "relay/suspects.h"

namespace pgw::server {

class Survey {
 public:
  // `known`: mark() of the survey before, or empty. `major`: PostgreSQL's version. `version`: of
  // the Suspects to be made.
  Survey(std::string known, int major, std::uint64_t version);

  // To be sent now, as a simple query outside of transactions. It leaves the session as it is.
  std::string query() const;
  // Takes one DataRow's body. False: it is not one of that query.
  bool take_row(Bytes row);
  // The query was answered. True: there is another one.
  bool next();

  // --- when there is none ---
  // Stands for all that the result depends on.
  const std::string& mark() const { return mark_; }
  // Nothing has changed since the survey before, and nothing else was asked.
  bool unchanged() const { return unchanged_; }
  // Why every text must be suspect; empty: only those that name something.
  const std::string& too_much() const { return too_much_; }
  std::unique_ptr<relay::Suspects> take() { return std::move(suspects_); }

 private:
  enum class Stage : std::uint8_t { mark, read, reach };
  struct Known {
    std::uint32_t oid;
    std::string name;
    relay::Routine routine;
    bool named = false;  // its name is among those that were found
  };
  struct Seed {
    std::uint32_t classid;
    std::uint32_t objid;
    relay::Marks marks;
    bool operator==(const Seed&) const = default;
  };
  struct Row;
  bool take_routine(const Row& row);
  bool take_tree(const Row& row);
  bool take_reached(const Row& row);
  void learn(relay::Routine& routine);
  void name(const std::string& name, relay::Marks marks);
  void spread();
  std::vector<Seed> seeds() const;
  bool give_up(std::string why);

  Stage stage_ = Stage::mark;
  int major_;
  std::string known_;
  std::string mark_;
  bool unchanged_ = false;
  std::string too_much_;
  std::unique_ptr<relay::Suspects> suspects_;
  std::vector<Known> routines_;
  std::vector<Seed> trees_;  // expressions and rules that call what PostgreSQL itself brings
  std::vector<Seed> asked_;  // the seeds of the query before
  std::unordered_map<std::uint32_t, relay::Marks> named_;  // by hash_of(key_of(name))
  std::size_t bytes_ = 0;
  std::size_t words_ = 0;
  unsigned rounds_ = 0;
};

}  // namespace pgw::server

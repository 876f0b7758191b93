#include "server/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "server/survey_queries.h"
#include "wire/read.h"

namespace pgw::server {

using relay::Mark;
using relay::Marks;

struct Survey::Row {
  Bytes kind, id, kin, name, text;
  bool null = false;  // text is
};

namespace {

constexpr std::size_t kRoutinesMost = 20'000;
constexpr std::size_t kBodyMost = 64 * 1024;
constexpr std::size_t kBytesMost = 64 * 1024 * 1024;  // of all bodies
constexpr std::size_t kWordsMost = 2'000'000;         // different ones, summed over the bodies
constexpr std::size_t kSeedsMost = 5'000;
constexpr std::size_t kNamesMost = 10'000;
constexpr std::size_t kCustomMost = 150;
constexpr unsigned kRoundsMost = 20;
constexpr std::uint32_t kProcClass = 1255;  // pg_proc's oid in all versions

// Of what is too long to be read.
constexpr Marks kUnread = Mark::leaves | Mark::alters | Mark::lists | Mark::channels;

// What DDL begins with, and SELECT INTO: an event trigger may follow.
constexpr std::string_view kDdl[] = {"create",  "alter",  "drop",     "grant", "revoke", "comment",
                                     "refresh", "import", "security", "into",  "reindex"};

std::uint32_t number(Bytes text) {
  std::uint32_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

// encode(..., 'escape') undone.
std::string decoded(Bytes text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 >= text.size()) {
      out += text[at];
    } else if (text[at + 1] == '\\' || at + 3 >= text.size()) {
      out += text[++at];
    } else {
      out += static_cast<char>((text[at + 1] - '0') << 6 | (text[at + 2] - '0') << 3 |
                               (text[at + 3] - '0'));
      at += 3;
    }
  }
  return out;
}

// PostgreSQL writes 'a'::text where 'a' was meant.
std::string without_casts(std::string text) {
  static constexpr std::string_view kCast = "'::text";
  for (auto at = text.find(kCast); at != std::string::npos; at = text.find(kCast, at + 1))
    text.erase(at + 1, kCast.size() - 1);
  return text;
}

}  // namespace

Survey::Survey(std::string known, int major, std::uint64_t version)
    : major_(major),
      known_(std::move(known)),
      suspects_(std::make_unique<relay::Suspects>(version)) {}

std::string Survey::query() const {
  if (stage_ == Stage::mark) return mark_query();
  if (stage_ == Stage::read) return reading_query(major_, kRoutinesMost, kBodyMost);
  std::string rows;
  for (const Seed& seed : asked_)
    rows += fmt::format("{}({}, {}, {})", rows.empty() ? "" : ", ", seed.classid, seed.objid,
                        seed.marks);
  return reach_query(rows);
}

bool Survey::take_row(Bytes row) {
  wire::Reader reader(row);
  if (reader.u16() != 5) return false;
  Row it;
  for (Bytes* field : {&it.kind, &it.id, &it.kin, &it.name, &it.text}) {
    const auto length = reader.u32();
    it.null = length == ~0u;
    if (!it.null) *field = reader.take(length);
  }
  if (!reader.done()) return false;
  if (it.kind == "mark") {
    mark_ = it.text;
    return true;
  }
  if (!too_much_.empty()) return true;
  if (stage_ == Stage::reach) return take_reached(it);
  return it.kind == "routine" ? take_routine(it) : it.kind == "tree" && take_tree(it);
}

bool Survey::give_up(std::string why) {
  too_much_ = std::move(why);
  routines_ = {};
  return true;
}

// Custom settings can be asked for when their names are known.
void Survey::learn(relay::Routine& routine) {
  for (auto& name : routine.custom) {
    auto& known = suspects_->custom;
    if (std::ranges::find(known, name) != known.end()) continue;
    if (known.size() < kCustomMost) {
      known.push_back(std::move(name));
    } else {
      routine.marks |= Mark::opaque;
    }
  }
  routine.custom = {};
}

bool Survey::take_routine(const Row& row) {
  Known known{.oid = number(row.id), .name = decoded(row.name), .routine = {}};
  if (row.kin == "c") {
    known.routine.marks = relay::marks_of_extension(known.name);
  } else if (row.null) {
    known.routine.marks = kUnread;
  } else {
    known.routine = relay::read_routine(row.kin, decoded(row.text));
  }
  learn(known.routine);
  bytes_ += row.text.size();
  words_ += known.routine.words.size();
  routines_.push_back(std::move(known));
  if (routines_.size() > kRoutinesMost)
    return give_up(fmt::format("there are more than {} functions", kRoutinesMost));
  if (bytes_ > kBytesMost || words_ > kWordsMost)
    return give_up(
        fmt::format("the bodies of functions take more than {} MB, or have too many "
                    "words",
                    kBytesMost / 1024 / 1024));
  return true;
}

bool Survey::take_tree(const Row& row) {
  relay::Routine read;
  if (row.null) {
    read.marks = kUnread;
  } else {
    read = relay::read_routine("sql", without_casts(decoded(row.text)));
  }
  learn(read);
  if (read.marks != 0) trees_.push_back({number(row.kin), number(row.id), read.marks});
  return true;
}

bool Survey::take_reached(const Row& row) {
  const auto marks = static_cast<Marks>(number(row.kin));
  if (row.kind == "all")
    return give_up(fmt::format("a {} depends on one that may leave something", row.name));
  if (row.kind == "event") {
    for (const auto word : kDdl) name(std::string(word), marks);
    return true;
  }
  if (row.kind != "name") return false;
  name(decoded(row.name), marks);
  if (const auto oid = number(row.id); oid != 0) suspects_->add_function(oid, marks);
  return true;
}

void Survey::name(const std::string& name, Marks marks) {
  suspects_->add(name, marks);
  named_[relay::hash_of(relay::key_of(name))] |= marks;
  if (named_.size() > kNamesMost)
    give_up(
        fmt::format("more than {} names lead to functions that may leave something", kNamesMost));
}

// Who names one that may leave something may leave it, too.
void Survey::spread() {
  for (bool more = true; more && too_much_.empty();) {
    more = false;
    Marks any = 0;
    for (const auto& [hash, marks] : named_) any |= marks;
    for (Known& known : routines_) {
      Marks marks = known.routine.marks;
      if (known.routine.computes) marks |= any;
      for (const auto word : known.routine.words)
        if (const auto found = named_.find(word); found != named_.end()) marks |= found->second;
      if (marks == known.routine.marks && (marks == 0 || known.named)) continue;
      more = known.named = true;
      known.routine.marks = marks;
      name(known.name, marks);
      suspects_->add_function(known.oid, marks);
      if (!too_much_.empty()) return;
    }
  }
}

std::vector<Survey::Seed> Survey::seeds() const {
  std::vector<Seed> out = trees_;
  for (const Known& known : routines_)
    if (known.routine.marks != 0) out.push_back({kProcClass, known.oid, known.routine.marks});
  return out;
}

bool Survey::next() {
  if (stage_ == Stage::mark) {
    unchanged_ = !known_.empty() && mark_ == known_;
    stage_ = Stage::read;
    return !unchanged_;
  }
  if (too_much_.empty()) spread();
  if (!too_much_.empty()) return false;
  stage_ = Stage::reach;
  auto now = seeds();
  if (now.size() > kSeedsMost || ++rounds_ > kRoundsMost) {
    give_up(fmt::format("more than {} functions may leave something, or they lead too far",
                        kSeedsMost));
    return false;
  }
  if (now == asked_) return false;
  asked_ = std::move(now);
  return true;
}

}  // namespace pgw::server

// What the body of a function or procedure may leave in the session of whoever calls it, read from
// its text. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/suspects.h"

namespace pgw::relay {

struct Routine {
  Marks marks = 0;
  // It carries out texts of which only a part stands in the body: they may name anything.
  bool computes = false;
  std::vector<std::string> custom;  // custom settings that it sets, in lower case
  // hash_of() of each word in it, sorted, each once; of kOdd and kQuoted, too, where these may name
  // something.
  std::vector<std::uint32_t> words;

  bool names(std::string_view word) const;
};

// `language` as pg_language has it. Of "sql" and "plpgsql" the statements are read; of others every
// word counts, because their SQL stands in strings.
Routine read_routine(std::string_view language, std::string_view body);
// What a function of an extension does that is written in C, by its name; 0: nothing is known.
Marks marks_of_extension(std::string_view name);

}  // namespace pgw::relay

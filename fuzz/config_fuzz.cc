// A configuration file: every input gives a snapshot or at least one problem with its place.
#include "config/file.h"

#include "fuzz.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  std::vector<config::Problem> problems;
  const auto snapshot = config::parse(in, "pgweir.toml", &problems);
  PGW_ASSERT(snapshot.has_value() == problems.empty());
  if (snapshot) PGW_ASSERT(*snapshot != nullptr);
  for (const config::Problem& problem : problems)
    PGW_ASSERT(problem.full().starts_with("pgweir.toml"));
  return 0;
}

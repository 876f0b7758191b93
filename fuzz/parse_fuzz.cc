// The body of a Parse message.
#include "fuzz.h"
#include "wire/frame.h"
#include "wire/read.h"
#include "wire/write.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  const auto parse = wire::read_parse(in);
  if (!parse) return 0;
  for (const Bytes view : {parse->name, parse->text, parse->types}) fuzz::assert_inside(in, view);
  std::string out;
  wire::write_parse(out, parse->name, parse->text, parse->types);
  PGW_ASSERT(Bytes(out).substr(wire::kHeaderBytes) == in);
  return 0;
}

// The body of an ErrorResponse or NoticeResponse.
#include "fuzz.h"
#include "wire/read.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  const wire::Fields fields = wire::read_fields(in);
  for (const Bytes view : {fields.severity, fields.sqlstate, fields.message, fields.detail,
                           fields.hint, fields.routine})
    fuzz::assert_inside(in, view);
  return 0;
}

#include "wire/frame.h"

namespace pgw::wire {

Error broken_header(Bytes in, std::uint32_t body_bytes_max) {
  const auto tag = static_cast<unsigned char>(in[0]);
  const std::string shown =
      tag >= 0x20 && tag < 0x7f ? fmt::format("'{}'", in[0]) : fmt::format("0x{:02x}", tag);
  const auto length = get_u32(in.data() + 1);
  if (length < 4)
    return Error(Code::protocol,
                 fmt::format("message {} has length {}: at least 4 is needed", shown, length));
  if (length > 0x7fffffff)
    return Error(Code::protocol, fmt::format("message {} has a negative length", shown));
  return Error(Code::protocol, fmt::format("message {} of {} bytes is over the limit of {} bytes",
                                           shown, length - 4, body_bytes_max));
}

}  // namespace pgw::wire

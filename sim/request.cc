#include "request.h"

#include "wire.h"

namespace pgw::sim {

std::string encode(const Request& r) {
  Body body;
  switch (r.type) {
    case 'Q':
      body.text(r.garbled ? "SELEKT 'oops" : render(r.statements));
      break;
    case 'P':
      body.text(r.statement).text(r.garbled ? "SELEKT 'oops" : render(r.statements));
      body.u16(static_cast<int>(r.types.size()));
      for (const std::uint32_t type : r.types) body.u32(type);
      break;
    case 'B':
      body.text(r.portal).text(r.statement).u16(0).u16(static_cast<int>(r.params.size()));
      for (const std::string& p : r.params) body.counted(p);
      if (r.format) {
        body.u16(1).u16(r.format);
      } else {
        body.u16(0);
      }
      break;
    case 'D':
    case 'C':
      body.u8(r.what).text(r.what == 'S' ? r.statement : r.portal);
      break;
    case 'E':
      body.text(r.portal).u32(r.limit);
      break;
    case 'F':
      body.u32(r.limit).u16(0).u16(1).counted(r.params.at(0)).u16(0);
      break;
    case 'd':
      body.raw(r.data);
      break;
    case 'f':
      body.text(r.data);
      break;
    default:
      break;
  }
  return frame(r.type, body.take());
}

std::string startup_packet(std::uint32_t version,
                           const std::vector<std::pair<std::string, std::string>>& parameters) {
  Body body;
  body.u32(version);
  for (const auto& [name, value] : parameters) body.text(name).text(value);
  body.u8(0);
  return frame(0, body.take());
}

}  // namespace pgw::sim

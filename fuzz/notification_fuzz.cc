// The body of a NotificationResponse message, and a channel's name in SQL.
#include "fuzz.h"
#include "relay/channels.h"
#include "wire/read.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  const auto note = wire::read_notification(in);
  if (!note) return 0;
  fuzz::assert_inside(in, note->channel);
  fuzz::assert_inside(in, note->payload);
  // Quoted, it is one identifier: inside, quotes come in pairs.
  const std::string name = relay::quoted_channel(note->channel);
  PGW_ASSERT(name.size() >= 2 && name.front() == '"' && name.back() == '"');
  const Bytes inner = Bytes(name).substr(1, name.size() - 2);
  for (std::size_t at = 0; (at = inner.find('"', at)) != Bytes::npos; at += 2)
    PGW_ASSERT(at + 1 < inner.size() && inner[at + 1] == '"');
  relay::concerns_channels(note->payload);
  return 0;
}

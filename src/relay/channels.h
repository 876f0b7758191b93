// Which texts may have to do with the channels of LISTEN and NOTIFY, and how a channel is named in
// SQL. Pure.
#pragma once
#include <string>
#include <string_view>

namespace pgw::relay {

// Whether the text may listen, notify, ask for the channels, change the encoding in which
// notifications come, or begin a transaction block, in which a later text may. Asked only of
// clients that hear through the listening server: what is in here makes such a client's own server
// listen for it first. A false alarm costs that, a miss means that its own notifications come like
// those of others.
bool concerns_channels(std::string_view text);

// "name", as an identifier.
std::string quoted_channel(std::string_view name);

}  // namespace pgw::relay

// PostgreSQL's md5 answer to a salt, for the simulated ends.
#pragma once
#include <string>
#include <string_view>

namespace pgw::sim {

// "md5" + hex(md5(hex(md5(password + user)) + salt))
std::string md5_answer(std::string_view user, std::string_view password, std::string_view salt);

}  // namespace pgw::sim

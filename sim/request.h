// A client's message as a value: what scripts make, what the model thinks about, and what goes out
// as bytes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sql.h"

namespace pgw::sim {

struct Request {
  char type = 'S';                      // the message's type byte
  std::vector<Statement> statements{};  // Q, P
  bool garbled = false;                 // Q, P: the text is no SQL
  char what = 'S';                      // D, C: 'S' a statement, 'P' a portal
  std::string statement{};              // P, B, D, C
  std::string portal{};                 // B, E, D, C
  std::vector<std::uint32_t> types{};   // P
  std::vector<std::string> params{};    // B; F: the argument
  int format = 0;                       // B: of the results
  std::uint32_t limit = 0;              // E; F: the function
  std::string data{};                   // d, f
};

std::string encode(const Request& request);
std::string startup_packet(std::uint32_t version,
                           const std::vector<std::pair<std::string, std::string>>& parameters);

}  // namespace pgw::sim

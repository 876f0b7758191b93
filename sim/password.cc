#include "password.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

namespace pgw::sim {

namespace {

std::string md5_hex(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned n = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &n, EVP_md5(), nullptr);
  std::string out;
  for (unsigned i = 0; i < n; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

}  // namespace

std::string md5_answer(std::string_view user, std::string_view password, std::string_view salt) {
  const std::string inner = md5_hex(std::string(password) + std::string(user));
  return "md5" + md5_hex(inner + std::string(salt));
}

}  // namespace pgw::sim

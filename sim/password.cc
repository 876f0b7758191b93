#include "password.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstddef>

#include "wire.h"

namespace pgw::sim {

namespace {

constexpr int kIterations = 8;
constexpr std::size_t kKey = 32;

using Raw = std::vector<unsigned char>;

Raw raw(std::string_view text) { return {text.begin(), text.end()}; }

std::string text(const Raw& bytes, std::size_t n) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n)};
}

std::string digest(std::string_view data, const EVP_MD* method) {
  Raw out(EVP_MAX_MD_SIZE);
  unsigned n = 0;
  EVP_Digest(data.data(), data.size(), out.data(), &n, method, nullptr);
  return text(out, n);
}

std::string md5_hex(const std::string& data) {
  std::string out;
  for (const char c : digest(data, EVP_md5()))
    out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string hmac(std::string_view key, std::string_view data) {
  Raw out(EVP_MAX_MD_SIZE);
  unsigned n = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), raw(data).data(), data.size(),
       out.data(), &n);
  return text(out, n);
}

std::string base64(std::string_view data) {
  Raw out((data.size() + 2) / 3 * 4 + 1);
  const int n = EVP_EncodeBlock(out.data(), raw(data).data(), static_cast<int>(data.size()));
  return text(out, static_cast<std::size_t>(n));
}

std::string unbase64(const std::string& data) {
  Raw out(data.size() / 4 * 3 + 3);
  const int n = EVP_DecodeBlock(out.data(), raw(data).data(), static_cast<int>(data.size()));
  if (n < 0) return {};
  std::size_t padding = 0;
  while (padding < data.size() && data[data.size() - 1 - padding] == '=') ++padding;
  return text(out, static_cast<std::size_t>(n) - padding);
}

std::string mixed(std::string a, const std::string& b) {
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) a[i] = static_cast<char>(a[i] ^ b[i]);
  return a;
}

// The value of "k=value" in a comma-separated list.
std::string field(const std::string& list, char key) {
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    if (list.compare(at, 2, std::string{key, '='}) == 0) return list.substr(at + 2, end - at - 2);
    at = end + 1;
  }
  return {};
}

std::string salted(std::string_view password, const std::string& salt, int iterations) {
  Raw out(kKey);
  PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), raw(salt).data(),
                    static_cast<int>(salt.size()), iterations, EVP_sha256(), kKey, out.data());
  return text(out, kKey);
}

}  // namespace

std::string md5_answer(std::string_view user, std::string_view password, std::string_view salt) {
  const std::string inner = md5_hex(std::string(password) + std::string(user));
  return "md5" + md5_hex(inner + std::string(salt));
}

ScramSecret scram_secret(std::string_view user, std::string_view password) {
  ScramSecret out{"salt of " + std::string(user), kIterations, "", ""};
  const std::string key = salted(password, out.salt, out.iterations);
  out.stored_key = digest(hmac(key, "Client Key"), EVP_sha256());
  out.server_key = hmac(key, "Server Key");
  return out;
}

std::string scram_text(const ScramSecret& s) {
  return fmt::format("SCRAM-SHA-256${}:{}${}:{}", s.iterations, base64(s.salt),
                     base64(s.stored_key), base64(s.server_key));
}

std::string Prover::answer(std::string_view request) {
  Reader in(request);
  switch (in.u32()) {
    case 0:
      cheated_ = begun_ && !proven_;
      return {};
    case 3:
      return frame('p', Body().text(password_).take());
    case 5:
      return frame('p', Body().text(md5_answer(user_, password_, in.raw(4))).take());
    case 10:
      begun_ = true;
      client_first_ = fmt::format("n=,r=client{}", random_.next());
      return frame('p', Body().text("SCRAM-SHA-256").counted("n,," + client_first_).take());
    case 11:
      return frame('p', proof(std::string(request.substr(4))));
    case 12:
      proven_ = field(std::string(request.substr(4)), 'v') == base64(server_signature_);
      return {};
    default:
      return {};
  }
}

std::string Prover::proof(const std::string& server_first) {
  const std::string iterations = field(server_first, 'i');
  const std::string key = salted(password_, unbase64(field(server_first, 's')),
                                 iterations.empty() ? 1 : std::stoi(iterations));
  const std::string without = "c=biws,r=" + field(server_first, 'r');
  const std::string all = client_first_ + "," + server_first + "," + without;
  const std::string client_key = hmac(key, "Client Key");
  server_signature_ = hmac(hmac(key, "Server Key"), all);
  return without + ",p=" + base64(mixed(client_key, hmac(digest(client_key, EVP_sha256()), all)));
}

std::optional<std::string> ScramCheck::first(const std::string& client_first) {
  if (!client_first.starts_with("n,,") || secrets_.empty()) return std::nullopt;
  client_first_ = client_first.substr(3);
  server_first_ = fmt::format("r={}{},s={},i={}", field(client_first_, 'r'), nonce_,
                              base64(secrets_[0].salt), secrets_[0].iterations);
  return server_first_;
}

std::optional<std::string> ScramCheck::last(const std::string& client_final) {
  const std::size_t at = client_final.rfind(",p=");
  if (at == std::string::npos) return std::nullopt;
  const std::string without = client_final.substr(0, at);
  if (without != "c=biws,r=" + field(server_first_, 'r')) return std::nullopt;
  const std::string all = client_first_ + "," + server_first_ + "," + without;
  for (const ScramSecret& s : secrets_) {
    const std::string client_key =
        mixed(unbase64(client_final.substr(at + 3)), hmac(s.stored_key, all));
    if (digest(client_key, EVP_sha256()) == s.stored_key)
      return "v=" + base64(hmac(s.server_key, all));
  }
  return std::nullopt;
}

}  // namespace pgw::sim

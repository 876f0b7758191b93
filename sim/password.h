// How clients prove who they are, for the simulated ends: MD5 and SCRAM-SHA-256 (RFC 5802), both
// sides. On purpose it shares nothing with the pooler's own code.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "random.h"

namespace pgw::sim {

// "md5" + hex(md5(hex(md5(password + user)) + salt))
std::string md5_answer(std::string_view user, std::string_view password, std::string_view salt);

// What a server keeps of a password.
struct ScramSecret {
  std::string salt;
  int iterations = 0;
  std::string stored_key;
  std::string server_key;
};
// Few iterations and a salt that all passwords of the user share: worlds log in often.
ScramSecret scram_secret(std::string_view user, std::string_view password);
std::string scram_text(const ScramSecret& secret);  // "SCRAM-SHA-256$iterations:salt$..."

// The client's side of a login, whatever it is asked for.
class Prover {
 public:
  Prover(std::string user, std::string password, Random random)
      : user_(std::move(user)), password_(std::move(password)), random_(random) {}
  // The bytes that answer an Authentication message; empty: none are due.
  std::string answer(std::string_view request);
  // SCRAM: the server has not shown that it knows the password too, and should have.
  bool cheated() const { return cheated_; }

 private:
  std::string proof(const std::string& server_first);
  std::string user_;
  std::string password_;
  Random random_;
  std::string client_first_;
  std::string server_signature_;
  bool begun_ = false;
  bool proven_ = false;
  bool cheated_ = false;
};

// The server's side of SCRAM. Any of the secrets will do; they have one salt.
class ScramCheck {
 public:
  ScramCheck(std::vector<ScramSecret> secrets, std::string nonce)
      : secrets_(std::move(secrets)), nonce_(std::move(nonce)) {}
  std::optional<std::string> first(const std::string& client_first);
  std::optional<std::string> last(const std::string& client_final);

 private:
  std::vector<ScramSecret> secrets_;
  std::string nonce_;
  std::string client_first_;
  std::string server_first_;
};

}  // namespace pgw::sim

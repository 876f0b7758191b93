// The users who may log in and their secrets, in the format of PgBouncer's userlist.txt:
//   "user" "secret"      ; a quote inside is doubled; whatever follows on the line is ignored
//   ; a comment
// An immutable value; thread: any.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "auth/secret.h"
#include "base/result.h"

namespace pgw::auth {

class Userlist {
 public:
  struct Entry {
    std::string user;
    Secret secret;
  };

  Userlist() = default;
  // Of two entries for a user the later one counts, as in PgBouncer.
  explicit Userlist(std::vector<Entry> entries);
  // Pairs of name and secret text.
  static Result<Userlist> of(const std::vector<std::pair<std::string, std::string>>& pairs);

  // Null when there is no such user. Lives as long as the list.
  const Secret* find(std::string_view user) const;
  // What to check an unknown user against: of the kind (and iterations) that most of this list has.
  Secret mock(std::string_view user, const Key& process_secret) const;
  std::size_t size() const { return secrets_.size(); }
  // By user name.
  const std::map<std::string, Secret, std::less<>>& secrets() const { return secrets_; }

 private:
  std::map<std::string, Secret, std::less<>> secrets_;
  Secret::Kind common_kind_ = Secret::Kind::scram;
  std::uint32_t common_iterations_ = kScramIterationsDefault;
};

// Errors (Code::configuration) begin with "file_name:line: ".
Result<Userlist> parse_userlist(std::string_view text, std::string_view file_name);
// Reads the file, once, blocking: for start and reload, not for a worker.
Result<Userlist> load_userlist(const std::string& path);

}  // namespace pgw::auth

// The SCRAM verifiers of the users whose secret is a plain password: made once, when the users are
// read, so that a login costs the same for those who exist and those who do not. An immutable
// value; thread: any.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "auth/userlist.h"

namespace pgw::auth {

class Verifiers {
 public:
  // Null when there is no such user, or its secret is not plain.
  const ScramVerifier* find(std::string_view user) const;
  std::size_t size() const { return made_.size(); }

  // One verifier to be made: slow (auth::derive), and each for itself, so that others may help.
  struct Work {
    std::string user;
    std::string password;
    ScramChallenge challenge;
    ScramVerifier verifier;
    void run();
  };
  // What has to be done for these users; what `before` has for the same password is taken over.
  static std::vector<Work> needed(const Userlist& users, const Key& process_secret,
                                  const Verifiers* before, Verifiers& out);
  void add(Work work);

 private:
  struct Made {
    std::string password;
    ScramVerifier verifier;
  };
  std::map<std::string, Made, std::less<>> made_;
};

}  // namespace pgw::auth

#include "auth/verifiers.h"

#include <utility>

namespace pgw::auth {

const ScramVerifier* Verifiers::find(std::string_view user) const {
  const auto found = made_.find(user);
  return found == made_.end() ? nullptr : &found->second.verifier;
}

void Verifiers::Work::run() { verifier = verifier_of(derive(password, challenge)); }

std::vector<Verifiers::Work> Verifiers::needed(const Userlist& users, const Key& process_secret,
                                               const Verifiers* before, Verifiers& out) {
  std::vector<Work> work;
  for (const auto& [user, secret] : users.secrets()) {
    if (secret.kind() != Secret::Kind::plain) continue;
    if (before) {
      const auto known = before->made_.find(user);
      if (known != before->made_.end() && known->second.password == secret.text()) {
        out.made_.insert_or_assign(user, known->second);
        continue;
      }
    }
    work.push_back(
        {user, secret.text(), {user_salt(user, process_secret), kScramIterationsDefault}, {}});
  }
  return work;
}

void Verifiers::add(Work work) {
  // Nobody logs in with an empty password, as in PostgreSQL.
  work.verifier.mock = work.password.empty();
  made_.insert_or_assign(std::move(work.user),
                         Made{std::move(work.password), std::move(work.verifier)});
}

}  // namespace pgw::auth

// A file of users in PgBouncer's format.
#include "auth/userlist.h"

#include "fuzz.h"

using namespace pgw;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string in = fuzz::copy(data, size);
  const auto list = auth::parse_userlist(in, "users.txt");
  if (!list) {
    PGW_ASSERT(list.error().what().starts_with("users.txt:"));
    return 0;
  }
  for (const auto& [user, secret] : list->secrets()) PGW_ASSERT(list->find(user) == &secret);
  return 0;
}

#include "auth/userlist.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <system_error>

namespace pgw::auth {
namespace {

constexpr std::string_view kBlanks = " \t\r\v\f";

std::string_view without_blanks(std::string_view line) {
  return line.substr(std::min(line.find_first_not_of(kBlanks), line.size()));
}

// Takes `"text"` with doubled quotes off the front of `line`. Empty when there is none, or it is
// not closed on this line.
std::optional<std::string> take_quoted(std::string_view& line) {
  if (!line.starts_with('"')) return std::nullopt;
  std::string out;
  for (std::size_t at = 1; at < line.size(); ++at) {
    if (line[at] != '"') {
      out += line[at];
    } else if (at + 1 < line.size() && line[at + 1] == '"') {
      out += '"';
      ++at;
    } else {
      line.remove_prefix(at + 1);
      return out;
    }
  }
  return std::nullopt;
}

Result<Userlist::Entry> parse_entry(std::string_view line) {
  auto user = take_quoted(line);
  if (!user)
    return fail(Code::configuration,
                "expected a user name in double quotes, closed on the same line");
  if (user->empty()) return fail(Code::configuration, "the user name is empty");
  if (user->contains('\0')) return fail(Code::configuration, "the user name contains a zero byte");
  line = without_blanks(line);
  const auto text = take_quoted(line);
  if (!text)
    return fail(Code::configuration,
                "expected the secret of \"{}\" in double quotes, closed on the same line", *user);
  auto secret = Secret::parse(*text);
  if (!secret)
    return fail(Code::configuration, "the secret of \"{}\": {}", *user, secret.error().what());
  return Userlist::Entry{std::move(*user), std::move(*secret)};
}

}  // namespace

Userlist::Userlist(std::vector<Entry> entries) {
  for (Entry& entry : entries)
    secrets_.insert_or_assign(std::move(entry.user), std::move(entry.secret));
  std::array<std::size_t, 3> of_kind{};
  std::map<std::uint32_t, std::size_t> of_iterations;
  for (const auto& [user, secret] : secrets_) {
    ++of_kind[static_cast<std::size_t>(secret.kind())];
    if (const ScramVerifier* scram = secret.scram()) ++of_iterations[scram->challenge.iterations];
  }
  if (!secrets_.empty()) {
    const auto most = std::ranges::max_element(of_kind);
    common_kind_ = static_cast<Secret::Kind>(std::distance(of_kind.begin(), most));
  }
  std::size_t most = 0;
  for (const auto& [iterations, count] : of_iterations) {
    if (count <= most) continue;
    most = count;
    common_iterations_ = iterations;
  }
}

Result<Userlist> Userlist::of(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::vector<Entry> entries;
  entries.reserve(pairs.size());
  for (const auto& [user, text] : pairs) {
    auto secret = Secret::parse(text);
    if (!secret)
      return std::unexpected(
          std::move(secret).error().while_doing(fmt::format("reading the secret of \"{}\"", user)));
    entries.push_back({user, std::move(*secret)});
  }
  return Userlist(std::move(entries));
}

const Secret* Userlist::find(std::string_view user) const {
  const auto at = secrets_.find(user);
  return at != secrets_.end() ? &at->second : nullptr;
}

Secret Userlist::mock(std::string_view user, const Key& process_secret) const {
  return Secret::mock(common_kind_, user, process_secret, common_iterations_);
}

Result<Userlist> parse_userlist(std::string_view text, std::string_view file_name) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark, from Windows
  std::vector<Userlist::Entry> entries;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = without_blanks(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.starts_with(';')) continue;
    auto entry = parse_entry(line);
    if (!entry)
      return std::unexpected(
          Error(Code::configuration,
                fmt::format("{}:{}: {}", file_name, number, entry.error().what()))
              .with_hint("a line is: \"user\" \"secret\"; a quote inside is doubled; a comment "
                         "begins with ;"));
    entries.push_back(std::move(*entry));
  }
  return Userlist(std::move(entries));
}

Result<Userlist> load_userlist(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return fail(Code::configuration, "{}: the file of users cannot be opened: {}", path,
                std::generic_category().message(errno));
  std::string text;
  std::array<char, 16384> piece;
  while (file) {
    file.read(piece.data(), piece.size());
    text.append(piece.data(), static_cast<std::size_t>(file.gcount()));
  }
  // A folder opens, and fails at the first read.
  if (file.bad()) return fail(Code::configuration, "{}: the file of users cannot be read", path);
  return parse_userlist(text, path);
}

}  // namespace pgw::auth

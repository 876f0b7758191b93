// The grammar follows conninfo_uri_parse_options() in PostgreSQL's fe-connect.c (release 15).
#include "config/url.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <string>
#include <vector>

#include "config/names.h"

namespace pgw::config {
namespace {

constexpr std::string_view kForm = "postgresql://user:password@host:port/dbname";
constexpr std::string_view kEncode =
    "; in a user name or password, write @ as %40, / as %2F, : as %3A, ? as %3F and % as %25";
constexpr std::string_view kNoTls = "TLS to servers is not there yet";

enum class How : std::uint8_t { part, start_up, checked, refused };

// An option after the '?'. All names that libpq 15 knows are here, and a few of later releases.
struct Option {
  std::string_view name;
  How how;
  std::string_view words = {};  // checked: the values that mean what pgweir does anyway
  std::string_view why = {};    // checked, refused: why not another
};
constexpr auto kOptions = std::to_array<Option>({
    {"host", How::part},
    {"hostaddr", How::part},
    {"port", How::part},
    {"dbname", How::part},
    {"user", How::part},
    {"password", How::part},
    {"connect_timeout", How::part},
    {"fallback_application_name", How::part},
    {"application_name", How::start_up},
    {"client_encoding", How::start_up},
    {"options", How::start_up},
    {"sslmode", How::checked, "disable|allow|prefer", kNoTls},
    {"ssl", How::checked, "false", kNoTls},
    {"sslnegotiation", How::checked, "postgres", kNoTls},
    {"channel_binding", How::checked, "disable|prefer", kNoTls},
    {"gssencmode", How::checked, "disable|prefer", "GSSAPI is not supported"},
    {"target_session_attrs", How::checked, "any", "there is one host"},
    {"load_balance_hosts", How::checked, "disable", "there is one host"},
    {"sslcert", How::refused, {}, kNoTls},
    {"sslkey", How::refused, {}, kNoTls},
    {"sslpassword", How::refused, {}, kNoTls},
    {"sslrootcert", How::refused, {}, kNoTls},
    {"sslcrl", How::refused, {}, kNoTls},
    {"sslcrldir", How::refused, {}, kNoTls},
    {"sslsni", How::refused, {}, kNoTls},
    {"sslcompression", How::refused, {}, kNoTls},
    {"ssl_min_protocol_version", How::refused, {}, kNoTls},
    {"ssl_max_protocol_version", How::refused, {}, kNoTls},
    {"krbsrvname", How::refused, {}, "GSSAPI is not supported"},
    {"gsslib", How::refused, {}, "GSSAPI is not supported"},
    {"keepalives", How::refused, {}, "pgweir sets TCP keepalives by itself"},
    {"keepalives_idle", How::refused, {}, "pgweir sets TCP keepalives by itself"},
    {"keepalives_interval", How::refused, {}, "pgweir sets TCP keepalives by itself"},
    {"keepalives_count", How::refused, {}, "pgweir sets TCP keepalives by itself"},
    {"tcp_user_timeout", How::refused, {}, "pgweir sets TCP timeouts by itself"},
    {"requirepeer", How::refused, {}, "pgweir does not check the server's user"},
    {"passfile", How::refused, {}, "pgweir reads no password files; write user:password@"},
    {"service", How::refused, {}, "pgweir reads no service files"},
    {"replication", How::refused, {}, "the client says whether its connection is for replication"},
});

using Parts = std::map<std::string, std::string, std::less<>>;

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> decoded(std::string_view text, std::string_view part) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex(text[i + 2]) : -1;
    if (high < 0 || low < 0)
      return fail(Code::configuration, "the {} has a % without two hexadecimal digits{}", part,
                  kEncode);
    if (high == 0 && low == 0)
      return fail(Code::configuration, "the {} has %00, which no name can contain", part);
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Done put(Parts& parts, std::string_view name, std::string_view encoded) {
  PGW_TRY(value, decoded(encoded, name));
  parts.insert_or_assign(std::string(name), std::move(value));
  return {};
}

// Takes what is before any of `ends` off the front.
std::string_view take(std::string_view& text, std::string_view ends) {
  const auto end = std::min(text.find_first_of(ends), text.size());
  const auto front = text.substr(0, end);
  text.remove_prefix(end);
  return front;
}

Done read_login(Parts& parts, std::string_view& rest) {
  const auto end = rest.find_first_of("@/");
  if (end == rest.npos || rest[end] == '/') return {};
  std::string_view login = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  const auto user = take(login, ":");
  PGW_DO(put(parts, "user", user));
  if (!login.empty()) PGW_DO(put(parts, "password", login.substr(1)));
  return {};
}

Done read_host(Parts& parts, std::string_view& rest) {
  if (rest.starts_with('[')) {
    const auto close = rest.find(']');
    if (close == rest.npos || close == 1)
      return fail(Code::configuration, "an IPv6 address is written as [::1]");
    PGW_DO(put(parts, "host", rest.substr(1, close - 1)));
    rest.remove_prefix(close + 1);
    if (!rest.empty() && std::string_view(":/?,").find(rest.front()) == std::string_view::npos)
      return fail(Code::configuration, "after the ] of an IPv6 address, expected :port or /dbname");
  } else {
    const auto host = take(rest, ":/?,");
    if (host.contains('@')) return fail(Code::configuration, "there is more than one @{}", kEncode);
    PGW_DO(put(parts, "host", host));
  }
  if (rest.starts_with(':')) {
    rest.remove_prefix(1);
    PGW_DO(put(parts, "port", take(rest, "/?,")));
  }
  if (rest.starts_with(','))
    return fail(Code::configuration, "several hosts are not supported; expected one host");
  return {};
}

Done refuse_unknown(std::string_view name) {
  std::vector<std::string_view> known;
  for (const Option& option : kOptions) known.push_back(option.name);
  const auto meant = nearest(name, known);
  return fail(Code::configuration, "unknown option \"{}\"{}", name,
              meant.empty() ? "" : fmt::format("; did you mean \"{}\"?", meant));
}

Done read_options(Parts& parts, std::string_view rest) {
  while (!rest.empty()) {
    std::string_view pair = take(rest, "&");
    if (!rest.empty()) rest.remove_prefix(1);
    const auto equals = pair.find('=');
    if (equals == pair.npos || pair.find('=', equals + 1) != pair.npos)
      return fail(Code::configuration, "expected name=value&name=value after the ?");
    PGW_TRY(name, decoded(pair.substr(0, equals), "name of an option"));
    const auto* option = std::ranges::find(kOptions, name, &Option::name);
    if (option == kOptions.end()) return refuse_unknown(name);
    if (option->how == How::refused)
      return fail(Code::configuration, "{} is not supported: {}", name, option->why);
    PGW_DO(put(parts, name, pair.substr(equals + 1)));
    if (option->how != How::checked) continue;
    const auto fine = split_words(option->words);
    if (std::ranges::find(fine, parts[name]) == fine.end())
      return fail(Code::configuration, "{}={} is not supported: {}; expected {}", name, parts[name],
                  option->why, one_of(fine));
  }
  return {};
}

Done set_host(Upstream& upstream, const Parts& parts) {
  for (const std::string_view name : {"host", "hostaddr"}) {
    const auto found = parts.find(name);
    if (found == parts.end() || found->second.empty()) continue;
    const std::string& host = found->second;
    if (host.contains(','))
      return fail(Code::configuration, "several hosts are not supported; expected one host");
    if (host.starts_with('@'))
      return fail(Code::configuration, "abstract Unix sockets are not supported");
    if (!host.starts_with('/') && host.contains('/'))
      return fail(Code::configuration, "the folder of a Unix socket starts with /");
    upstream.host = host;
  }
  const auto port = parts.find("port");
  if (port == parts.end() || port->second.empty()) return {};
  const char* const end = port->second.data() + port->second.size();
  const auto [rest, error] = std::from_chars(port->second.data(), end, upstream.port);
  // The text is not repeated: if a password has an unencoded / in it, this may be a piece of that.
  if (error != std::errc{} || rest != end || upstream.port == 0)
    return fail(Code::configuration, "the port is not an integer from 1 to 65535{}", kEncode);
  return {};
}

Result<Url> assemble(const Parts& parts) {
  Url url;
  PGW_DO(set_host(url.upstream, parts));
  const auto part = [&](std::string_view name) {
    const auto found = parts.find(name);
    return found == parts.end() ? std::string{} : found->second;
  };
  url.upstream.dbname = part("dbname");
  url.upstream.user = part("user");
  if (auto password = part("password"); !password.empty()) url.upstream.password = password;
  for (const Option& option : kOptions)
    if (option.how == How::start_up && !part(option.name).empty())
      url.upstream.parameters.emplace_back(option.name, part(option.name));
  const auto fallback = part("fallback_application_name");
  if (!fallback.empty() && part("application_name").empty())
    url.upstream.parameters.emplace_back("application_name", fallback);
  if (const auto timeout = part("connect_timeout"); !timeout.empty()) {
    // libpq's unit is the second, and it takes nothing but an integer.
    Settings settings;
    const Row& row = *find_row("connect_timeout");
    if (timeout.find_first_not_of("0123456789") != timeout.npos)
      return fail(Code::configuration, "connect_timeout is not an integer (seconds)");
    PGW_DO(set_any(row, settings, timeout));
    url.connect_timeout = settings.connect_timeout;
  }
  return url;
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  std::string_view rest = text;
  bool found = false;
  for (const std::string_view scheme : {"postgresql://", "postgres://"}) {
    if (found || !rest.starts_with(scheme)) continue;
    rest.remove_prefix(scheme.size());
    found = true;
  }
  if (!found) return fail(Code::configuration, "not a connection URL; expected {}", kForm);
  if (std::ranges::any_of(rest, [](char c) { return static_cast<unsigned char>(c) <= ' '; }))
    return fail(Code::configuration,
                "a URL has no spaces or control characters; write %20 for a space");
  Parts parts;
  PGW_DO(read_login(parts, rest));
  PGW_DO(read_host(parts, rest));
  if (rest.starts_with('/')) {
    rest.remove_prefix(1);
    PGW_DO(put(parts, "dbname", take(rest, "?")));
  }
  if (rest.starts_with('?')) PGW_DO(read_options(parts, rest.substr(1)));
  return assemble(parts);
}

}  // namespace pgw::config

#include "wire/write.h"

namespace pgw::wire {

Message& Message::u32(std::uint32_t value) {
  char raw[4];
  put_u32(raw, value);
  out_.append(raw, 4);
  return *this;
}

Message& Message::u16(std::uint16_t value) {
  char raw[2];
  put_u16(raw, value);
  out_.append(raw, 2);
  return *this;
}

void write_error(std::string& out, Severity severity, std::string_view sqlstate,
                 std::string_view message, std::string_view hint, std::string_view detail,
                 std::string_view routine) {
  static constexpr std::string_view kWords[] = {"ERROR", "FATAL", "NOTICE", "WARNING"};
  const auto word = kWords[static_cast<int>(severity)];
  const bool refuses = severity == Severity::error || severity == Severity::fatal;
  Message m(out, refuses ? 'E' : 'N');
  m.byte('S').text(word).byte('V').text(word).byte('C').text(sqlstate).byte('M').text(message);
  if (!detail.empty()) m.byte('D').text(detail);
  if (!hint.empty()) m.byte('H').text(hint);
  if (!routine.empty()) m.byte('R').text(routine);
  m.byte('\0');
}

void write_error(std::string& out, Severity severity, const Error& error) {
  write_error(out, severity, error.state(), error.what(), error.hint());
}

void write_ready(std::string& out, char status) { Message(out, 'Z').byte(status); }

void write_parameter(std::string& out, std::string_view name, std::string_view value) {
  Message(out, 'S').text(name).text(value);
}

void write_key(std::string& out, std::uint32_t pid, std::uint32_t key) {
  Message(out, 'K').u32(pid).u32(key);
}

void write_auth(std::string& out, std::uint32_t kind, Bytes data) {
  Message(out, 'R').u32(kind).raw(data);
}

void write_negotiate(std::string& out, std::uint32_t minor,
                     const std::vector<std::string>& unknown) {
  Message m(out, 'v');
  m.u32(3u << 16 | minor).u32(static_cast<std::uint32_t>(unknown.size()));
  for (const auto& option : unknown) m.text(option);
}

void write_query(std::string& out, std::string_view text) { Message(out, 'Q').text(text); }

void write_parse(std::string& out, std::string_view name, std::string_view text, Bytes types) {
  Message(out, 'P').text(name).text(text).raw(types);
}

void write_close(std::string& out, char kind, std::string_view name) {
  Message(out, 'C').byte(kind).text(name);
}

void write_describe(std::string& out, char kind, std::string_view name) {
  Message(out, 'D').byte(kind).text(name);
}

void write_execute(std::string& out, std::string_view portal) {
  Message(out, 'E').text(portal).u32(0);
}

void write_sync(std::string& out) { Message(out, 'S'); }

void write_flush(std::string& out) { Message(out, 'H'); }

void write_copy_fail(std::string& out, std::string_view reason) { Message(out, 'f').text(reason); }

void write_terminate(std::string& out) { Message(out, 'X'); }

void write_password(std::string& out, std::string_view password) {
  Message(out, 'p').text(password);
}

void write_sasl_initial(std::string& out, std::string_view mechanism, Bytes data) {
  Message(out, 'p').text(mechanism).u32(static_cast<std::uint32_t>(data.size())).raw(data);
}

void write_sasl(std::string& out, Bytes data) { Message(out, 'p').raw(data); }

void write_startup(std::string& out,
                   const std::vector<std::pair<std::string, std::string>>& parameters) {
  const std::size_t at = out.size();
  out.append(8, '\0');
  put_u32(out.data() + at + 4, 3 << 16);
  for (const auto& [name, value] : parameters) {
    out.append(name).push_back('\0');
    out.append(value).push_back('\0');
  }
  out.push_back('\0');
  put_u32(out.data() + at, static_cast<std::uint32_t>(out.size() - at));
}

void write_cancel(std::string& out, std::uint32_t pid, Bytes key) {
  char raw[12];
  put_u32(raw, static_cast<std::uint32_t>(12 + key.size()));
  put_u32(raw + 4, 80877102);
  put_u32(raw + 8, pid);
  out.append(raw, 12).append(key);
}

void write_bind_front(std::string& out, std::string_view portal, std::string_view statement,
                      std::size_t rest_bytes) {
  const std::size_t length = 4 + portal.size() + statement.size() + 2 + rest_bytes;
  char raw[5] = {'B'};
  put_u32(raw + 1, static_cast<std::uint32_t>(length));
  out.append(raw, 5);
  out.append(portal).push_back('\0');
  out.append(statement).push_back('\0');
}

}  // namespace pgw::wire

#include "wire/read.h"

#include <algorithm>

namespace pgw::wire {

bool Reader::need(std::size_t n) {
  if (!ok_ || in_.size() < n) {
    ok_ = false;
    in_ = {};
    return false;
  }
  return true;
}

Bytes Reader::text() {
  const auto end = in_.find('\0');
  if (!ok_ || end == Bytes::npos) {
    ok_ = false;
    in_ = {};
    return {};
  }
  const Bytes out = in_.substr(0, end);
  in_.remove_prefix(end + 1);
  return out;
}

std::uint32_t Reader::u32() {
  if (!need(4)) return 0;
  const auto value = get_u32(in_.data());
  in_.remove_prefix(4);
  return value;
}

std::uint16_t Reader::u16() {
  if (!need(2)) return 0;
  const auto value = get_u16(in_.data());
  in_.remove_prefix(2);
  return value;
}

char Reader::byte() {
  if (!need(1)) return 0;
  const char value = in_[0];
  in_.remove_prefix(1);
  return value;
}

Bytes Reader::take(std::size_t n) {
  if (!need(n)) return {};
  const Bytes out = in_.substr(0, n);
  in_.remove_prefix(n);
  return out;
}

Result<Parse> read_parse(Bytes body) {
  Reader in(body);
  Parse out;
  out.name = in.text();
  out.text = in.text();
  out.types = in.rest();
  const auto count = in.u16();
  in.take(std::size_t{count} * 4);
  if (!in.done())
    return fail(Code::protocol, "a Parse message of {} bytes is malformed", body.size());
  return out;
}

std::optional<BindFront> read_bind_front(Bytes body_front) {
  Reader in(body_front);
  BindFront out;
  out.portal = in.text();
  out.statement = in.text();
  if (!in.ok()) return std::nullopt;
  out.bytes = out.portal.size() + out.statement.size() + 2;
  return out;
}

Result<Target> read_target(Bytes body) {
  Reader in(body);
  Target out;
  out.kind = in.byte();
  out.name = in.text();
  if (!in.done())
    return fail(Code::protocol, "a Describe or Close message of {} bytes is malformed",
                body.size());
  if (out.kind != 'S' && out.kind != 'P')
    return fail(Code::protocol, "invalid subtype {} of a Describe or Close message",
                static_cast<int>(static_cast<unsigned char>(out.kind)));
  return out;
}

Result<Bytes> read_query(Bytes body) {
  Reader in(body);
  const Bytes text = in.text();
  if (!in.done())
    return fail(Code::protocol, "a Query message of {} bytes has no NUL at its end", body.size());
  return text;
}

Fields read_fields(Bytes body) {
  Reader in(body);
  Fields out;
  while (in.ok()) {
    const char kind = in.byte();
    if (kind == 0 || !in.ok()) break;
    const Bytes value = in.text();
    switch (kind) {
      case 'S':
        if (out.severity.empty()) out.severity = value;
        break;
      case 'V':
        out.severity = value;
        break;
      case 'C':
        out.sqlstate = value;
        break;
      case 'M':
        out.message = value;
        break;
      case 'D':
        out.detail = value;
        break;
      case 'H':
        out.hint = value;
        break;
      case 'R':
        out.routine = value;
        break;
      default:
        break;
    }
  }
  return out;
}

Result<std::pair<Bytes, Bytes>> read_parameter(Bytes body) {
  Reader in(body);
  const Bytes name = in.text();
  const Bytes value = in.text();
  if (!in.done())
    return fail(Code::protocol, "a ParameterStatus message of {} bytes is malformed", body.size());
  return std::pair{name, value};
}

Result<Notification> read_notification(Bytes body) {
  Reader in(body);
  Notification out;
  out.pid = in.u32();
  out.channel = in.text();
  out.payload = in.text();
  if (!in.done())
    return fail(Code::protocol, "a NotificationResponse message of {} bytes is malformed",
                body.size());
  return out;
}

Result<Startup> read_startup(Bytes packet) {
  Reader in(packet);
  Startup out;
  const auto length = in.u32();
  out.code = in.u32();
  if (!in.ok() || length != packet.size())
    return fail(Code::protocol, "a start-up packet of {} bytes is malformed", packet.size());
  if (out.code == kTlsCode || out.code == kGssCode) {
    if (!in.done())
      return fail(Code::protocol, "an encryption request has {} bytes", packet.size());
    return out;
  }
  if (out.code == kCancelCode) {
    out.cancel_pid = in.u32();
    out.cancel_key = in.rest();
    if (!in.ok() || out.cancel_key.size() < 4 || out.cancel_key.size() > 256)
      return fail(Code::protocol, "a cancel request has {} bytes", packet.size());
    return out;
  }
  if (out.code >> 16 != 3)
    return fail(Code::unsupported, "unsupported frontend protocol {}.{}: server supports 3.0",
                out.code >> 16, out.code & 0xffff);
  for (;;) {
    const Bytes name = in.text();
    if (!in.ok())
      return fail(Code::protocol,
                  "invalid startup packet layout: expected terminator as last byte");
    if (name.empty()) break;
    const Bytes value = in.text();
    if (!in.ok())
      return fail(Code::protocol, "invalid startup packet layout: parameter \"{}\" has no value",
                  name);
    out.parameters.emplace_back(name, value);
  }
  if (!in.done())
    return fail(Code::protocol, "invalid startup packet layout: expected terminator as last byte");
  return out;
}

namespace {

std::vector<std::string> split_words(std::string_view text) {
  static constexpr std::string_view kBlanks = " \t\n\r\v\f";
  std::vector<std::string> words;
  std::size_t at = 0;
  while (at < text.size()) {
    if (kBlanks.find(text[at]) != std::string_view::npos) {
      ++at;
      continue;
    }
    std::string word;
    for (; at < text.size() && kBlanks.find(text[at]) == std::string_view::npos; ++at) {
      if (text[at] == '\\' && ++at == text.size()) break;  // with nothing behind it, it is dropped
      word += text[at];
    }
    words.push_back(std::move(word));
  }
  return words;
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> read_options(std::string_view options) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto words = split_words(options);
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string setting;
    if (words[i].starts_with("--")) {
      setting = words[i].substr(2);
    } else if (words[i] == "-c") {
      if (i + 1 == words.size()) return fail(Code::invalid_value, "options: -c needs name=value");
      setting = words[++i];
    } else if (words[i].starts_with("-c")) {
      setting = words[i].substr(2);
    } else {
      return fail(Code::invalid_value,
                  "options: \"{}\" is not supported: only -c name=value and --name=value are",
                  words[i]);
    }
    const auto equals = setting.find('=');
    if (equals == 0 || equals == std::string::npos)
      return fail(Code::invalid_value, "options: \"{}\" is not name=value", setting);
    std::string name = setting.substr(0, equals);
    std::ranges::replace(name, '-', '_');
    out.emplace_back(std::move(name), setting.substr(equals + 1));
  }
  return out;
}

}  // namespace pgw::wire

#include "wire.h"

#include <fmt/format.h>

#include "base/bytes.h"

namespace pgw::sim {

std::optional<Message> Framer::next() {
  const std::size_t head = startup_ ? 4 : 5;
  const std::size_t have = buffer_.size() - at_;
  if (broken_ || have < head) return std::nullopt;
  const std::uint32_t length = get_u32(buffer_.data() + at_ + head - 4);
  if (length < 4 || length > 64u * 1024 * 1024 || (startup_ && (length < 8 || length > 10000))) {
    broken_ = true;
    return std::nullopt;
  }
  if (have < head - 4 + length) return std::nullopt;
  Message out;
  if (!startup_) out.type = buffer_[at_];
  out.body = buffer_.substr(at_ + head, length - 4);
  at_ += head - 4 + length;
  startup_ = false;
  if (at_ > 64 * 1024 || at_ == buffer_.size()) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  return out;
}

std::uint32_t Reader::u32() {
  const std::string four = raw(4);
  return ok_ ? get_u32(four.data()) : 0;
}

int Reader::u16() {
  const std::string two = raw(2);
  return ok_ ? get_u16(two.data()) : 0;
}

int Reader::u8() {
  const std::string one = raw(1);
  return ok_ ? static_cast<unsigned char>(one[0]) : 0;
}

std::string Reader::text() {
  const std::size_t n = left_.find('\0');
  if (n == std::string_view::npos) {
    ok_ = false;
    left_ = {};
    return {};
  }
  std::string out(left_.substr(0, n));
  left_.remove_prefix(n + 1);
  return out;
}

std::string Reader::raw(std::size_t n) {
  if (n > left_.size()) {
    ok_ = false;
    left_ = {};
    return {};
  }
  std::string out(left_.substr(0, n));
  left_.remove_prefix(n);
  return out;
}

std::string frame(char type, std::string_view body) {
  Body out;
  if (type) out.u8(type);
  out.u32(static_cast<std::uint32_t>(body.size()) + 4).raw(body);
  return out.take();
}

std::string frame(const Message& message) { return frame(message.type, message.body); }

std::string row_description(const std::vector<Column>& columns) {
  Body out;
  out.u16(static_cast<int>(columns.size()));
  for (const Column& c : columns)
    out.text(c.name).u32(0).u16(0).u32(25).u16(-1).u32(0xFFFFFFFF).u16(c.format);
  return out.take();
}

std::string data_row(const std::vector<std::string>& cells) {
  Body out;
  out.u16(static_cast<int>(cells.size()));
  for (const std::string& cell : cells) out.counted(cell);
  return out.take();
}

std::string row_with_nulls(const std::vector<std::optional<std::string>>& cells) {
  Body body;
  body.u16(static_cast<int>(cells.size()));
  for (const auto& cell : cells) cell ? body.counted(*cell) : body.u32(~0u);
  return body.take();
}

std::string error_body(std::string_view severity, std::string_view sqlstate, std::string_view text,
                       std::string_view routine) {
  Body out;
  out.u8('S').text(severity).u8('V').text(severity).u8('C').text(sqlstate).u8('M').text(text);
  out.u8('F').text("fake.c").u8('L').text("1");
  if (!routine.empty()) out.u8('R').text(routine);
  return out.u8(0).take();
}

std::string error_field(std::string_view body, char field) {
  Reader in(body);
  while (in.ok()) {
    const int letter = in.u8();
    if (letter == 0) break;
    std::string value = in.text();
    if (letter == field) return value;
  }
  return {};
}

std::string readable(const Message& message, bool from_client) {
  std::string text;
  for (const char c : message.body.substr(0, 100)) {
    const auto u = static_cast<unsigned char>(c);
    text += u >= 32 && u < 127 ? c : '.';
  }
  if (message.body.size() > 100) text += "...";
  const char type = message.type ? message.type : '-';
  return fmt::format("{} {} [{}] {}", from_client ? "->" : "<-", type, message.body.size(), text);
}

namespace {

// Finds "c<digits>.<digit>" from `at` on; moves `at` behind it.
std::optional<int> next_token(std::string_view bytes, std::size_t& at) {
  const auto digit = [&](std::size_t i) {
    return i < bytes.size() && bytes[i] >= '0' && bytes[i] <= '9';
  };
  while ((at = bytes.find('c', at)) != std::string_view::npos) {
    std::size_t i = ++at;
    int number = 0;
    for (; digit(i) && i < at + 6; ++i) number = number * 10 + (bytes[i] - '0');
    if (i > at && i < bytes.size() && bytes[i] == '.' && digit(i + 1)) return number;
  }
  return std::nullopt;
}

}  // namespace

std::optional<int> foreign_token(std::string_view bytes, int own) {
  std::size_t at = 0;
  while (const auto number = next_token(bytes, at))
    if (*number != own) return number;
  return std::nullopt;
}

std::optional<int> token_owner(std::string_view bytes) {
  std::size_t at = 0;
  return next_token(bytes, at);
}

}  // namespace pgw::sim

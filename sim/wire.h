// The protocol's messages for the simulated ends. On purpose it shares nothing with the pooler's
// own codec, so that a mistake there cannot hide behind the same mistake here.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgw::sim {

struct Message {
  char type = 0;  // 0: a start-up packet
  std::string body;
  bool operator==(const Message&) const = default;
};

// Cuts a stream of bytes into messages.
class Framer {
 public:
  explicit Framer(bool startup_first) : startup_(startup_first) {}
  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // Empty: more bytes are needed, or (then broken() is true) they make no sense.
  std::optional<Message> next();
  bool broken() const { return broken_; }
  void expect_startup() { startup_ = true; }
  bool empty() const { return at_ == buffer_.size(); }

 private:
  std::string buffer_;
  std::size_t at_ = 0;
  bool startup_;
  bool broken_ = false;
};

// Appends fields to a body.
class Body {
 public:
  Body& u8(int value) { return out_.push_back(static_cast<char>(value)), *this; }
  Body& u16(int value) { return u8(value >> 8).u8(value); }
  Body& u32(std::uint32_t value) {
    return u8(static_cast<int>(value >> 24))
        .u8(static_cast<int>(value >> 16))
        .u8(static_cast<int>(value >> 8))
        .u8(static_cast<int>(value));
  }
  Body& text(std::string_view value) { return out_.append(value), u8(0); }
  Body& raw(std::string_view value) { return out_.append(value), *this; }
  Body& counted(std::string_view value) {
    return u32(static_cast<std::uint32_t>(value.size())).raw(value);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Takes fields off a body; after a step beyond the end, ok() is false and everything is empty.
class Reader {
 public:
  explicit Reader(std::string_view body) : left_(body) {}
  std::uint32_t u32();
  int u16();
  int u8();
  std::string text();
  std::string raw(std::size_t n);
  bool ok() const { return ok_; }
  bool at_end() const { return left_.empty(); }

 private:
  std::string_view left_;
  bool ok_ = true;
};

std::string frame(char type, std::string_view body);
std::string frame(const Message& message);

struct Column {
  std::string name;
  int format = 0;
};
std::string row_description(const std::vector<Column>& columns);
std::string data_row(const std::vector<std::string>& cells);
std::string row_with_nulls(const std::vector<std::optional<std::string>>& cells);
std::string error_body(std::string_view severity, std::string_view sqlstate, std::string_view text,
                       std::string_view routine = "");
// The field of this letter of an ErrorResponse or NoticeResponse; empty when it is not there.
std::string error_field(std::string_view body, char field);

// For traces: control bytes as dots, long ones cut.
std::string readable(const Message& message, bool from_client);

// The number of the first client, other than `own`, whose token ("c17.42") is in these bytes.
std::optional<int> foreign_token(std::string_view bytes, int own);
// The client of the first token in these bytes.
std::optional<int> token_owner(std::string_view bytes);

}  // namespace pgw::sim

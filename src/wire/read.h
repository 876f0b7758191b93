// Readers of message bodies. Views into the input; every length is checked; nothing is allocated
// but to describe a failure. Field order as in "Message Formats" of PostgreSQL's protocol chapter.
#pragma once
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace pgw::wire {

// Takes fields off the front; once something is missing, ok() is false and stays so.
class Reader {
 public:
  explicit Reader(Bytes in) : in_(in) {}
  Bytes text();  // up to a NUL, which is taken too
  std::uint32_t u32();
  std::uint16_t u16();
  char byte();
  Bytes take(std::size_t n);
  Bytes rest() const { return in_; }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && in_.empty(); }

 private:
  bool need(std::size_t n);
  Bytes in_;
  bool ok_ = true;
};

struct Parse {
  Bytes name;
  Bytes text;
  Bytes types;  // the raw list: a count and object ids, as it was sent
};
Result<Parse> read_parse(Bytes body);

// The front of a Bind: what comes after the two names is not looked at.
struct BindFront {
  Bytes portal;
  Bytes statement;
  std::size_t bytes = 0;  // of the body, both NULs included
};
// nullopt: the two names are not all there yet.
std::optional<BindFront> read_bind_front(Bytes body_front);

// Describe and Close: kind is 'S' (statement) or 'P' (portal).
struct Target {
  char kind = 0;
  Bytes name;
};
Result<Target> read_target(Bytes body);

// Query: the text without its NUL.
Result<Bytes> read_query(Bytes body);

struct Fields {    // of an ErrorResponse or NoticeResponse; empty when absent
  Bytes severity;  // the field V where there is one, else S
  Bytes sqlstate;
  Bytes message;
  Bytes detail;
  Bytes hint;
  Bytes routine;
};
Fields read_fields(Bytes body);

// ParameterStatus: name and value.
Result<std::pair<Bytes, Bytes>> read_parameter(Bytes body);

// NotificationResponse.
struct Notification {
  std::uint32_t pid = 0;  // of the backend that sent it
  Bytes channel;
  Bytes payload;
};
Result<Notification> read_notification(Bytes body);

// The first packet of a connection has no tag: a length, then a code.
inline constexpr std::uint32_t kCancelCode = 80877102;
inline constexpr std::uint32_t kTlsCode = 80877103;
inline constexpr std::uint32_t kGssCode = 80877104;
inline constexpr std::uint32_t kStartupBytesMax =
    10000;  // MAX_STARTUP_PACKET_LENGTH in PostgreSQL's pqcomm.h

struct Startup {
  std::uint32_t code = 0;  // a protocol version (major << 16 | minor), or one of the codes above
  std::uint32_t cancel_pid = 0;
  Bytes cancel_key;
  std::vector<std::pair<std::string, std::string>> parameters;
};
// `packet` is the whole packet with its length.
Result<Startup> read_startup(Bytes packet);

// The `options` start-up parameter as PostgreSQL splits it (pg_split_opts): words parted by blanks,
// a backslash takes the next character as it is. Gives the settings of `-c name=value`,
// `-cname=value` and `--name=value`.
Result<std::vector<std::pair<std::string, std::string>>> read_options(std::string_view options);

}  // namespace pgw::wire

// Writers of messages: each appends one whole message to `out`.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace pgw::wire {

// Opens a message at construction and writes its length at the end of its life.
class Message {
 public:
  Message(std::string& out, char tag) : out_(out) {
    out_ += tag;
    at_ = out_.size();
    out_.append(4, '\0');
  }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  ~Message() { put_u32(out_.data() + at_, static_cast<std::uint32_t>(out_.size() - at_)); }
  Message& text(Bytes value) {  // with a NUL
    out_ += value;
    out_ += '\0';
    return *this;
  }
  Message& raw(Bytes value) {
    out_ += value;
    return *this;
  }
  Message& byte(char value) {
    out_ += value;
    return *this;
  }
  Message& u32(std::uint32_t value);
  Message& u16(std::uint16_t value);

 private:
  std::string& out_;
  std::size_t at_;
};

// To a client.
enum class Severity : std::uint8_t { error, fatal, notice, warning };
void write_error(std::string& out, Severity severity, std::string_view sqlstate,
                 std::string_view message, std::string_view hint = {}, std::string_view detail = {},
                 std::string_view routine = {});
void write_error(std::string& out, Severity severity, const Error& error);
void write_ready(std::string& out, char status);
void write_parameter(std::string& out, std::string_view name, std::string_view value);
void write_key(std::string& out, std::uint32_t pid, std::uint32_t key);
void write_auth(std::string& out, std::uint32_t kind, Bytes data = {});
inline constexpr std::uint32_t kAuthOk = 0, kAuthPassword = 3, kAuthMd5 = 5, kAuthSasl = 10,
                               kAuthSaslContinue = 11, kAuthSaslFinal = 12;
// `minor`: the newest that is served. PostgreSQL sends the whole version number, 3.minor.
void write_negotiate(std::string& out, std::uint32_t minor,
                     const std::vector<std::string>& unknown);

// To a server.
void write_query(std::string& out, std::string_view text);
void write_parse(std::string& out, std::string_view name, std::string_view text, Bytes types);
void write_close(std::string& out, char kind, std::string_view name);
void write_describe(std::string& out, char kind, std::string_view name);
void write_execute(std::string& out, std::string_view portal);  // all rows
void write_sync(std::string& out);
void write_flush(std::string& out);
void write_copy_fail(std::string& out, std::string_view reason);
void write_terminate(std::string& out);
void write_password(std::string& out, std::string_view password);  // with a NUL
void write_sasl_initial(std::string& out, std::string_view mechanism, Bytes data);
void write_sasl(std::string& out, Bytes data);
void write_startup(std::string& out,
                   const std::vector<std::pair<std::string, std::string>>& parameters);
void write_cancel(std::string& out, std::uint32_t pid, Bytes key);
// The header and the two names of a Bind whose remaining `rest_bytes` follow.
void write_bind_front(std::string& out, std::string_view portal, std::string_view statement,
                      std::size_t rest_bytes);

}  // namespace pgw::wire

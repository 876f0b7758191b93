// A connection that has not proven yet who it is: the start-up packet, the refusal of encryption,
// the password. Thread: the worker that accepted it. Owned by that worker.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "auth/scram.h"
#include "auth/secret.h"
#include "client/admission.h"
#include "net/loop.h"

namespace pgw::client {

class Worker;

class Login final : net::StreamSink {
 public:
  Login(Worker& worker, const config::Listen& listener, std::unique_ptr<net::Stream> stream);
  ~Login();
  Login(const Login&) = delete;
  Login& operator=(const Login&) = delete;

 private:
  enum class Step : std::uint8_t { startup, password, md5, scram_first, scram_final, busy, done };

  void on_bytes(Bytes bytes) override;
  void on_end(const Error& why) override;
  void next();
  bool startup();
  bool greet(Bytes packet);
  void cancel(std::uint32_t pid, Bytes key);
  bool answer();
  void ask();
  void check_password(std::string given);
  void scram(Bytes body);
  void begin_scram(Bytes client_first);
  void choose_verifier();
  void wrong_password();
  void proven();
  void fail_with(const Error& why);
  void finish();

  Worker& worker_;
  std::unique_ptr<net::Stream> stream_;
  std::string in_;
  Admission admission_;
  std::optional<auth::Secret> secret_;
  std::optional<auth::ScramVerifier> verifier_;  // for SCRAM
  std::optional<auth::ScramServer> scram_;
  auth::Md5Salt salt_{};
  Step step_ = Step::startup;
  unsigned requests_ = 0;  // for encryption
  net::Timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pgw::client

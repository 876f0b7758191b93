#include "client/login.h"

#include <optional>
#include <utility>

#include "client/worker.h"
#include "wire/frame.h"
#include "wire/read.h"
#include "wire/write.h"

namespace pgw::client {

namespace {

constexpr std::uint32_t kPasswordMessageMax = 65535;  // PG_MAX_AUTH_TOKEN_LENGTH
constexpr Duration kLinger = 2s;
constexpr std::size_t kSlowLoginsMax = 256;  // passwords waiting to be checked: about 0.2 s

// The boolean that `text` is to PostgreSQL (parse_bool): a word or an unambiguous beginning of it.
std::optional<bool> boolean(std::string_view text) {
  static constexpr std::pair<std::string_view, bool> kWords[] = {
      {"true", true}, {"false", false}, {"yes", true}, {"no", false},
      {"on", true},   {"off", false},   {"1", true},   {"0", false}};
  const std::string low = lowered(text);
  if (low.empty() || low == "o") return {};
  for (const auto& [word, value] : kWords)
    if (word.starts_with(low)) return value;
  return {};
}

}  // namespace

Login::Login(Worker& worker, const config::Listen& listener, std::unique_ptr<net::Stream> stream)
    : worker_(worker),
      stream_(std::move(stream)),
      timer_(
          [](void* self) {
            auto& login = *static_cast<Login*>(self);
            login.fail_with(
                Error(Code::login_timeout,
                      fmt::format("the login took longer than {} ms",
                                  login.worker_.settings().login_timeout.count() / 1000)));
          },
          this) {
  admission_.mode = listener.mode;
  admission_.listener_app = listener.app;
  stream_->set_sink(*this);
  worker_.loop().arm(timer_, worker_.settings().login_timeout);
  worker_.gauges().logins.add(1);
}

Login::~Login() { worker_.gauges().logins.add(-1); }

void Login::on_end(const Error&) { finish(); }

// The worker destroys it a little later: it may be what is running.
void Login::finish() {
  if (step_ == Step::done) return;
  step_ = Step::done;
  timer_.disarm();
  stream_.reset();
  worker_.forget(*this);
}

void Login::fail_with(const Error& why) {
  if (step_ == Step::done) return;
  log(Level::info,
      {.client = stream_->peer(),
       .user = admission_.user,
       .database = admission_.database,
       .app = admission_.app},
      "login refused: {}", why.what());
  std::string out;
  wire::write_error(out, wire::Severity::fatal, why);
  stream_->send(out);
  net::Stream::close_gently(std::move(stream_), kLinger);
  finish();
}

void Login::on_bytes(Bytes bytes) {
  in_ += bytes;
  next();
}

void Login::next() {
  while (step_ != Step::done && step_ != Step::busy) {
    if (step_ == Step::startup ? !startup() : !answer()) return;
  }
  if (step_ == Step::busy && in_.size() > kPasswordMessageMax) stream_->pause();
}

// False: more bytes are needed, or it is over.
bool Login::startup() {
  if (in_.size() < 4) return false;
  const auto length = get_u32(in_.data());
  if (length < 8 || length > wire::kStartupBytesMax) {
    fail_with(
        Error(Code::protocol, fmt::format("invalid length of startup packet: {} bytes", length)));
    return false;
  }
  if (in_.size() < length) return false;
  const std::string packet = in_.substr(0, length);
  in_.erase(0, length);
  return greet(packet);
}

// The connection is closed when the cancel is over, as PostgreSQL does it: a client that waits for
// that may send its next query without fear for it.
void Login::cancel(std::uint32_t pid, Bytes key) {
  struct Ticket {
    net::Loop& loop;
    Login* login;
    std::weak_ptr<bool> alive;
    Ticket(net::Loop& its_loop, Login* its_login, std::weak_ptr<bool> its_alive)
        : loop(its_loop), login(its_login), alive(std::move(its_alive)) {}
    ~Ticket() {
      loop.post([login = login, alive = std::move(alive)] {
        if (!alive.expired()) login->finish();
      });
    }
  };
  step_ = Step::busy;
  if (key.size() != 4) return finish();
  worker_.route_cancel(pid, get_u32(key.data()),
                       std::make_shared<Ticket>(worker_.loop(), this, alive_));
}

bool Login::greet(Bytes bytes) {
  auto packet = wire::read_startup(bytes);
  if (!packet) {
    fail_with(packet.error());
    return false;
  }
  if (packet->code == wire::kTlsCode || packet->code == wire::kGssCode) {
    // One of each is what libpq sends; nothing may follow it before it was answered.
    if (++requests_ > 2 || !in_.empty()) {
      fail_with(Error(Code::protocol, "received unencrypted data after an encryption request"));
      return false;
    }
    stream_->send("N");
    return true;
  }
  if (packet->code == wire::kCancelCode) {
    cancel(packet->cancel_pid, packet->cancel_key);
    return false;
  }
  std::vector<std::string> unknown;
  for (const auto& [name, value] : packet->parameters) {
    if (name == "user") admission_.user = value;
    if (name == "database") admission_.database = value;
    if (name == "application_name") admission_.app = value;
    if (name == "options") admission_.options = value;
    if (name == "replication") {
      const auto yes = value == "database" ? true : boolean(value);
      if (!yes) {
        fail_with(Error(Code::invalid_value,
                        fmt::format("invalid value for parameter \"replication\": \"{}\"", value))
                      .with_hint("Valid values are: \"false\", 0, \"true\", 1, \"database\"."));
        return false;
      }
      admission_.replication = *yes ? value : std::string();
    }
    if (name.starts_with("_pq_.")) unknown.push_back(name);
  }
  if (admission_.user.empty()) {
    fail_with(
        Error(Code::invalid_authorization, "no PostgreSQL user name specified in startup packet"));
    return false;
  }
  if (admission_.database.empty()) admission_.database = admission_.user;
  auto settings = relay::settings_of(packet->parameters);
  if (!settings) {
    fail_with(settings.error());
    return false;
  }
  admission_.settings = std::move(*settings);
  if ((packet->code & 0xffff) != 0 || !unknown.empty()) {
    std::string out;
    wire::write_negotiate(out, 0, unknown);
    stream_->send(out);
  }
  if (worker_.draining()) {
    fail_with(Error(Code::shutdown, "pgweir is shutting down"));
    return false;
  }
  ask();
  return step_ != Step::busy && step_ != Step::done;
}

// Who it says it is, is known: what must it prove?
void Login::ask() {
  const auto& users = worker_.users();
  const auto* const secret = users.find(admission_.user);
  if (secret) secret_ = *secret;
  const auto method = worker_.snapshot().auth.method;
  if (method == config::AuthMethod::trust) return proven();
  const auto mock = users.mock(admission_.user, worker_.process_secret());
  if (!secret) secret_ = mock;
  std::string out;
  // As in PostgreSQL, md5 means SCRAM for a user whose secret is a SCRAM one.
  if (method == config::AuthMethod::password) {
    wire::write_auth(out, wire::kAuthPassword);
    step_ = Step::password;
  } else if (method == config::AuthMethod::md5 && secret_->kind() != auth::Secret::Kind::scram) {
    const std::string salt = worker_.context().random.bytes(salt_.size());
    std::copy(salt.begin(), salt.end(), salt_.begin());
    wire::write_auth(out, wire::kAuthMd5, salt);
    step_ = Step::md5;
  } else {
    choose_verifier();
    wire::write_auth(out, wire::kAuthSasl, Bytes("SCRAM-SHA-256\0\0", 15));
    step_ = Step::scram_first;
  }
  stream_->send(out);
}

// One message of the client's answer. False: more bytes are needed, or it is over, or being worked
// on.
bool Login::answer() {
  wire::Header header;
  const auto peek = wire::peek_header(in_, kPasswordMessageMax, header);
  if (peek == wire::Peek::need_more) return false;
  if (peek == wire::Peek::broken) {
    fail_with(wire::broken_header(in_, kPasswordMessageMax));
    return false;
  }
  const std::size_t total = wire::kHeaderBytes + header.body_bytes;
  if (header.tag != 'p') {
    if (header.tag == 'X') {
      finish();
    } else {
      fail_with(Error(Code::protocol,
                      fmt::format("expected password response, got message type {}",
                                  static_cast<unsigned>(static_cast<unsigned char>(header.tag)))));
    }
    return false;
  }
  if (in_.size() < total) return false;
  const std::string message = in_.substr(0, total);
  in_.erase(0, total);
  const Bytes body = Bytes(message).substr(wire::kHeaderBytes);
  if (step_ == Step::password || step_ == Step::md5) {
    wire::Reader reader(body);
    const Bytes text = reader.text();
    if (!reader.done()) {
      fail_with(Error(Code::protocol, "a password message is malformed"));
    } else if (step_ == Step::password) {
      check_password(std::string(text));
    } else if (secret_->verify_md5(admission_.user, salt_, text)) {
      proven();
    } else {
      wrong_password();
    }
  } else {
    scram(body);
  }
  return step_ != Step::done && step_ != Step::busy;
}

// Slow for a SCRAM secret: not on the worker.
void Login::check_password(std::string given) {
  struct Work {
    std::string user, given;
    auth::Secret secret;
    bool right = false;
  };
  if (worker_.context().offload.waiting() >= kSlowLoginsMax)
    return fail_with(Error(Code::too_many_connections, "too many logins at once; try again later"));
  step_ = Step::busy;
  auto work = std::make_shared<Work>(Work{admission_.user, std::move(given), *secret_, false});
  worker_.context().offload.submit(
      worker_.loop(),
      [work] { work->right = work->secret.verify_password(work->user, work->given); },
      [this, work, alive = std::weak_ptr(alive_)] {
        if (alive.expired() || step_ == Step::done) return;
        if (!work->right) return wrong_password();
        admission_.credentials.password = work->given;
        proven();
      });
}

void Login::scram(Bytes body) {
  std::string out;
  if (step_ == Step::scram_first) {
    wire::Reader in(body);
    const Bytes mechanism = in.text();
    const auto length = in.u32();
    const Bytes client_first = in.take(length);
    if (!in.done() || mechanism != auth::kScramSha256)
      return fail_with(
          Error(Code::protocol, "client selected an invalid SASL authentication mechanism"));
    return begin_scram(client_first);
  }
  auto final = scram_->final(body);
  if (!final) {
    if (final.error().code() == Code::invalid_password) return wrong_password();
    return fail_with(final.error());
  }
  wire::write_auth(out, wire::kAuthSaslFinal, *final);
  stream_->send(out);
  admission_.credentials.keys = scram_->keys();
  proven();
}

// It is in the users' file, or was made of a plain password when that was read. All is looked up
// and made for everybody, so that the time tells nothing about who exists.
void Login::choose_verifier() {
  verifier_ = auth::mock_verifier(admission_.user, worker_.process_secret());
  const auto* made = worker_.verifiers().find(admission_.user);
  if (const auto* own = secret_->scram()) {
    verifier_ = *own;
  } else if (made && secret_->kind() == auth::Secret::Kind::plain) {
    verifier_ = *made;
  }
}

void Login::begin_scram(Bytes client_first) {
  scram_.emplace(std::move(*verifier_),
                 auth::base64(worker_.context().random.bytes(auth::kScramNonceBytes)));
  auto first = scram_->first(client_first);
  if (!first) return fail_with(first.error());
  std::string out;
  wire::write_auth(out, wire::kAuthSaslContinue, *first);
  stream_->send(out);
  step_ = Step::scram_final;
}

void Login::wrong_password() {
  fail_with(Error(Code::invalid_password,
                  fmt::format("password authentication failed for user \"{}\"", admission_.user)));
}

void Login::proven() {
  const auto* database = worker_.snapshot().find(admission_.database);
  if (!database)
    return fail_with(Error(Code::unknown_database,
                           fmt::format("database \"{}\" does not exist", admission_.database)));
  admission_.authenticated = worker_.snapshot().auth.method != config::AuthMethod::trust;
  admission_.credentials.user = admission_.user;
  if (secret_ && !secret_->is_mock() && secret_->kind() != auth::Secret::Kind::scram)
    admission_.credentials.secret = secret_;
  wire::write_auth(admission_.greeting, wire::kAuthOk);
  step_ = Step::busy;
  timer_.disarm();
  auto stream = std::move(stream_);
  worker_.place(std::move(admission_), std::move(stream), std::move(in_));
  finish();
}

}  // namespace pgw::client

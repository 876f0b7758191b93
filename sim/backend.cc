// The scripted PostgreSQL's backend: bytes in and out, login, end.
#include "backend.h"

#include "password.h"

namespace pgw::sim {

namespace {
constexpr std::uint32_t kCancelCode = 80877102;
constexpr std::uint32_t kSslCode = 80877103;
constexpr std::uint32_t kGssCode = 80877104;
constexpr std::size_t kBuffer = 8192;  // PostgreSQL sends when this much is waiting, or when told
}  // namespace

Backend::Backend(Postgres& postgres, std::unique_ptr<net::Stream> stream, int pid)
    : postgres_(postgres),
      sim_(postgres.sim()),
      stream_(std::move(stream)),
      pid_(pid),
      key_(static_cast<std::uint32_t>(sim_.random.next())),
      alarm_(
          [](void* self) {
            auto& it = *static_cast<Backend*>(self);
            if (it.activity_) it.activity_->asleep = false;
            if (!it.stream_) return it.leave();
            it.pump();
          },
          this) {
  link_ = static_cast<SimStream&>(*stream_).shared_link();
  stream_->set_sink(*this);
}

bool Backend::holder_left() const {
  const Link::End& e = link_->end(0);
  return e.closed || e.reset || e.closing || !stream_;
}

std::string Backend::describe() const {
  return fmt::format("pg{} {}/{} {} {}{}{}", pid_, database_, user_, block_,
                     activity_ ? render(activity_->statement) : "idle", copy_ ? " copy" : "",
                     holder_left() ? " (left)" : "");
}

void Backend::put(char type, std::string_view body) {
  if (sim_.tracing()) sim_.trace("pg{} {}", pid_, readable({type, std::string(body)}, false));
  out_ += frame(type, body);
  if (out_.size() >= kBuffer) flush();
}

void Backend::flush() {
  if (stream_ && !out_.empty()) stream_->send(out_);
  out_.clear();
}

bool Backend::blocked() {
  return (activity_ && activity_->asleep) ||
         (stream_ && stream_->queued() >= net::Stream::kHighWater);
}

void Backend::on_bytes(Bytes bytes) {
  framer_.feed(bytes);
  pump();
}

void Backend::pump() {
  if (pumping_) return;
  pumping_ = true;
  while (stage_ != Stage::gone && !blocked()) {
    if (activity_) {
      if (advance()) continue;
      break;
    }
    if (simple_ && !copy_) {
      next_simple();
      continue;
    }
    const auto message = framer_.next();
    if (!message) break;
    sim_.trace("pg{} {}", pid_, readable(*message, true));
    stage_ == Stage::ready ? handle(*message) : login(*message);
  }
  pumping_ = false;
  if (stage_ == Stage::gone) return;
  if (framer_.broken()) return refuse("08P01", "invalid length of message");
  if (stream_) blocked() ? stream_->pause() : stream_->resume();
}

void Backend::on_end(const Error& why) {
  sim_.trace("pg{} end: {}", pid_, why.what());
  stream_.reset();
  // As PostgreSQL: a backend that is busy learns of it only when its query is over.
  if (activity_ && activity_->asleep) return;
  leave();
}

void Backend::leave() {
  if (stage_ == Stage::gone) return;
  stage_ = Stage::gone;
  alarm_.disarm();
  activity_.reset();
  copy_.reset();
  if (open_) rollback();
  postgres_.unlock_all(*this);
  postgres_.keep_here(*this, {});
  if (stream_) {
    flush();
    net::Stream::close_gently(std::move(stream_), 10s);
  }
  postgres_.gone(*this);
}

void Backend::die(bool politely) {
  if (stage_ == Stage::gone) return;
  if (politely && stream_) {
    put('E', error_body("FATAL", "57P01", "terminating connection due to administrator command"));
    return leave();
  }
  sim_.trace("pg{} crashes", pid_);
  link_->break_now();
  stream_.reset();
  leave();
}

void Backend::refuse(std::string_view sqlstate, std::string_view text) {
  put('E', error_body("FATAL", sqlstate, text));
  leave();
}

void Backend::login(const Message& message) {
  if (stage_ == Stage::password) return check_password(message);
  Reader in(message.body);
  version_ = in.u32();
  if (version_ == kSslCode || version_ == kGssCode) {
    stream_->send("N");
    return framer_.expect_startup();
  }
  if (version_ == kCancelCode) {
    cancel_ = true;
    const int pid = static_cast<int>(in.u32());
    postgres_.cancel(pid, in.u32(), link_);
    return leave();
  }
  if (version_ >> 16 != 3) return refuse("0A000", "unsupported frontend protocol");
  startup(in);
}

void Backend::startup(Reader& in) {
  while (in.ok()) {
    const std::string name = in.text();
    if (name.empty()) break;
    if (!take_parameter(name, in.text())) return;
  }
  if (user_.empty()) return refuse("28000", "no PostgreSQL user name specified in startup packet");
  if (database_.empty()) database_ = user_;
  if ((version_ & 0xFFFF) != 0 || !odd_options_.empty()) {
    Body body;
    body.u32(0).u32(static_cast<std::uint32_t>(odd_options_.size()));
    for (const std::string& option : odd_options_) body.text(option);
    put('v', body.take());
  }
  if (postgres_.starting()) return refuse("57P03", "the database system is starting up");
  if (!replication_ && postgres_.full()) return refuse("53300", "sorry, too many clients already");
  switch (postgres_.options().ask) {
    case Ask::trust:
      return welcome();
    case Ask::password:
      put('R', Body().u32(3).take());
      break;
    case Ask::md5:
      salt_ = Body().u32(static_cast<std::uint32_t>(sim_.random.next())).take();
      put('R', Body().u32(5).raw(salt_).take());
      break;
    case Ask::scram:
      put('R', Body().u32(10).text("SCRAM-SHA-256").u8(0).take());
      break;
  }
  stage_ = Stage::password;
  flush();
}

bool Backend::take_parameter(const std::string& name, const std::string& value) {
  if (name == "user") return user_ = value, true;
  if (name == "database") return database_ = value, true;
  if (name == "replication") return replication_ = true;
  if (name == "options") return take_options(value);
  if (name.starts_with("_pq_.")) return odd_options_.push_back(name), true;
  const std::string setting = setting_name(name);
  if (setting.empty()) {
    refuse("42704", fmt::format("unrecognized configuration parameter \"{}\"", name));
    return false;
  }
  initial_[setting] = value;
  return true;
}

// "-c name=value" and "--name=value"; a backslash keeps the space or backslash behind it.
bool Backend::take_options(const std::string& options) {
  std::vector<std::string> words{""};
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (options[i] == '\\' && i + 1 < options.size()) {
      words.back() += options[++i];
    } else if (options[i] == ' ') {
      words.emplace_back();
    } else {
      words.back() += options[i];
    }
  }
  std::erase(words, "");
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string word = words[i];
    if (word == "-c" && i + 1 < words.size()) {
      word = words[++i];
    } else if (word.starts_with("-c") || word.starts_with("--")) {
      word = word.substr(2);
    } else {
      return refuse("42601", "invalid command-line argument for server process"), false;
    }
    const std::size_t equal = word.find('=');
    if (equal == std::string::npos) return refuse("42601", "an option has no value"), false;
    if (!take_parameter(word.substr(0, equal), word.substr(equal + 1))) return false;
  }
  return true;
}

void Backend::check_password(const Message& message) {
  const auto [first, last] = postgres_.options().passwords.equal_range(user_);
  bool right = false;
  if (message.type == 'p' && postgres_.options().ask == Ask::scram) {
    if (!scram_) {
      std::vector<ScramSecret> secrets;
      for (auto it = first; it != last; ++it) secrets.push_back(scram_secret(user_, it->second));
      scram_.emplace(std::move(secrets), fmt::format("server{}", sim_.random.next()));
      Reader in(message.body);
      const std::string method = in.text();
      const auto answer = scram_->first(in.raw(in.u32()));
      if (answer && in.ok() && method == "SCRAM-SHA-256") {
        put('R', Body().u32(11).raw(*answer).take());
        return flush();
      }
    } else if (const auto answer = scram_->last(message.body)) {
      put('R', Body().u32(12).raw(*answer).take());
      right = true;
    }
  } else if (message.type == 'p') {
    const std::string given = Reader(message.body).text();
    const bool md5 = postgres_.options().ask == Ask::md5;
    for (auto it = first; it != last; ++it)
      right |= given == (md5 ? md5_answer(user_, it->second, salt_) : it->second);
  }
  if (right) return welcome();
  refuse("28P01", fmt::format("password authentication failed for user \"{}\"", user_));
}

void Backend::welcome() {
  if (!replication_ && postgres_.full()) return refuse("53300", "sorry, too many clients already");
  stage_ = Stage::ready;
  put('R', Body().u32(0).take());
  const auto report = [&](std::string_view name, std::string_view value) {
    put('S', Body().text(name).text(value).take());
  };
  for (const Setting& s : kSettings) {
    if (!s.reported) continue;
    reported_[s.name] = *value_of(s.name);
    report(s.name, reported_[s.name]);
  }
  report("server_version", "15.8 (simulated)");
  report("server_encoding", "UTF8");
  report("integer_datetimes", "on");
  report("standard_conforming_strings", "on");
  report("IntervalStyle", "postgres");
  report("is_superuser", "off");
  report("session_authorization", user_);
  report("default_transaction_read_only", "off");
  report("in_hot_standby", "off");
  put('K', Body().u32(static_cast<std::uint32_t>(pid_)).u32(key_).take());
  ready_for_query();
  postgres_.logged_in(*this);
}

}  // namespace pgw::sim

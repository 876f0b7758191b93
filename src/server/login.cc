#include "server/login.h"

#include "wire/read.h"
#include "wire/write.h"

namespace pgw::server {
namespace {

// SQLSTATEs that say "not now": another attempt may succeed.
bool passing(Bytes state) {
  return state == "53300" || state == "57P03" || state == "57P01" || state == "57P02" ||
         state == "57P05" || state.starts_with("08") || state.starts_with("53") ||
         state.starts_with("58");
}

}  // namespace

std::unexpected<Error> Login::refused(Bytes body) {
  const auto fields = wire::read_fields(body);
  definite_ = !passing(fields.sqlstate);
  // One role's or one database's own limit (CONNECTION LIMIT) says nothing about others.
  host_full_ = fields.sqlstate == "53300" && fields.routine != "InitializeSessionUserId" &&
               fields.routine != "CheckMyDatabase" && fields.routine != "InitWalSenderSlot";
  Error error(definite_ ? Code::invalid_authorization : Code::cannot_connect,
              std::string(fields.message));
  if (fields.sqlstate.size() == 5) (void)std::move(error).with_state(fields.sqlstate);
  if (!fields.hint.empty()) (void)std::move(error).with_hint(std::string(fields.hint));
  return std::unexpected(std::move(error));
}

std::unexpected<Error> Login::no_password(std::string_view method) {
  definite_ = true;
  return std::unexpected(
      Error(Code::invalid_password, fmt::format("PostgreSQL asks for a password ({}) for user "
                                                "\"{}\", and pgweir has none that serves",
                                                method, credentials_.user))
          .with_hint("Give a password in the database's url, or a plain (or matching) secret for "
                     "this user in auth.file."));
}

std::unexpected<Error> Login::unproven() {
  return fail(Code::protocol, "PostgreSQL ended SCRAM without proving that it knows the secret");
}

Result<Login::Next> Login::message(char tag, Bytes body, const std::string& nonce,
                                   std::string& out) {
  wire::Reader in(body);
  switch (tag) {
    case 'R':
      return authentication(body, nonce, out);
    case 'E':
      return refused(body);
    case 'N':
    case 'v':
      return Next::more;
    case 'S': {
      PGW_TRY(parameter, wire::read_parameter(body));
      relay::remember(reported, parameter.first, parameter.second);
      return Next::more;
    }
    case 'K':
      pid = in.u32();
      key = in.rest();
      if (!in.ok() || key.size() < 4 || key.size() > 256)
        return fail(Code::protocol, "PostgreSQL sent a BackendKeyData of {} bytes", body.size());
      return Next::more;
    case 'Z':
      if (scram_ && !proven_) return unproven();
      return Next::ready;
    default:
      return fail(Code::protocol, "PostgreSQL sent message {} while pgweir logs in",
                  static_cast<int>(tag));
  }
}

Result<Login::Next> Login::authentication(Bytes body, const std::string& nonce, std::string& out) {
  wire::Reader in(body);
  const auto kind = in.u32();
  const Bytes data = in.rest();
  if (!in.ok()) return fail(Code::protocol, "PostgreSQL sent a malformed authentication request");
  switch (kind) {
    case wire::kAuthOk:
      if (scram_ && !proven_) return unproven();
      return Next::more;
    case wire::kAuthPassword:
      if (credentials_.password) {
        wire::write_password(out, *credentials_.password);
      } else if (credentials_.secret && credentials_.secret->kind() == auth::Secret::Kind::plain) {
        wire::write_password(out, credentials_.secret->text());
      } else {
        return no_password("password");
      }
      return Next::more;
    case wire::kAuthMd5: {
      if (data.size() != 4)
        return fail(Code::protocol, "PostgreSQL sent an MD5 salt of {} bytes", data.size());
      auth::Md5Salt salt;
      std::copy(data.begin(), data.end(), salt.begin());
      auto secret = credentials_.secret;
      if (credentials_.password) {
        PGW_TRY(parsed, auth::Secret::parse(*credentials_.password));
        secret = parsed;
      }
      if (!secret || secret->kind() == auth::Secret::Kind::scram) return no_password("md5");
      PGW_TRY(answer, secret->md5_answer(credentials_.user, salt));
      wire::write_password(out, answer);
      return Next::more;
    }
    case wire::kAuthSasl: {
      if (scram_) return fail(Code::protocol, "PostgreSQL began SCRAM twice");
      bool offered = false;
      for (Bytes name = in.text(); in.ok() && !name.empty(); name = in.text())
        offered |= name == auth::kScramSha256;
      if (!offered) {
        definite_ = true;
        return fail(Code::unsupported,
                    "PostgreSQL offers no SASL mechanism that pgweir speaks (SCRAM-SHA-256)");
      }
      scram_.emplace();
      wire::write_sasl_initial(out, auth::kScramSha256, scram_->first(nonce));
      return Next::more;
    }
    case wire::kAuthSaslContinue:
      return sasl_continue(data, out);
    case wire::kAuthSaslFinal:
      if (!answered_ || proven_)
        return fail(Code::protocol, "PostgreSQL sent the end of SCRAM where it cannot be");
      PGW_DO(scram_->verify(data));
      proven_ = true;
      return Next::more;
    default:
      definite_ = true;
      return fail(Code::unsupported,
                  "PostgreSQL asks for authentication method {}, which pgweir does not speak",
                  kind);
  }
}

Result<Login::Next> Login::sasl_continue(Bytes data, std::string& out) {
  if (!scram_ || challenge_)
    return fail(Code::protocol, "PostgreSQL sent a SCRAM challenge where it cannot be");
  PGW_TRY(challenge, scram_->challenge(data));
  challenge_ = challenge;
  if (credentials_.password ||
      (credentials_.secret && credentials_.secret->kind() == auth::Secret::Kind::plain))
    return Next::derive;
  if (!credentials_.keys) return no_password("scram-sha-256");
  PGW_DO(derived(*credentials_.keys, out));
  return Next::more;
}

std::pair<std::string, auth::ScramChallenge> Login::to_derive() const {
  return {credentials_.password ? *credentials_.password : credentials_.secret->text(),
          *challenge_};
}

Done Login::derived(const auth::ScramKeys& keys, std::string& out) {
  auto final = scram_->final(keys);
  if (!final) {
    definite_ = true;
    return std::unexpected(std::move(final).error());
  }
  answered_ = true;
  wire::write_sasl(out, *final);
  return {};
}

}  // namespace pgw::server

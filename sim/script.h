// What a scripted client does next: a batch of requests, made by chance but fitting the state that
// the client believes its session to be in.
#pragma once
#include <string>
#include <vector>

#include "model.h"
#include "random.h"
#include "request.h"

namespace pgw::sim {

class Script {
 public:
  struct Taste {
    int client = 0;
    bool sleeps = true;
    bool copies = true;
    bool settings = true;
    bool sync_in_copy = false;  // legal and ignored, but not when a cancel may end the COPY before
    bool ddl = true;
    unsigned session = 0;  // chance per thousand of a batch about what a session keeps
    bool talks = false;    // ... and these are about notifications only
    std::uint32_t big_rows = 40;
    std::uint32_t big_size = 2000;
  };

  Script(Taste taste, Random random)
      : taste_(taste), random_(random), session_random_(random.next() ^ 0x5E55'5E55'5E55'5E55ULL) {}

  // The next requests. They end with something that brings an answer.
  std::vector<Request> batch(const Model& ahead);
  // Closes what is open: the end of a COPY, of a pipeline, of a transaction.
  std::vector<Request> settle(const Model& ahead);
  // Of a new connection: its tables are its own.
  void new_session(int attempt);
  std::string token();

 private:
  Statement echo();
  Statement plain();
  Statement in_block(const Model& ahead);
  Statement setting();
  std::string setting_value(const std::string& name);
  std::vector<Request> simple(const Model& ahead);
  std::vector<Request> extended(const Model& ahead);
  std::vector<Request> named(const Model& ahead);
  std::vector<Request> pipeline(const Model& ahead);
  std::vector<Request> portals(const Model& ahead);
  std::vector<Request> copy_in(const Model& ahead);
  std::vector<Request> in_copy(const Model& ahead);
  std::vector<Request> mistakes(const Model& ahead);
  std::vector<Request> ddl(const Model& ahead);
  // script_session.cc
  Statement of_session(const Model& ahead);
  Statement of_channels(const std::string& channel);
  Statement lock_statement(const Model& ahead);
  Statement transaction_end();
  std::vector<Request> session_batch(const Model& ahead);
  void bind_execute(std::vector<Request>& out, const std::string& name, int params,
                    const Model& ahead);
  void finish(std::vector<Request>& out);
  std::string some_name() { return names_[random_.below(names_.size())]; }

  Taste taste_;
  Random random_;
  Random session_random_;  // of its own, so that seeds from before keep their meaning
  bool may_wait_ = false;  // no statement of this batch is about a lock that others want
  std::string own_key_;    // of a lock that nobody else wants
  int counter_ = 0;
  std::string table_ = "tab";
  std::vector<std::string> names_{"s1", "s2", "stmt_a", "__asyncpg_1", "S_1"};
};

}  // namespace pgw::sim

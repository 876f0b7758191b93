// What a client that listens (LISTEN) hears, and through which server: see server/listening.h.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/loop.h"
#include "server/listening.h"

namespace pgw::client {

struct Hearing {
  enum class Source : std::uint8_t {
    own,      // its own server, which stays with it, listens for it
    joining,  // the same, up to a token that was sent there
    shared,   // the listening server
    leaving,  // the same, up to a token that was sent to its own server, which then listens for it
    none      // the listening server was lost: the client goes when its transaction is over
  };
  Source source = Source::own;
  bool seen = false;  // the token, by its own server
  bool left = false;  // ... and by the listening one
  std::uint8_t failures = 0;
  std::vector<std::string> channels;  // as PostgreSQL last said; sorted
  std::unique_ptr<server::Subscription> subscription;
  std::string token;  // under way
  // What it has not been sent, because it is in a transaction or does not read.
  std::vector<server::Note> waiting;
  std::size_t bytes = 0;             // of these
  std::vector<server::Note> behind;  // from its own server, and not its turn yet
  // While a request waits for a move; null: none does.
  std::unique_ptr<net::Timer> limit;

  bool moving() const { return source == Source::joining || source == Source::leaving; }
};

}  // namespace pgw::client

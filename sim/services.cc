#include "services.h"

#include <utility>

namespace pgw::sim {

void SimOffload::submit(net::Loop& home, std::move_only_function<void()> work,
                        std::move_only_function<void()> done) {
  ++submitted_;
  const Duration wait(sim_.random.below(sim_.random.chance(100) ? 50'000 : 2'000));
  sim_.after(wait, [&home, w = std::move(work), d = std::move(done)]() mutable {
    w();
    home.post(std::move(d));
  });
}

void SimResolver::resolve(net::Loop& home, const std::string& host, std::uint16_t port,
                          Answer done) {
  Result<std::vector<net::Address>> answer = std::vector<net::Address>{};
  const auto known = hosts_.find(host);
  const bool numeric = host.find_first_not_of("0123456789.") == std::string::npos;
  if (host.starts_with('/')) {
    answer->push_back(
        {net::Address::Kind::unix_path, host + "/.s.PGSQL." + std::to_string(port), port});
  } else if (numeric) {
    answer->push_back({net::Address::Kind::ipv4, host, port});
  } else if (known == hosts_.end() || sim_.random.chance(failing)) {
    answer = fail(Code::connection, "no address for \"{}\"", host);
  } else {
    answer->push_back({net::Address::Kind::ipv4, known->second, port});
  }
  const Duration wait(sim_.random.below(sim_.random.chance(slow) ? 2'000'000 : 500));
  sim_.after(wait, [&home, a = std::move(answer), d = std::move(done)]() mutable {
    home.post([x = std::move(a), then = std::move(d)]() mutable { then(std::move(x)); });
  });
}

}  // namespace pgw::sim

// What a client sends and what a server answers, in any order: pairs of bytes, the first says
// which.
#include "relay/pipeline.h"

#include "fuzz.h"

using namespace pgw;

namespace {

class Count final : public relay::Effects {
 public:
  void settled(const relay::Expected& entry, relay::Fate) override {
    PGW_ASSERT(entry.has(relay::Expected::client_op) || entry.has(relay::Expected::server_op));
    ++settled_;
  }
  std::size_t settled() const { return settled_; }

 private:
  std::size_t settled_ = 0;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  relay::Pipeline pipeline;
  Count effects;
  std::size_t owed = 0;
  for (std::size_t i = 0; i + 1 < size; i += 2) {
    const auto what = data[i];
    const auto detail = static_cast<char>(data[i + 1]);
    if (what < static_cast<int>(relay::Want::copy_end)) {
      const auto want = static_cast<relay::Want>(what);
      if (want == relay::Want::sync) {
        pipeline.push_sync();
      } else if (!pipeline.skipping()) {  // else nothing but a Sync may be pushed
        relay::Expected entry{.want = want, .flags = static_cast<std::uint8_t>(detail)};
        owed += entry.has(relay::Expected::client_op) || entry.has(relay::Expected::server_op);
        pipeline.push(entry);
      }
    } else if (what == 'c') {
      if (pipeline.copying_in()) pipeline.push_copy_end();
    } else if (what == 'i' && !pipeline.skipping()) {
      pipeline.push({.want = relay::Want::invent, .tag = '1'});
    } else {
      if (!pipeline.reply(detail, effects).known) break;
      while (pipeline.invented(effects) != 0) {
      }
    }
    PGW_ASSERT(pipeline.groups() <= pipeline.size());
  }
  // Every entry that has an effect is settled exactly once, whatever the server did.
  pipeline.abandon(effects);
  PGW_ASSERT(pipeline.empty() && effects.settled() == owed);
  return 0;
}

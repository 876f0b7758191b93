#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "net/loop.h"

namespace pgw::net {
namespace {

std::unique_ptr<Loop> any_loop() { return std::move(*make_loop(Backend::epoll)); }

TEST(Offload, WorksElsewhereAndFinishesAtHome) {
  auto loop = any_loop();
  auto offload = make_offload(3);
  const auto home = std::this_thread::get_id();
  std::atomic<int> worked = 0;
  int done = 0;
  for (int i = 0; i < 500; ++i) {
    offload->submit(
        *loop,
        [&] {
          EXPECT_NE(std::this_thread::get_id(), home);
          ++worked;
        },
        [&] {
          EXPECT_EQ(std::this_thread::get_id(), home);
          if (++done == 500) loop->stop();
        });
  }
  loop->run();
  EXPECT_EQ(worked, 500);
}

TEST(Offload, EndingWaitsForWhatHasBegun) {
  auto loop = any_loop();
  std::atomic<bool> begun = false;
  std::atomic<bool> finished = false;
  {
    auto offload = make_offload(1);
    offload->submit(
        *loop,
        [&] {
          begun = true;
          begun.notify_all();
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          finished = true;
        },
        [] {});
    begun.wait(false);
  }
  EXPECT_TRUE(finished);
}

struct Asked {
  std::vector<Result<std::vector<Address>>> answers;
};

Asked ask(const std::vector<std::string>& hosts) {
  auto loop = any_loop();
  auto offload = make_offload(2);
  auto resolver = make_resolver(*offload);
  Asked asked;
  for (const auto& host : hosts)
    resolver->resolve(*loop, host, 5432, [&](Result<std::vector<Address>> answer) {
      asked.answers.push_back(std::move(answer));
      if (asked.answers.size() == hosts.size()) loop->stop();
    });
  EXPECT_TRUE(asked.answers.empty());
  loop->run();
  return asked;
}

TEST(Resolver, NumbersAndPathsAnswerThemselves) {
  const auto asked = ask({"10.0.0.1", "::1", "[::1]", "/run/postgresql", "/x/.s.PGSQL.7"});
  const std::vector<std::string> texts = {"10.0.0.1:5432", "[::1]:5432", "[::1]:5432",
                                          "/run/postgresql/.s.PGSQL.5432", "/x/.s.PGSQL.7"};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    ASSERT_TRUE(asked.answers[i].has_value());
    EXPECT_EQ(asked.answers[i]->front().text(), texts[i]);
  }
}

TEST(Resolver, NamesAreAskedOnceAndFailuresSaySo) {
  const auto asked = ask({"localhost", "localhost", "localhost"});
  for (const auto& answer : asked.answers) {
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->front().port, 5432);
  }
  const auto failed = ask({"no-such-host.invalid"});
  ASSERT_FALSE(failed.answers[0].has_value());
  EXPECT_EQ(failed.answers[0].error().code(), Code::connection);
  EXPECT_NE(failed.answers[0].error().what().find("no-such-host.invalid"), std::string::npos);
}

}  // namespace
}  // namespace pgw::net

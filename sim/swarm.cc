// swarm: runs simulated worlds by the thousand. A failure names the seed and the command that shows
// it again.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "world.h"

namespace {

struct Options {
  std::string program;
  std::uint64_t from = 1;
  std::uint64_t to = 200;
  bool direct = false;
  bool trace = false;
  bool verbose = false;
  unsigned jobs = 2;
};

struct Counts {
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
};

[[noreturn]] void usage(std::string_view what) {
  fmt::print(stderr,
             "swarm: {}\nusage: swarm [--seeds A..B | --seed N] [--direct] [--trace] "
             "[--verbose] [--jobs N]\n",
             what);
  std::exit(2);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    usage(fmt::format("\"{}\" is no number", text));
  return value;
}

Options options(int argc, char** argv) {
  Options out;
  out.program = argv[0];
  const auto value = [&](int& i) -> std::string_view {
    if (i + 1 >= argc) usage(fmt::format("{} needs a value", argv[i]));
    return argv[++i];
  };
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--direct")
      out.direct = true;
    else if (word == "--trace")
      out.trace = true;
    else if (word == "--verbose")
      out.verbose = true;
    else if (word == "--jobs")
      out.jobs = static_cast<unsigned>(number(value(i)));
    else if (word == "--seed")
      out.from = out.to = number(value(i));
    else if (word == "--seeds") {
      const std::string_view range = value(i);
      const std::size_t dots = range.find("..");
      if (dots == std::string_view::npos) usage("--seeds wants A..B");
      out.from = number(range.substr(0, dots));
      out.to = number(range.substr(dots + 2));
    } else
      usage(fmt::format("unknown option {}", word));
  }
  if (out.jobs == 0) out.jobs = 1;
  return out;
}

std::string flags(const Options& o) { return o.direct ? "--direct " : ""; }

bool run_one(const Options& o, std::uint64_t seed) {
  const auto begin = std::chrono::steady_clock::now();
  pgw::sim::World world(seed, o.direct);
  if (o.trace) {
    world.simulation().trace_to([](std::string_view line) { fmt::print("{}\n", line); });
  }
  const pgw::sim::Verdict verdict = world.run();
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - begin);
  if (!verdict.passed) {
    fmt::print("seed {} FAILED: {}\n  world: {}\n  again: {} {}--seed {} --trace\n", seed,
               verdict.reason, verdict.summary, o.program, flags(o), seed);
  } else if (o.verbose) {
    fmt::print("seed {} passed ({} ms): {}\n", seed, took.count(), verdict.summary);
  }
  std::fflush(stdout);
  return verdict.passed;
}

// One job's share of the seeds, in processes of its own: a crash of one world is a failure of that
// seed only.
Counts share(const Options& o, unsigned job) {
  Counts counts;
  constexpr std::uint64_t kPerProcess = 25;
  std::vector<std::uint64_t> seeds;
  for (std::uint64_t s = o.from + job; s <= o.to; s += o.jobs) seeds.push_back(s);
  for (std::size_t at = 0; at < seeds.size();) {
    std::array<int, 2> pipe_ends{};
    if (pipe(pipe_ends.data()) != 0) std::exit(2);
    const pid_t child = fork();
    if (child == 0) {
      close(pipe_ends[0]);
      for (std::size_t i = at; i < std::min<std::size_t>(seeds.size(), at + kPerProcess); ++i) {
        const char verdict = run_one(o, seeds[i]) ? '+' : '-';
        if (write(pipe_ends[1], &verdict, 1) != 1) _exit(2);
      }
      _exit(0);
    }
    close(pipe_ends[1]);
    char verdict = 0;
    std::size_t done = 0;
    while (read(pipe_ends[0], &verdict, 1) == 1) {
      ++done;
      verdict == '+' ? ++counts.passed : ++counts.failed;
    }
    close(pipe_ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    at += done;
    if (status != 0) {
      fmt::print("seed {} FAILED: the process died (status {})\n  again: {} {}--seed {} --trace\n",
                 seeds[at], status, o.program, flags(o), seeds[at]);
      std::fflush(stdout);
      ++counts.failed;
      ++at;
    }
  }
  return counts;
}

Counts run_all(const Options& o) {
  Counts total;
  std::vector<int> ends;
  for (unsigned job = 0; job < o.jobs; ++job) {
    std::array<int, 2> pipe_ends{};
    if (pipe(pipe_ends.data()) != 0) std::exit(2);
    if (fork() == 0) {
      const Counts mine = share(o, job);
      if (write(pipe_ends[1], &mine, sizeof mine) != sizeof mine) _exit(2);
      _exit(0);
    }
    close(pipe_ends[1]);
    ends.push_back(pipe_ends[0]);
  }
  for (const int end : ends) {
    Counts one;
    if (read(end, &one, sizeof one) == sizeof one) {
      total.passed += one.passed;
      total.failed += one.failed;
    }
    close(end);
  }
  while (wait(nullptr) > 0) {
  }
  return total;
}

}  // namespace

int main(int argc, char** argv) {
  const Options o = options(argc, argv);
  Counts counts;
  if (o.from == o.to) {
    run_one(o, o.from) ? ++counts.passed : ++counts.failed;
  } else {
    counts = run_all(o);
  }
  const std::uint64_t all = o.to - o.from + 1;
  if (counts.passed + counts.failed < all) counts.failed = all - counts.passed;
  fmt::print("{} passed, {} failed\n", counts.passed, counts.failed);
  return counts.failed == 0 ? 0 : 1;
}

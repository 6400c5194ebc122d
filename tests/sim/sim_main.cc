// The simulator's command.
//
//   sim --seeds FIRST-LAST [--jobs N]     runs the seeds; every 50th twice (D0: same trace)
//   sim --seed S                          one seed, with its last events if it fails
//   sim --bug NAME --seeds 1-20000        (build with TIDEMARK_PLANTED_BUGS) until the bug is
//   found:
//                                         a seed that fails with it and passes without it
//   sim --list-bugs
//
// Exit status 0: all passed (with --bug: found).

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <set>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "tests/sim/planted_bugs.h"
#include "tests/sim/simulation.h"

namespace tidemark::sim {
namespace {

struct Options {
  uint64_t first = 1;
  uint64_t last = 1;
  int jobs = 1;
  bool verbose = false;
  std::string bug;
};

class Silence : public LogSink {
 public:
  void Write(LogLevel, const char*, int, absl::string_view, absl::Span<const LogField>) override {}
};

void Print(uint64_t seed, const RunResult& result, bool verbose) {
  std::cout << "seed " << seed << " FAILED (" << result.knobs << ")\n";
  size_t shown = 0;
  for (const std::string& problem : result.problems) {
    if (++shown > 10) break;
    std::cout << "  " << problem << "\n";
  }
  if (verbose) {
    for (const std::string& fault : result.faults) std::cout << "    fault at " << fault << "\n";
    for (const std::string& event : result.recent_events) std::cout << "    " << event << "\n";
  }
  std::cout << "  reproduce: sim --seed " << seed << std::endl;
}

struct Totals {
  int64_t seeds = 0;
  int64_t failed = 0;
  int64_t operations = 0;
  int64_t answered = 0;
  int64_t watch_events = 0;
  int64_t crashes = 0;
  int64_t revisions = 0;
};

// The seeds first, first + step, ... of one process.
Totals RunSeeds(const Options& options, uint64_t first, uint64_t step) {
  Totals totals;
  for (uint64_t seed = first; seed <= options.last; seed += step) {
    RunResult result = RunSeed(seed);
    if (result.problems.empty() && seed % 50 == 0) {
      if (RunSeed(seed).trace_hash != result.trace_hash) {
        result.problems.push_back("D0: the same seed gave another trace");
      }
    }
    ++totals.seeds;
    totals.operations += result.operations;
    totals.answered += result.answered;
    totals.watch_events += result.watch_events;
    totals.crashes += result.crashes;
    totals.revisions += result.revisions;
    if (result.problems.empty()) continue;
    ++totals.failed;
    Print(seed, result, options.verbose);
  }
  return totals;
}

int RunJobs(const Options& options) {
  const absl::Time start = absl::Now();
  int failed_jobs = 0;
  std::vector<pid_t> children;
  for (int job = 0; job < options.jobs; ++job) {
    std::fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      const Totals totals = RunSeeds(options, options.first + job, options.jobs);
      std::printf(
          "sim: %lld seeds, %lld failed; %lld operations (%lld answered), %lld watch events, "
          "%lld crashes, %lld revisions\n",
          static_cast<long long>(totals.seeds), static_cast<long long>(totals.failed),
          static_cast<long long>(totals.operations), static_cast<long long>(totals.answered),
          static_cast<long long>(totals.watch_events), static_cast<long long>(totals.crashes),
          static_cast<long long>(totals.revisions));
      std::fflush(stdout);
      _exit(totals.failed == 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    if (status != 0) ++failed_jobs;
  }
  std::printf("sim: seeds %llu-%llu took %.1f s\n", static_cast<unsigned long long>(options.first),
              static_cast<unsigned long long>(options.last),
              absl::ToDoubleSeconds(absl::Now() - start));
  return failed_jobs == 0 ? 0 : 1;
}

#ifdef TIDEMARK_PLANTED_BUGS
// Found is a seed that fails with the bug and passes without it.
int HuntBug(const Options& options) {
  const absl::Time start = absl::Now();
  for (uint64_t seed = options.first; seed <= options.last; ++seed) {
    planted_bug::Activate(options.bug);
    const RunResult with_bug = RunSeed(seed);
    if (with_bug.problems.empty()) continue;
    Print(seed, with_bug, options.verbose);
    planted_bug::Activate("");
    const RunResult without_bug = RunSeed(seed);
    if (!without_bug.problems.empty()) {
      Print(seed, without_bug, options.verbose);
      std::printf("seed %llu fails without planted bug %s too\n",
                  static_cast<unsigned long long>(seed), options.bug.c_str());
      return 1;
    }
    std::printf("found after %llu seeds, %.1f s: %s\n",
                static_cast<unsigned long long>(seed - options.first + 1),
                absl::ToDoubleSeconds(absl::Now() - start),
                with_bug.problems[0].substr(0, 200).c_str());
    return 0;
  }
  std::printf("NOT FOUND by seeds %llu-%llu\n", static_cast<unsigned long long>(options.first),
              static_cast<unsigned long long>(options.last));
  return 1;
}
#endif

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const absl::string_view name = argv[i];
    if (name == "--list-bugs") {
      for (const char* bug : kPlantedBugs) std::puts(bug);
      std::exit(0);
    }
    CHECK_MSG(i + 1 < argc, absl::StrCat(name, " wants a value"));
    const std::string value = argv[++i];
    if (name == "--seed") {
      CHECK(absl::SimpleAtoi(value, &options.first));
      options.last = options.first;
      options.verbose = true;
    } else if (name == "--seeds") {
      const std::vector<std::string> range = absl::StrSplit(value, '-');
      CHECK(range.size() == 2 && absl::SimpleAtoi(range[0], &options.first) &&
            absl::SimpleAtoi(range[1], &options.last));
    } else if (name == "--jobs") {
      CHECK(absl::SimpleAtoi(value, &options.jobs) && options.jobs > 0);
    } else if (name == "--bug") {
      options.bug = value;
    } else {
      Fatal(absl::StrCat("unknown option ", name));
    }
  }
  return options;
}

int Main(int argc, char** argv) {
  const Options options = ParseOptions(argc, argv);
  Silence silence;
  SetLogSink(&silence);
#ifdef TIDEMARK_PLANTED_BUGS
  if (!options.bug.empty()) return HuntBug(options);
#else
  CHECK_MSG(options.bug.empty(), "--bug needs a build with TIDEMARK_PLANTED_BUGS");
#endif
  return RunJobs(options);
}

}  // namespace
}  // namespace tidemark::sim

int main(int argc, char** argv) { return tidemark::sim::Main(argc, argv); }

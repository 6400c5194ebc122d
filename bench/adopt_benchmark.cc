// A warm start's work on one partition: segments on tmpfs, as a dead process left them, are mapped,
// verified and indexed. Per key of 1 KiB: CPU time of all threads, and time on the clock.
//
//   adopt_benchmark                            in a folder of its own on /dev/shm, about 1.2 GB
//   TIDEMARK_ADOPT_KEYS=5000000 ...            six times that
//
// "churned": every key was put twice more in another order, and compacted and cleaned since.
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <latch>
#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "src/base/check.h"
#include "src/base/thread_pool.h"
#include "src/base/tmpfs_mapper.h"
#include "src/mvcc/version_store.h"

namespace tidemark::mvcc {
namespace {

int64_t Keys() {
  const char* text = std::getenv("TIDEMARK_ADOPT_KEYS");
  int64_t keys = 0;
  return text != nullptr && absl::SimpleAtoi(text, &keys) ? keys : 1'000'000;
}

std::string KeyOf(int64_t i) {
  return absl::StrCat("/registry/pods/namespace-", i % 97, "/deployment-7d9c6b8f5-", i);
}

absl::Duration CpuTime() {
  rusage usage;
  CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

// The memory of a process that has died, filled once for all cases of its kind.
class Left {
 public:
  explicit Left(bool churned)
      : directory_(absl::StrCat("/dev/shm/tidemark-adopt-benchmark-", getpid(), "-", churned)) {
    auto mapper = TmpfsMapper::Lock(directory_);
    CHECK_MSG(mapper.ok(), mapper.status().ToString());
    std::unique_ptr<VersionStore> store = VersionStore::CreateEmpty({.name = "bench"}, **mapper);
    PutAll(*store, 7919);
    if (!churned) return;
    for (int64_t step : {104'729, 1'299'709}) {
      PutAll(*store, step);
      store->Compact(store->current_revision());
      while (store->CompactStep(100'000, kLatest)) {
      }
    }
  }
  ~Left() { std::filesystem::remove_all(directory_); }

  const std::string& directory() const { return directory_; }

 private:
  static void PutAll(VersionStore& store, int64_t step) {
    const std::string value(1024, 'v');
    for (int64_t i = 0; i < Keys(); ++i) {
      store.BeginEntry(store.current_revision().Next());
      store.Put(0, KeyOf(i * step % Keys()), value, LeaseId(0));
      store.CommitEntry();
      if (step == 7919 || i % 20'000 != 0) continue;
      store.Compact(store.current_revision());
      while (store.CompactStep(1'000, kLatest)) {
      }
    }
  }

  const std::string directory_;
};

void BM_AdoptKeysOf1KiB(benchmark::State& state) {
  static std::unique_ptr<Left> left[2];
  const bool churned = state.range(1) != 0;
  if (left[churned] == nullptr) {
    left[!churned] = nullptr;
    left[churned] = std::make_unique<Left>(churned);
  }
  absl::Duration cpu;
  for (auto _ : state) {
    state.PauseTiming();
    ThreadPool pool("adopt", static_cast<size_t>(state.range(0)));
    LoadProgress progress;
    std::latch ended(1);
    auto mapper = TmpfsMapper::Lock(left[churned]->directory());
    CHECK(mapper.ok());
    std::unique_ptr<VersionStore> store = VersionStore::Create({.name = "bench"}, **mapper);
    const absl::Duration before = CpuTime();
    state.ResumeTiming();
    pool.Start([&] {
      const absl::Status adopted = store->Adopt(pool, progress);
      CHECK_MSG(adopted.ok(), adopted.ToString());
      ended.count_down();
    });
    ended.wait();
    state.PauseTiming();
    cpu += CpuTime() - before;
    CHECK(store->stats().live_keys == Keys());
    store.reset();
    state.ResumeTiming();
  }
  const double adopted = static_cast<double>(Keys() * static_cast<int64_t>(state.iterations()));
  state.counters["cpu_us_per_key"] = absl::ToDoubleMicroseconds(cpu) / adopted;
}
BENCHMARK(BM_AdoptKeysOf1KiB)
    ->ArgNames({"threads", "churned"})
    ->ArgsProduct({{1, 2}, {0, 1}})
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace tidemark::mvcc

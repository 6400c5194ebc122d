// Appends of 1.1 KiB through the embedded journal to real files: CPU and throughput per record at a
// given number of appends in flight. TIDEMARK_BENCH_DIR chooses the disk (default: the current
// directory, since /tmp may be tmpfs).
#include <benchmark/benchmark.h>
#include <ctime>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/synchronization/notification.h"
#include "src/base/check.h"
#include "src/base/inline_blocking_runner.h"
#include "src/base/posix_clock.h"
#include "src/base/posix_file_system.h"
#include "src/base/posix_random.h"
#include "src/base/thread_executor.h"
#include "src/journal/embedded_journal.h"

namespace tidemark::journal {
namespace {

constexpr size_t kPayloadBytes = 1126;

double ProcessCpuSeconds() {
  timespec now;
  CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void BM_JournalAppend(benchmark::State& state) {
  const auto in_flight = static_cast<uint64_t>(state.range(0));
  const char* base = std::getenv("TIDEMARK_BENCH_DIR");
  std::string directory = std::string(base == nullptr ? "." : base) + "/journal-benchmark";
  std::filesystem::remove_all(directory);
  {
    PosixFileSystem file_system;
    PosixClock clock;
    PosixRandom random;
    InlineBlockingRunner runner;
    ThreadExecutor executor("journal", clock);
    EmbeddedJournalOptions options;
    options.directory = directory;
    options.file_system = &file_system;
    options.clock = &clock;
    options.random = &random;
    options.executor = &executor;
    options.runner = &runner;
    auto journal = EmbeddedJournal::Open(options);
    CHECK_MSG(journal.ok(), journal.status().message());
    Epoch epoch;
    absl::Notification claimed;
    (*journal)->Claim(PartitionId(1), OriginId(1), [&](absl::StatusOr<Epoch> result) {
      epoch = *result;
      claimed.Notify();
    });
    claimed.WaitForNotification();
    const std::string payload(kPayloadBytes, 'x');
    uint64_t number = 0;
    double cpu_start = ProcessCpuSeconds();
    for (auto _ : state) {
      std::atomic<uint64_t> left = in_flight;
      absl::Notification done;
      for (uint64_t i = 0; i < in_flight; ++i) {
        Record record;
        record.changes_keys = true;
        record.partitions.push_back({PartitionId(1), epoch});
        record.origin = OriginId(1);
        record.origin_number = ++number;
        record.payload = payload;
        (*journal)->Append(std::move(record), [&](absl::StatusOr<Placed> placed) {
          CHECK(placed.ok());
          if (left.fetch_sub(1) == 1) done.Notify();
        });
      }
      done.WaitForNotification();
    }
    double records = static_cast<double>(number);
    state.SetItemsProcessed(static_cast<int64_t>(number));
    state.SetBytesProcessed(static_cast<int64_t>(number * kPayloadBytes));
    state.counters["cpu_us_per_record"] = (ProcessCpuSeconds() - cpu_start) * 1e6 / records;
    state.counters["records_per_block"] =
        records / static_cast<double>((*journal)->stats().log.blocks_written.load());
  }
  std::filesystem::remove_all(directory);
}
BENCHMARK(BM_JournalAppend)->Arg(1)->Arg(32)->Arg(64)->Arg(512)->UseRealTime();

}  // namespace
}  // namespace tidemark::journal

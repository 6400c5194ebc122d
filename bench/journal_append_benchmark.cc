// Appends of 1.1 KiB through the embedded journal to real files: CPU and throughput per record at a
// given number of appends in flight, through the page cache and past it, once the journal is in its
// second segment: what it goes on with for ever. TIDEMARK_BENCH_DIR chooses the disk (default: the
// current directory, since /tmp may be tmpfs).
#include <benchmark/benchmark.h>
#include <ctime>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "src/base/check.h"
#include "src/base/inline_blocking_runner.h"
#include "src/base/posix_clock.h"
#include "src/base/posix_file_system.h"
#include "src/base/posix_random.h"
#include "src/base/thread_blocking_runner.h"
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

class Appender {
 public:
  Appender(const std::string& directory, bool writes_directly) {
    EmbeddedJournalOptions options;
    options.directory = directory;
    options.file_system = &file_system_;
    options.clock = &clock_;
    options.random = &random_;
    options.executor = &executor_;
    options.runner = &runner_;
    options.side_runner = &side_runner_;
    options.writes_directly = writes_directly;
    auto journal = EmbeddedJournal::Open(options);
    CHECK_MSG(journal.ok(), journal.status().message());
    journal_ = *std::move(journal);
    absl::Notification claimed;
    journal_->Claim(PartitionId(1), OriginId(1), [&](absl::StatusOr<Epoch> result) {
      epoch_ = *result;
      claimed.Notify();
    });
    claimed.WaitForNotification();
  }

  // Returns when all are durable.
  void Append(uint64_t records) {
    std::atomic<uint64_t> left = records;
    absl::Notification done;
    for (uint64_t i = 0; i < records; ++i) {
      Record record;
      record.changes_keys = true;
      record.partitions.push_back({PartitionId(1), epoch_});
      record.origin = OriginId(1);
      record.origin_number = ++number_;
      record.payload = payload_;
      journal_->Append(std::move(record), [&](absl::StatusOr<Placed> placed) {
        CHECK(placed.ok());
        if (left.fetch_sub(1) == 1) done.Notify();
      });
    }
    done.WaitForNotification();
  }
  uint64_t records() const { return number_; }
  uint64_t blocks() const { return journal_->stats().log.blocks_written.load(); }
  uint64_t bytes() const { return journal_->stats().log.bytes_written.load(); }

 private:
  PosixFileSystem file_system_;
  PosixClock clock_;
  PosixRandom random_;
  InlineBlockingRunner runner_;
  ThreadBlockingRunner side_runner_{"journal-side"};
  ThreadExecutor executor_{"journal", clock_};
  const std::string payload_ = std::string(kPayloadBytes, 'x');
  std::unique_ptr<EmbeddedJournal> journal_;
  Epoch epoch_;
  uint64_t number_ = 0;
};

void BM_JournalAppend(benchmark::State& state) {
  const auto in_flight = static_cast<uint64_t>(state.range(0));
  const char* base = std::getenv("TIDEMARK_BENCH_DIR");
  const std::string directory = std::string(base == nullptr ? "." : base) + "/journal-benchmark";
  std::filesystem::remove_all(directory);
  {
    Appender appender(directory, /*writes_directly=*/state.range(1) == 1);
    while (appender.bytes() < kSegmentBytesDefault) appender.Append(64);
    const uint64_t records_before = appender.records();
    const uint64_t blocks_before = appender.blocks();
    const double cpu_before = ProcessCpuSeconds();
    for (auto _ : state) appender.Append(in_flight);
    const double cpu_seconds = ProcessCpuSeconds() - cpu_before;
    const auto records = static_cast<int64_t>(appender.records() - records_before);
    state.SetItemsProcessed(records);
    state.SetBytesProcessed(records * static_cast<int64_t>(kPayloadBytes));
    state.counters["cpu_us_per_record"] = cpu_seconds * 1e6 / static_cast<double>(records);
    state.counters["records_per_block"] =
        static_cast<double>(records) / static_cast<double>(appender.blocks() - blocks_before);
  }
  std::filesystem::remove_all(directory);
}
BENCHMARK(BM_JournalAppend)
    ->ArgNames({"in_flight", "directly"})
    ->ArgsProduct({{1, 32, 64, 512}, {0, 1}})
    ->UseRealTime();

}  // namespace
}  // namespace tidemark::journal

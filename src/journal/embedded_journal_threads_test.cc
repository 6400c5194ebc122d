// The journal with real threads and real files: what the simulator's single thread cannot show.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <latch>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "src/base/failpoint.h"
#include "src/base/inline_blocking_runner.h"
#include "src/base/mutex.h"
#include "src/base/posix_clock.h"
#include "src/base/posix_file_system.h"
#include "src/base/posix_random.h"
#include "src/base/thread_blocking_runner.h"
#include "src/base/thread_executor.h"
#include "src/journal/embedded_journal.h"

namespace tidemark::journal {
namespace {

constexpr PartitionId kPartition{1};

class EmbeddedJournalThreadsTest : public ::testing::Test {
 protected:
  EmbeddedJournalThreadsTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "journal-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    options_.directory = directory_ + "/journal";
    options_.segment_bytes = 1 << 20;
    options_.file_system = &file_system_;
    options_.clock = &clock_;
    options_.random = &random_;
    options_.executor = &executor_;
    options_.runner = &runner_;
    auto journal = EmbeddedJournal::Open(options_);
    EXPECT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
    std::latch claimed(1);
    journal_->Claim(kPartition, OriginId(1), [&](absl::StatusOr<Epoch> epoch) {
      epoch_ = *epoch;
      claimed.count_down();
    });
    claimed.wait();
  }
  ~EmbeddedJournalThreadsTest() override {
    journal_.reset();
    std::filesystem::remove_all(directory_);
  }

  Record Data(uint64_t origin, uint64_t number) {
    Record record;
    record.changes_keys = true;
    record.partitions.push_back({kPartition, epoch_});
    record.origin = OriginId(origin);
    record.origin_number = number;
    record.payload = absl::StrCat(origin, "/", number);
    return record;
  }

  PosixFileSystem file_system_;
  PosixClock clock_;
  PosixRandom random_;
  InlineBlockingRunner runner_;
  ThreadExecutor executor_{"journal", clock_};
  std::string directory_;
  EmbeddedJournalOptions options_;
  std::unique_ptr<EmbeddedJournal> journal_;
  Epoch epoch_;
};

// When the trim looked first, there was one segment, and no state was stored.
TEST_F(EmbeddedJournalThreadsTest, ASegmentThatEndsDuringATrimIsNotTrimmed) {
  journal_.reset();
  auto side_runner = std::make_unique<ThreadBlockingRunner>("side");
  options_.side_runner = side_runner.get();
  journal_ = *EmbeddedJournal::Open(options_);
  const Position tail = journal_->KnownTail().position;
  std::atomic<bool> reached = false;
  std::latch trimmed(1);
  failpoint::SetHandler([&](absl::string_view name) {
    if (name != "journal.before_trim" || reached.exchange(true)) return;
    std::latch appended(1);
    Record large = Data(1, 1);
    large.payload.resize(2 * options_.segment_bytes);
    journal_->Append(std::move(large), [&](absl::StatusOr<Placed> placed) {
      EXPECT_EQ(placed->position, tail.Next());
      appended.count_down();
    });
    appended.wait();
    trimmed.count_down();
  });
  journal_->Trim(tail);
  trimmed.wait();
  std::latch ended(1);  // the rest of the trim
  side_runner->Run([&ended] { ended.count_down(); });
  ended.wait();
  journal_.reset();
  side_runner.reset();
  failpoint::ClearHandler();
  options_.side_runner = nullptr;
  auto journal = EmbeddedJournal::Open(options_);
  ASSERT_TRUE(journal.ok()) << journal.status();
  EXPECT_EQ((*journal)->KnownTail().position, tail.Next());
}

TEST_F(EmbeddedJournalThreadsTest, ManyAppendersAndSubscribersSeeOneOrder) {
  constexpr uint64_t kThreads = 4;
  constexpr uint64_t kAppends = 500;
  struct Seen {
    Mutex mutex;
    std::vector<uint64_t> positions ABSL_GUARDED_BY(mutex);
  };
  std::vector<Seen> seen(3);
  std::vector<std::unique_ptr<Subscription>> subscriptions;
  std::latch delivered(static_cast<ptrdiff_t>(seen.size()));
  for (Seen& each : seen) {
    auto subscription = journal_->Subscribe(
        Position(1), {kPartition}, [&each, &delivered](std::shared_ptr<const Batch> batch) {
          MutexLock lock(&each.mutex);
          for (const Entry& entry : batch->entries)
            each.positions.push_back(entry.position.value());
          if (!batch->entries.empty() && each.positions.size() == kThreads * kAppends + 1) {
            delivered.count_down();
          }
        });
    ASSERT_TRUE(subscription.ok());
    subscriptions.push_back(*std::move(subscription));
  }
  std::latch answered(kThreads * kAppends);
  std::vector<std::thread> threads;
  for (uint64_t origin = 1; origin <= kThreads; ++origin) {
    threads.emplace_back([&, origin] {
      for (uint64_t number = 1; number <= kAppends; ++number) {
        journal_->Append(Data(origin, number), [&](absl::StatusOr<Placed> placed) {
          EXPECT_TRUE(placed.ok()) << placed.status();
          EXPECT_GE(journal_->KnownTail().position, placed->position);
          answered.count_down();
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  answered.wait();
  delivered.wait();
  for (Seen& each : seen) {
    MutexLock lock(&each.mutex);
    for (size_t i = 0; i < each.positions.size(); ++i) ASSERT_EQ(each.positions[i], i + 1);
  }
  EXPECT_LT(journal_->stats().log.syncs, kThreads * kAppends);
}

TEST_F(EmbeddedJournalThreadsTest, ClosesWhileWorkRuns) {
  std::atomic<bool> stop = false;
  std::thread appender([&] {
    for (uint64_t number = 1; number <= 20000 && !stop; ++number) {
      journal_->Append(Data(7, number), [](absl::StatusOr<Placed>) {});
    }
  });
  auto subscription = journal_->Subscribe(Position(1), {kPartition}, [](auto) {});
  ASSERT_TRUE(subscription.ok());
  std::latch one(1);
  journal_->Append(Data(8, 1), [&](absl::StatusOr<Placed> placed) { one.count_down(); });
  one.wait();
  subscription->reset();
  stop = true;
  appender.join();
  Tail tail = journal_->KnownTail();
  journal_.reset();
  // The directory is free at once, and nothing that was confirmed is gone.
  auto again = EmbeddedJournal::Open(options_);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_GE((*again)->KnownTail().position, tail.position);
}

}  // namespace
}  // namespace tidemark::journal

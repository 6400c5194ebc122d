// A replica on a manual executor over a journal in memory that delivers only when told to.
// For this module's tests.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "src/base/check.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/heap_mapper_for_test.h"
#include "src/journal/journal.h"
#include "src/kvstore/replica.h"

namespace tidemark::kvstore {

class ManualExecutor final : public Executor {
 public:
  void Post(Task task) override { tasks_.push_back(std::move(task)); }
  TimerId PostAt(absl::Duration, Task) override {
    CHECK_MSG(false, "no timers in a replica");
    return 0;
  }
  void Cancel(TimerId) override {}
  bool IsCurrent() const override { return true; }

  bool RunOne() {
    if (tasks_.empty()) return false;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
    return true;
  }
  void RunAll() {
    while (RunOne()) {
    }
  }

 private:
  std::deque<Task> tasks_;
};

class ManualClock final : public Clock {
 public:
  absl::Duration Monotonic() const override { return now_; }
  absl::Time Wall() const override { return absl::UnixEpoch() + now_; }
  void Advance(absl::Duration by) { now_ += by; }

 private:
  absl::Duration now_;
};

class FakeJournal final : public journal::Journal {
 public:
  uint64_t payload_bytes_max() const override { return payload_bytes_max_; }
  void Append(journal::Record record, journal::AppendCallback done) override {
    uint64_t& last = last_number_[record.origin];
    if (record.origin_number != last + 1) return done(absl::AbortedError("hole"));
    if (record.payload.size() > payload_bytes_max_) {
      failures_.push_back({std::move(done), absl::InvalidArgumentError("payload")});
      return;
    }
    if (!fail_next_.ok()) {
      failures_.push_back({std::move(done), std::exchange(fail_next_, absl::OkStatus())});
      return;
    }
    last = record.origin_number;
    done(Order(std::move(record), journal::EntryKind::kData));
  }
  absl::StatusOr<std::unique_ptr<journal::Subscription>> Subscribe(
      Position, std::vector<PartitionId>, journal::BatchCallback) override {
    return absl::UnimplementedError("tests deliver by hand");
  }
  void ConfirmTail(journal::TailCallback done) override { questions_.push_back(std::move(done)); }
  void Claim(PartitionId partition, OriginId origin, journal::ClaimCallback done) override {
    journal::Record record;
    record.partitions.push_back({partition, Epoch(tail_.position.value() + 1)});
    record.origin = origin;
    const journal::Placed placed = Order(std::move(record), journal::EntryKind::kClaim);
    done(Epoch(placed.position.value()));
  }
  void Trim(Position) override {}
  void GiveSpaceBack() override {}
  journal::Tail KnownTail() const override { return tail_; }
  Position KnownFirst() const override { return Position(1); }

  void LimitPayloads(uint64_t bytes_max) { payload_bytes_max_ = bytes_max; }
  // The next append is refused, and its caller hears of it in ReportFailures.
  void FailNext(absl::Status status) { fail_next_ = std::move(status); }
  void ReportFailures() {
    for (auto& [done, status] : std::exchange(failures_, {})) done(status);
  }
  size_t undelivered() const { return undelivered_.size(); }
  size_t questions() const { return questions_.size(); }
  void AnswerQuestions() {
    for (journal::TailCallback& done : std::exchange(questions_, {})) done(tail_);
  }
  // Up to `max_entries` entries, or an empty batch that moves the tail when all was delivered.
  std::shared_ptr<const journal::Batch> NextBatch(size_t max_entries) {
    auto batch = std::make_shared<journal::Batch>();
    while (!undelivered_.empty() && batch->entries.size() < max_entries) {
      auto payload = std::make_shared<const std::string>(std::move(undelivered_.front().payload));
      journal::Entry entry = std::move(undelivered_.front().entry);
      undelivered_.pop_front();
      entry.payload = *payload;
      batch->owners.push_back(std::move(payload));
      delivered_ = {entry.position, entry.revision, entry.term};
      batch->entries.push_back(std::move(entry));
    }
    batch->tail = delivered_;
    return batch;
  }

 private:
  struct Stored {
    journal::Entry entry;
    std::string payload;
  };
  journal::Placed Order(journal::Record record, journal::EntryKind kind) {
    tail_.position = tail_.position.Next();
    if (record.changes_keys) tail_.revision = tail_.revision.Next();
    tail_.term = Term(1);
    Stored stored;
    stored.entry.position = tail_.position;
    stored.entry.term = tail_.term;
    stored.entry.revision = tail_.revision;
    stored.entry.kind = kind;
    stored.entry.changes_keys = record.changes_keys;
    stored.entry.partitions = record.partitions;
    stored.entry.origin = record.origin;
    stored.entry.origin_number = record.origin_number;
    stored.payload = std::move(record.payload);
    undelivered_.push_back(std::move(stored));
    return {tail_.position, tail_.revision};
  }

  journal::Tail tail_;
  journal::Tail delivered_;
  std::deque<Stored> undelivered_;
  std::vector<journal::TailCallback> questions_;
  absl::flat_hash_map<OriginId, uint64_t> last_number_;
  uint64_t payload_bytes_max_ = 1 << 20;
  absl::Status fail_next_;
  std::vector<std::pair<journal::AppendCallback, absl::Status>> failures_;
};

struct ReplicaHarness {
  static constexpr PartitionId kPartition{3};
  static constexpr OriginId kOrigin{77};

  explicit ReplicaHarness(ReplicaOptions options = {}, ApplyObserver* observer = nullptr) {
    options.partition = kPartition;
    options.origin = kOrigin;
    replica = Replica::Create(options, executor, clock, journal, memory, observer);
    CHECK(replica->store().StartEmpty().ok());
    replica->Start({});
    absl::Status claimed = absl::UnknownError("not yet");
    replica->BecomePrimary([&](absl::Status status) { claimed = status; });
    Settle();
    CHECK(claimed.ok());
  }

  void Deliver(size_t max_entries = 1000) { replica->Apply(*journal.NextBatch(max_entries)); }
  // Until nothing moves any more.
  void Settle() {
    do {
      executor.RunAll();
      journal.AnswerQuestions();
      Deliver();
      executor.RunAll();
    } while (journal.undelivered() > 0 || journal.questions() > 0);
  }
  // Appends an entry of somebody else that names this partition.
  uint64_t AppendForeign(std::string payload, bool changes_keys) {
    journal::Record record;
    record.changes_keys = changes_keys;
    record.partitions.push_back({kPartition, replica->epoch()});
    record.origin = OriginId(88);
    record.origin_number = ++foreign_number;
    record.payload = std::move(payload);
    journal.Append(std::move(record), [](absl::StatusOr<journal::Placed> p) { CHECK(p.ok()); });
    return foreign_number;
  }

  ManualExecutor executor;
  ManualClock clock;
  FakeJournal journal;
  HeapMapper memory;
  uint64_t foreign_number = 0;
  std::unique_ptr<Replica> replica;
};

}  // namespace tidemark::kvstore

// The ReplicatedLog of a single node: its own disk is the quorum.
//
// Hides the directory, the storage, and where blocking work runs. Thread-safe; appends and reads go
// through one BlockingRunner in order; what takes long and nobody waits for (removing files, making
// the next one ready) through another.
//
// Lock order: directory_mutex, then mutex, then a SpareSegment's.
//
// Invariants:
//  1. J5: every start has a greater term, durable before the first append.
//  2. Nothing touches the directory after destruction; destruction waits for work that runs.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/file_system.h"
#include "src/base/mutex.h"
#include "src/base/random.h"
#include "src/journal/data_directory.h"
#include "src/journal/log_survey.h"
#include "src/journal/replicated_log.h"
#include "src/journal/segmented_log.h"

namespace tidemark::journal {

// Figures that any thread may read.
struct LogStats {
  std::atomic<uint64_t> blocks_written{0};
  std::atomic<uint64_t> bytes_written{0};
  std::atomic<uint64_t> syncs{0};
  std::atomic<uint64_t> appends_refused{0};
  std::atomic<uint64_t> size_bytes{0};
};

class SingleVoterLog : public ReplicatedLog {
 public:
  struct Options {
    std::string directory;
    std::string owner;  // whose journal it shall be; empty: anybody's
    uint64_t segment_bytes = kSegmentBytesDefault;
    FileSystem* file_system = nullptr;
    const Clock* clock = nullptr;
    Random* random = nullptr;
    Executor* executor = nullptr;           // callbacks run here
    BlockingRunner* runner = nullptr;       // disk work runs here
    BlockingRunner* side_runner = nullptr;  // what nobody waits for; `runner` if there is none
    LogStats* stats = nullptr;              // outlives the log and all work of the runner
    bool unsafe_no_sync = false;            // nothing is ever synced, nor counted as a sync
    bool writes_directly = true;            // past the page cache, where that can be done
    size_t kept_segments_max = kKeptSegmentsMaxDefault;
    // How long each write and each sync took; called where the work runs. May be empty. A write
    // that is durable when it returns counts as both.
    std::function<void(absl::Duration)> observe_write;
    std::function<void(absl::Duration)> observe_sync;
  };

  using Visitor = LogVisitor;

  // Blocking: reads and verifies the whole log.
  static absl::StatusOr<std::unique_ptr<SingleVoterLog>> Open(Options options,
                                                              const Visitor& visitor);
  ~SingleVoterLog() override;

  Position first() const { return first_; }
  // With this start as the newest.
  const History& history() const { return history_; }
  // Identity of the directory.
  uint64_t store_id() const { return member_id_; }

  Term term() const override { return term_; }
  std::vector<Member> Members() const override;
  void Append(std::shared_ptr<const LogBlock> block, Done done) override;
  void Read(Position from, size_t size_bytes, ReadDone done) override;
  void ConfirmLeadership(Done done) override;
  void Trim(TrimRequest request, absl::AnyInvocable<void(absl::StatusOr<Position>)> done) override;
  void GiveSpaceBack() override;
  void Settle() override;

 private:
  // Shared with tasks that may start after the log is gone; they find it closed.
  struct Disk {
    Mutex directory_mutex;  // held by work of the side runner, however long it takes
    Mutex mutex;
    std::unique_ptr<FileSystem> unsynced;  // with unsafe_no_sync: what the options point to
    std::unique_ptr<DataDirectory> directory ABSL_GUARDED_BY(directory_mutex);
    std::unique_ptr<LogStorage> storage ABSL_GUARDED_BY(mutex);
    Position synced ABSL_GUARDED_BY(mutex);            // what was only written is read by nobody
    bool awaits_pause ABSL_GUARDED_BY(mutex) = false;  // a SettleLater is under way
    Options options;

    absl::Status WriteBlock(const LogBlock& block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
    void SyncBlock() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
    void CountSync(absl::Duration took);
    LogStorage::Preparation NextPreparation() ABSL_LOCKS_EXCLUDED(mutex);
    // The newest position if it is not `last`: appends have not paused.
    std::optional<Position> SettleUnlessNewer(Position last) ABSL_LOCKS_EXCLUDED(mutex);
    absl::StatusOr<std::vector<StoredBlock>> Read(Position from, size_t size_bytes)
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
    absl::StatusOr<Position> Trim(const TrimRequest& request)
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(directory_mutex) ABSL_LOCKS_EXCLUDED(mutex);
    bool IsClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return storage == nullptr; }
  };

  // Once nothing has been appended for a moment.
  static void SettleLater(std::shared_ptr<Disk> disk, Position last);
  static void RunAside(std::shared_ptr<Disk> disk, LogStorage::Preparation preparation);

  SingleVoterLog(std::shared_ptr<Disk> disk, Term term, History history, Position first,
                 uint64_t member_id)
      : disk_(std::move(disk)),
        term_(term),
        history_(std::move(history)),
        first_(first),
        member_id_(member_id) {}

  const std::shared_ptr<Disk> disk_;
  const Term term_;
  const History history_;
  const Position first_;  // as of the start
  const uint64_t member_id_;
};

}  // namespace tidemark::journal

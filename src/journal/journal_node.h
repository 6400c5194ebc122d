// The shell that drives sequencer, replicated log and delivery; what EmbeddedJournal owns.
//
// Methods are thread-safe. State of the journal's sequence is guarded by step_mutex_, which only
// the sequence takes, and the end: so destruction waits for a step that runs.
//
// Lock order: step_mutex_, then a subscriber's, then mutex_.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "src/base/mutex.h"
#include "src/journal/delivery.h"
#include "src/journal/embedded_journal.h"
#include "src/journal/journal.h"
#include "src/journal/replicated_log.h"
#include "src/journal/sequencer.h"

namespace tidemark::journal {

class JournalNode : public std::enable_shared_from_this<JournalNode> {
 public:
  JournalNode(JournalLimits limits, Executor& executor, std::unique_ptr<JournalStats> stats);

  // Once, before anything else. `first` is the oldest position in the log.
  void Start(std::unique_ptr<ReplicatedLog> log, Sequencer sequencer, Position first);
  // Answers what waits with Unavailable, then settles the log (on the sequence); accepts nothing
  // any more.
  void Stop();
  // After it nothing of this journal runs, and nothing touches its directory.
  void Close();

  uint64_t payload_bytes_max() const { return limits_.payload_bytes_max; }
  void Append(EntryKind kind, Record record, AppendCallback done);
  absl::StatusOr<std::unique_ptr<Subscription>> Subscribe(Position from,
                                                          std::vector<PartitionId> partitions,
                                                          BatchCallback deliver);
  void ConfirmTail(TailCallback done);
  void Trim(Position position);
  void GiveSpaceBack();
  Tail KnownTail() const;
  Position KnownFirst() const;
  // A subscriber made room or closed.
  void Serve();

  JournalStats& stats() { return *stats_; }

 private:
  struct Pending {
    EntryKind kind;
    Record record;
    AppendCallback done;
  };
  struct Answer {
    AppendCallback done;
    absl::StatusOr<Placed> result;
  };
  // A block while it is made durable: owns the payloads that its entries view.
  struct BlockInProgress {
    LogBlock log_block;
    EntryBlock entries;
    std::string head;
    std::vector<std::string> payloads;
  };

  // What a step finds waiting.
  struct Waiting {
    std::vector<Pending> appends;
    std::vector<std::shared_ptr<Subscriber>> attaching;
    bool serve = false;
  };

  void PostStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Refuse(AppendCallback done, absl::Status why);
  Waiting TakeWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(step_mutex_);
  std::vector<Pending> TakeAppends() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Step() ABSL_EXCLUSIVE_LOCKS_REQUIRED(step_mutex_);
  void OrderAppends(std::vector<Pending> taken) ABSL_EXCLUSIVE_LOCKS_REQUIRED(step_mutex_);
  std::shared_ptr<BlockInProgress> MakeBlock(std::vector<Pending> taken)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(step_mutex_);
  void FinishBlock(std::shared_ptr<BlockInProgress> block, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(step_mutex_);
  void RunAnswers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(step_mutex_);
  void StartTrim() ABSL_EXCLUSIVE_LOCKS_REQUIRED(step_mutex_);
  void TrimAgain(Position before, Position wanted) ABSL_LOCKS_EXCLUDED(step_mutex_);
  void StartRead(Position from, size_t size_bytes);
  void FinishRead(absl::StatusOr<std::vector<StoredBlock>> blocks)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(step_mutex_);
  bool IsStopped() const;

  const JournalLimits limits_;
  Executor& executor_;
  const std::unique_ptr<JournalStats> stats_;

  std::unique_ptr<ReplicatedLog> log_;  // thread-safe; changed by Start and Close only

  Mutex step_mutex_;
  Sequencer sequencer_ ABSL_GUARDED_BY(step_mutex_);
  std::unique_ptr<Delivery> delivery_ ABSL_GUARDED_BY(step_mutex_);
  bool is_busy_ ABSL_GUARDED_BY(step_mutex_) = false;         // a block is on its way
  std::vector<Answer> answers_ ABSL_GUARDED_BY(step_mutex_);  // to give when it is durable
  Position trim_started_ ABSL_GUARDED_BY(step_mutex_);

  mutable Mutex mutex_;
  std::vector<Pending> mailbox_ ABSL_GUARDED_BY(mutex_);
  uint64_t mailbox_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool step_is_posted_ ABSL_GUARDED_BY(mutex_) = false;
  bool serve_is_wanted_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<Subscriber>> attaching_ ABSL_GUARDED_BY(mutex_);
  bool is_stopped_ ABSL_GUARDED_BY(mutex_) = false;
  Position trim_wanted_ ABSL_GUARDED_BY(mutex_);
  Position first_ ABSL_GUARDED_BY(mutex_){1};
  Tail tail_ ABSL_GUARDED_BY(mutex_);  // committed, and durable
};

}  // namespace tidemark::journal

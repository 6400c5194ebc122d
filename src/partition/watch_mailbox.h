// What partitions say to a stream, on its way between their sequences.
//
// Hides the lock and the single pending wake-up. Events, answers and endings keep their order per
// partition; floors (see below) are taken together with all messages put before them, so a floor
// never overtakes an event.
// Thread-safe. The stream closes it; what is pushed afterwards is dropped.
// Bounded: events by the ports' budgets, endings by the watches, answers by the running rounds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "src/base/executor.h"
#include "src/base/ids.h"
#include "src/base/mutex.h"
#include "src/journal/journal.h"
#include "src/mvcc/watch_set.h"

namespace tidemark::partition {

// A watch's name inside its stream; unlike the client's watch_id never used twice.
using WatchKey = uint64_t;

struct PortEvents {
  WatchKey watch = 0;
  PartitionId partition;
  mvcc::EventBatchPtr batch;
  Revision header_revision{0};
  bool merging = false;
};
struct PortCompacted {
  WatchKey watch = 0;
  Revision compact_revision{0};
};
// Answer to a question about progress: these of the port's watches are not caught up.
struct PortProgress {
  uint64_t round = 0;
  std::vector<WatchKey> behind;
};
// A confirmed tail that the stream asked for.
struct TailConfirmed {
  uint64_t ticket = 0;
  absl::StatusOr<journal::Tail> tail;
};
using WatchMessage = std::variant<PortEvents, PortCompacted, PortProgress, TailConfirmed>;

class WatchMailbox : public std::enable_shared_from_this<WatchMailbox> {
 public:
  // Everything at or below the revision was pushed for that watch by that partition.
  using Floors = absl::btree_map<std::pair<WatchKey, PartitionId>, Revision>;
  struct Contents {
    std::vector<WatchMessage> messages;
    Floors floors;  // hold once all `messages` are processed
  };

  WatchMailbox(Executor& reader, std::function<void()> on_wake)
      : reader_(reader), on_wake_(std::move(on_wake)) {}

  void Push(WatchMessage message) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    if (closed_) return;
    contents_.messages.push_back(std::move(message));
    WakeLocked();
  }
  void SetFloor(WatchKey watch, PartitionId partition, Revision floor) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    if (closed_) return;
    contents_.floors[{watch, partition}] = floor;
    WakeLocked();
  }
  void Wake() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    if (!closed_) WakeLocked();
  }
  // Reader's sequence. `into` is empty; what it has of memory is for what comes next.
  void Take(Contents& into) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    std::swap(contents_, into);
  }
  // Reader's sequence: on_wake will not run again.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    closed_ = true;
    contents_ = {};
  }

 private:
  void WakeLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (woken_) return;
    woken_ = true;
    reader_.Post([self = shared_from_this()] {
      {
        MutexLock lock(&self->mutex_);
        self->woken_ = false;
        if (self->closed_) return;
      }
      self->on_wake_();  // Close runs on this sequence too, so the stream is alive
    });
  }

  Executor& reader_;
  const std::function<void()> on_wake_;
  Mutex mutex_;
  Contents contents_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tidemark::partition

// Compacts by itself: etcd's --auto-compaction-mode (contract 2.8).
//
// Hides the two policies. Periodic: samples the revision every min(period, 1h)/10 and, once the
// period has passed, compacts every min(period, 1h) to the revision seen a period ago; a failure is
// retried at the sampling interval. Revision: every five minutes to current - retention.
// Sequence-bound to `executor`.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/ids.h"

namespace tidemark::partition {

struct AutoCompaction {
  enum class Mode { kOff, kPeriodic, kRevision };
  Mode mode = Mode::kOff;
  absl::Duration period;           // kPeriodic
  int64_t retained_revisions = 0;  // kRevision
};

class AutoCompactor {
 public:
  using Compact = std::function<void(Revision, absl::AnyInvocable<void(absl::Status)>)>;

  AutoCompactor(AutoCompaction policy, Executor& executor, Clock& clock,
                std::function<Revision()> current, Compact compact);
  ~AutoCompactor();

  void Start();
  void Stop();

 private:
  struct Sample {
    absl::Duration at;
    Revision revision;
  };

  absl::Duration Interval() const;
  void Arm();
  void Tick();
  Revision TargetOf(absl::Duration now) const;  // 0: nothing to do yet
  void Run(Revision target);

  const AutoCompaction policy_;
  Executor& executor_;
  Clock& clock_;
  const std::function<Revision()> current_;
  const Compact compact_;
  std::shared_ptr<bool> running_;  // false once stopped; shared with callbacks
  TimerId timer_ = 0;
  bool busy_ = false;
  std::deque<Sample> samples_;  // bounded: one period of samples
  absl::Duration compacted_at_;
  Revision compacted_to_{0};
};

}  // namespace tidemark::partition

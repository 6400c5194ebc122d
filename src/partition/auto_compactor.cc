#include "src/partition/auto_compactor.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/log.h"

namespace tidemark::partition {
namespace {

constexpr absl::Duration kRevisionInterval = absl::Minutes(5);
constexpr int kSamplesPerInterval = 10;

}  // namespace

AutoCompactor::AutoCompactor(AutoCompaction policy, Executor& executor, Clock& clock,
                             std::function<Revision()> current, Compact compact)
    : policy_(policy),
      executor_(executor),
      clock_(clock),
      current_(std::move(current)),
      compact_(std::move(compact)) {}

AutoCompactor::~AutoCompactor() { Stop(); }

void AutoCompactor::Start() {
  if (policy_.mode == AutoCompaction::Mode::kOff) return;
  CHECK(running_ == nullptr);
  running_ = std::make_shared<bool>(true);
  compacted_at_ = clock_.Monotonic();
  if (policy_.mode == AutoCompaction::Mode::kPeriodic) {
    samples_.push_back({clock_.Monotonic(), current_()});
  }
  Arm();
}

void AutoCompactor::Stop() {
  if (running_ == nullptr) return;
  *running_ = false;
  running_ = nullptr;
  executor_.Cancel(timer_);
}

absl::Duration AutoCompactor::Interval() const {
  if (policy_.mode == AutoCompaction::Mode::kRevision) return kRevisionInterval;
  return std::max(std::min(policy_.period, absl::Hours(1)) / kSamplesPerInterval,
                  absl::Milliseconds(1));
}

void AutoCompactor::Arm() {
  timer_ = executor_.PostAt(clock_.Monotonic() + Interval(), [this, running = running_] {
    if (*running) Tick();
  });
}

void AutoCompactor::Tick() {
  const absl::Duration now = clock_.Monotonic();
  if (policy_.mode == AutoCompaction::Mode::kPeriodic) {
    samples_.push_back({now, current_()});
    // Keep the newest sample that is a whole period old, and what is younger.
    while (samples_.size() >= 2 && now - samples_[1].at >= policy_.period) samples_.pop_front();
  }
  const Revision target = TargetOf(now);
  if (!busy_ && target.value() > 0 && target != compacted_to_) Run(target);
  Arm();
}

Revision AutoCompactor::TargetOf(absl::Duration now) const {
  if (policy_.mode == AutoCompaction::Mode::kRevision) {
    return Revision(std::max<int64_t>(0, current_().value() - policy_.retained_revisions));
  }
  if (now - samples_.front().at < policy_.period) return Revision(0);
  if (now - compacted_at_ < std::min(policy_.period, absl::Hours(1))) return Revision(0);
  return samples_.front().revision;
}

void AutoCompactor::Run(Revision target) {
  busy_ = true;
  const absl::Duration began = clock_.Monotonic();
  TLOG(kInfo, "starting auto compaction", {{"revision", target.value()}});
  compact_(target, [this, target, began, running = running_](absl::Status status) {
    if (!*running) return;
    busy_ = false;
    // Somebody else compacted that far or further: as good as our own.
    if (status.ok() || absl::IsOutOfRange(status)) {
      compacted_at_ = began;
      compacted_to_ = target;
      TLOG(kInfo, "completed auto compaction", {{"revision", target.value()}});
    } else {
      TLOG(kWarn, "failed auto compaction",
           {{"revision", target.value()}, {"error", status.message()}});
    }
  });
}

}  // namespace tidemark::partition

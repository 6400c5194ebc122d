#include "src/partition/start_progress.h"

#include <algorithm>

#include "src/base/log.h"

namespace tidemark::partition {
namespace {

absl::Duration Shown(absl::Duration duration) {
  return absl::Trunc(duration, absl::Milliseconds(100));
}

}  // namespace

absl::Duration StartProgress::Remaining(absl::Duration elapsed, double share) {
  if (share <= 0) return absl::InfiniteDuration();
  return elapsed * ((1 - std::min(share, 1.0)) / share);
}

void StartProgress::Begin(Position target) {
  target_ = target;
  began_ = clock_.Monotonic();
}

void StartProgress::BeginReplay(Position from) {
  replay_from_ = from;
  replay_began_ = clock_.Monotonic();
}

void StartProgress::Log(Position applied) const {
  const absl::Duration now = clock_.Monotonic();
  if (loaded_ == partitions_.size()) {
    const auto all = static_cast<double>(target_.value() - replay_from_.value() + 1);
    const auto done = static_cast<double>(std::max(applied, replay_from_.Previous()).value() -
                                          replay_from_.Previous().value());
    TLOG(kInfo, "replaying journal",
         {{"applied", applied.value()},
          {"last", target_.value()},
          {"elapsed", Shown(now - began_)},
          {"remaining", Shown(Remaining(now - replay_began_, done / all))}});
    return;
  }
  uint64_t total_bytes = 0;
  uint64_t read_bytes = 0;
  double done_bytes = 0;
  for (const auto& [id, progress] : partitions_) {
    const LoadProgress::Figures figures = progress.Get();
    total_bytes += figures.total_bytes;
    read_bytes += figures.read_bytes;
    done_bytes += figures.done * static_cast<double>(figures.total_bytes);
  }
  const double done = done_bytes / std::max(1.0, static_cast<double>(total_bytes));
  TLOG(kInfo, "loading partitions",
       {{"bytes-total", total_bytes},
        {"bytes-read", read_bytes},
        {"elapsed", Shown(now - began_)},
        {"remaining", Shown(Remaining(now - began_, done))},
        {"partitions-left", partitions_.size() - loaded_}});
}

void StartProgress::Cancel() {
  for (auto& [id, progress] : partitions_) progress.Cancel();
}

}  // namespace tidemark::partition

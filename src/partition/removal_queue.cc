#include "src/partition/removal_queue.h"

#include <algorithm>
#include <utility>

#include "src/base/failpoint.h"

namespace tidemark::partition {

void RemovalQueue::Add(Revision up_to, Pace pace, bool is_awaited, Task done) {
  Removal& removal = state_ == State::kAwaitingWalks ? current_ : next_;  // not begun
  removal.up_to = std::max(removal.up_to, up_to);
  if (pace == Pace::kHurry) removal.pace = pace;
  if (is_awaited || removal.done.size() < kUnawaitedMax) removal.done.push_back(std::move(done));
  if (state_ == State::kIdle) return Next();
  if (pace == Pace::kHurry && state_ == State::kRemoving) Hurry();
}

void RemovalQueue::Next() {
  state_ = State::kIdle;
  if (next_.done.empty()) return;
  current_ = std::exchange(next_, Removal());
  state_ = State::kAwaitingWalks;
  if (walks_ == 0 || PLANTED_BUG("partition_removal_beside_a_walk")) Remove();
}

void RemovalQueue::Remove() {
  state_ = State::kRemoving;
  bound_ = std::max(bound_, current_.up_to);
  AskAll<bool>(
      parts_, parts_.ids(), home_,
      [bound = bound_, pace = current_.pace](kvstore::Replica& replica, size_t,
                                             absl::AnyInvocable<void(bool)> answer) {
        replica.RunCompaction(bound, pace,
                              [answer = std::move(answer)]() mutable { answer(true); });
      },
      [this](std::vector<bool>) { OnRemoved(); });
  BeginWalks();
}

void RemovalQueue::OnRemoved() {
  on_freed_();
  for (Task& done : std::exchange(current_.done, {})) done();
  Next();
}

// Whoever waits for the next one waits for the one that runs.
void RemovalQueue::Hurry() {
  if (std::exchange(current_.pace, Pace::kHurry) == Pace::kHurry) return;
  for (PartitionId id : parts_.ids()) {
    kvstore::Replica& replica = parts_.replica(id);
    replica.executor().Post(
        [&replica, bound = bound_] { replica.RunCompaction(bound, Pace::kHurry, [] {}); });
  }
}

void RemovalQueue::Walk(absl::AnyInvocable<void(Task)> walk) {
  waiting_walks_.push_back(std::move(walk));
  BeginWalks();
}

void RemovalQueue::BeginWalks() {
  while (state_ != State::kAwaitingWalks && walks_ < kWalksMax && !waiting_walks_.empty()) {
    auto walk = std::move(waiting_walks_.front());
    waiting_walks_.pop_front();
    ++walks_;
    walk([this] { OnWalked(); });
  }
}

void RemovalQueue::OnWalked() {
  --walks_;
  if (state_ == State::kAwaitingWalks && walks_ == 0) return Remove();
  BeginWalks();
}

}  // namespace tidemark::partition

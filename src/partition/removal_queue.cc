#include "src/partition/removal_queue.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "src/base/failpoint.h"

namespace tidemark::partition {

void RemovalQueue::Add(Removal removal) {
  waiting_.push_back(std::move(removal));
  LimitWaiting();
  if (state_ == State::kIdle) Next();
}

void RemovalQueue::LimitWaiting() {
  const auto is_free = [](const Removal& removal) { return !removal.is_awaited; };
  if (std::count_if(waiting_.begin(), waiting_.end(), is_free) <= static_cast<int>(kWaitingMax)) {
    return;
  }
  waiting_.erase(std::find_if(waiting_.begin(), waiting_.end(), is_free));
}

void RemovalQueue::Next() {
  state_ = State::kIdle;
  if (waiting_.empty()) return;
  state_ = State::kPreparing;
  current_ = std::move(waiting_.front());
  waiting_.pop_front();
  if (current_.before == nullptr) return Begin();
  std::exchange(current_.before, nullptr)([this] { Begin(); });
}

void RemovalQueue::Begin() {
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
      [this](std::vector<bool>) {
        on_freed_();
        std::exchange(current_.done, nullptr)();
        Next();
      });
  for (auto& walk : std::exchange(waiting_walks_, {})) Walk(std::move(walk));
}

void RemovalQueue::Walk(absl::AnyInvocable<void(Task)> walk) {
  if (state_ == State::kAwaitingWalks) return waiting_walks_.push_back(std::move(walk));
  ++walks_;
  walk([this] { OnWalked(); });
}

void RemovalQueue::OnWalked() {
  if (--walks_ == 0 && state_ == State::kAwaitingWalks) Remove();
}

}  // namespace tidemark::partition

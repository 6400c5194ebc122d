#include "src/kvstore/read_barrier.h"

#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/etcd_errors.h"

namespace tidemark::kvstore {

void ReadBarrier::Ask(Done done) {
  if (question_under_way_) {
    if (PLANTED_BUG("read_barrier_reuses_tail")) {
      asked_.push_back(std::move(done));
      return;
    }
    arrived_later_.push_back(std::move(done));
    return;
  }
  asked_.push_back(std::move(done));
  SendQuestion();
}

void ReadBarrier::SendQuestion() {
  CHECK(!question_under_way_ && !asked_.empty());
  question_under_way_ = true;
  journal_.ConfirmTail([this, executor = &executor_, alive = std::weak_ptr<bool>(alive_)](
                           absl::StatusOr<journal::Tail> tail) mutable {
    executor->Post([this, alive = std::move(alive), tail = std::move(tail)]() mutable {
      if (!alive.expired()) OnAnswer(std::move(tail));
    });
  });
}

void ReadBarrier::OnAnswer(absl::StatusOr<journal::Tail> tail) {
  CHECK(question_under_way_);
  question_under_way_ = false;
  std::vector<Done> answered = std::exchange(asked_, std::exchange(arrived_later_, {}));
  if (!asked_.empty()) SendQuestion();
  if (!tail.ok()) {
    for (Done& done : answered) done(ErrTimeout());
    return;
  }
  for (Done& done : answered) {
    if (tail->position <= applied_) {
      done(*tail);
      continue;
    }
    WhenApplied(tail->position, [done = std::move(done), tail = *tail]() mutable { done(tail); });
  }
}

void ReadBarrier::WhenApplied(Position position, absl::AnyInvocable<void()> done) {
  if (position <= applied_) {
    done();
    return;
  }
  unapplied_.emplace(position, std::move(done));
}

void ReadBarrier::OnApplied(Position applied) {
  CHECK(applied >= applied_);
  applied_ = applied;
  while (!unapplied_.empty() && unapplied_.begin()->first <= applied_) {
    auto node = unapplied_.extract(unapplied_.begin());
    node.mapped()();
  }
}

}  // namespace tidemark::kvstore

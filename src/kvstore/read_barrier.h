// Makes reads linearizable: a tail that the journal confirmed after the read arrived, applied here.
//
// Hides the sharing: all that wait when a question is asked share its answer; who comes later waits
// for the next question, never for an answer to an older one (etcd issue 20418).
// Sequence-bound to `executor`; the journal's answer is posted there.
//
// Invariants:
//  1. At most one question is under way.
//  2. `done` runs with a tail confirmed after Ask, once it is applied here.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "src/base/executor.h"
#include "src/journal/journal.h"

namespace tidemark::kvstore {

class ReadBarrier {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<journal::Tail>)>;

  ReadBarrier(Executor& executor, journal::Journal& journal)
      : executor_(executor), journal_(journal), alive_(std::make_shared<bool>(true)) {}

  void Ask(Done done);
  // Runs `done` when everything up to `position` is applied; inline if it is.
  void WhenApplied(Position position, absl::AnyInvocable<void()> done);
  // The watermark moved.
  void OnApplied(Position applied);

  size_t waiting_count() const {
    return asked_.size() + arrived_later_.size() + unapplied_.size();
  }

 private:
  void SendQuestion();
  void OnAnswer(absl::StatusOr<journal::Tail> tail);

  Executor& executor_;
  journal::Journal& journal_;
  std::shared_ptr<bool> alive_;  // answers that arrive after our end are dropped
  bool question_under_way_ = false;
  std::vector<Done> asked_;          // covered by the question under way
  std::vector<Done> arrived_later_;
  std::multimap<Position, absl::AnyInvocable<void()>> unapplied_;
  Position applied_;
};

}  // namespace tidemark::kvstore

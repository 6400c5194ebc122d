// Appends the entries of operations that no single replica owns, under one origin.
//
// Hides the origin's running numbers. A refused append leaves a hole behind which the journal
// refuses everything; the writer lets what is in flight end, then goes on with the number that is
// next after the last success.
// Sequence-bound to `home`; `done` runs there. Bounded by its callers (Coordinator's operations).
//
// Invariants:
//  1. Numbers are sent in order; one that succeeded is never sent again.
#pragma once

#include <deque>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "src/base/executor.h"
#include "src/journal/journal.h"

namespace tidemark::partition {

class JournalWriter {
 public:
  // Runs right before the append, in the same step: whoever waits for the entry is told its name.
  using Announce = absl::AnyInvocable<void(OriginId origin, uint64_t number)>;
  using Done = absl::AnyInvocable<void(absl::StatusOr<journal::Placed>)>;

  JournalWriter(journal::Journal& journal, Executor& home, OriginId origin)
      : journal_(journal), home_(home), origin_(origin) {}

  // origin and origin_number of `record` are filled in. One that is larger than the journal takes
  // is refused without a number, so nothing behind it meets a hole, and is not announced.
  void Append(journal::Record record, Announce announce, Done done);
  bool idle() const { return in_flight_ == 0 && waiting_.empty(); }

 private:
  struct Waiting {
    journal::Record record;
    Announce announce;
    Done done;
  };
  void Send(Waiting item);
  void OnPlaced(uint64_t number, Done done, absl::StatusOr<journal::Placed> placed);

  journal::Journal& journal_;
  Executor& home_;
  const OriginId origin_;
  uint64_t next_number_ = 1;
  uint64_t last_placed_ = 0;
  size_t in_flight_ = 0;
  bool failed_ = false;  // nothing is sent until in_flight_ is 0
  std::deque<Waiting> waiting_;
};

}  // namespace tidemark::partition

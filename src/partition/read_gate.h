// Lets reads of many keys wait a moment for memory, instead of refusing them at once
// (docs/design-notes.md, "Memory budget").
//
// Hides the queue and the trying again. A read that finds no room for its answer gives up what it
// has read so far, and begins anew when there is more room than it had; after kPatience, or too
// many tries, it is refused with etcd's "too many requests".
// Run may be called from any thread; the rest belongs to home.
//
// Invariants:
//  1. Every read is answered once; none waits longer than kPatience in all.
//  2. No more than kMaxWaiting wait.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/memory_budget.h"
#include "src/partition/router.h"

namespace tidemark::partition {

class ReadGate {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(2);
  static constexpr size_t kMaxWaiting = 10000;

  ReadGate(MemoryBudget& budget, Executor& home, const Clock& clock)
      : budget_(budget), home_(home), clock_(clock) {}

  // `attempt(done)` reads; it is called again after it was answered "too many requests".
  template <typename Result>
  void Run(std::shared_ptr<const std::atomic<bool>> cancelled, ReplyCallback<Result> done,
           absl::AnyInvocable<void(ReplyCallback<Result>)> attempt) {
    auto read = std::make_shared<ReadOf<Result>>();
    read->cancelled = std::move(cancelled);
    read->deadline = clock_.Monotonic() + kPatience;
    read->needed_bytes =
        std::min(kFirstNeededBytes, budget_.share_bytes(MemoryAccount::kReads) / kLeastPart);
    read->done = std::move(done);
    read->attempt = std::move(attempt);
    if (waiting_count_.load(std::memory_order_relaxed) == 0 && HasRoomFor(*read)) {
      return read->Try(*this);
    }
    home_.Post([this, read = std::move(read)]() mutable { Wait(std::move(read)); });
  }

  void Stop();

 private:
  struct Read {
    virtual ~Read() = default;
    virtual void Try(ReadGate& gate) = 0;
    virtual void Refuse(absl::Status status) = 0;

    std::shared_ptr<const std::atomic<bool>> cancelled;
    absl::Duration deadline;
    int64_t needed_bytes = 0;
    int tries = 0;
  };
  template <typename Result>
  struct ReadOf final : Read, std::enable_shared_from_this<ReadOf<Result>> {
    void Try(ReadGate& gate) override {
      attempt([&gate, self = this->shared_from_this()](
                  absl::StatusOr<kvstore::Reply<Result>> reply) mutable {
        if (reply.ok() || !IsRefusal(reply.status())) return self->done(std::move(reply));
        Executor& home = gate.home_;
        home.Post([&gate, self = std::move(self)]() mutable { gate.TryLater(std::move(self)); });
      });
    }
    void Refuse(absl::Status status) override { done(std::move(status)); }

    ReplyCallback<Result> done;
    absl::AnyInvocable<void(ReplyCallback<Result>)> attempt;
  };

  static constexpr int64_t kFirstNeededBytes = 64 << 10;
  static constexpr int64_t kLeastPart = 16;  // of a small share
  static constexpr int kMaxTries = 8;
  static constexpr absl::Duration kPollInterval = absl::Milliseconds(5);

  static bool IsRefusal(const absl::Status& status);
  static bool IsGone(const Read& read) {
    return read.cancelled != nullptr && read.cancelled->load();
  }
  bool HasRoomFor(const Read& read) const {
    return budget_.HasRoomFor(MemoryAccount::kReads, read.needed_bytes);
  }
  void TryLater(std::shared_ptr<Read> read);
  void Wait(std::shared_ptr<Read> read);
  void Refuse(Read& read);
  void Poll();

  MemoryBudget& budget_;
  Executor& home_;
  const Clock& clock_;
  std::atomic<size_t> waiting_count_{0};
  std::list<std::shared_ptr<Read>> waiting_;  // in the order of arrival
  bool polling_ = false;
  bool stopped_ = false;
};

}  // namespace tidemark::partition

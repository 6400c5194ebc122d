// A journal whose leader is elsewhere: questions for the tail take a time to get there and a time
// to come back, and entries arrive at each subscriber at a time of its own, as they will over a
// network.
//
// The embedded journal answers at once and hands an entry to all partitions in one step, so that
// with it alone no use of an old answer, and no partition that lags behind another, could be seen.
// Bound to the simulator's one thread; what is in Wiring outlives it and its subscriptions.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/random.h"
#include "src/journal/journal.h"
#include "tests/sim/env/seeded_random.h"

namespace tidemark::sim {

class DistantJournal : public journal::Journal {
 public:
  struct Wiring {
    journal::Journal& inner;
    Executor& network;  // dies with the node
    Clock& clock;
    Random& random;
    absl::Duration delay_max;  // each way; zero: as the inner journal
  };
  explicit DistantJournal(Wiring wiring) : w_(wiring) {}

  uint64_t payload_bytes_max() const override { return w_.inner.payload_bytes_max(); }
  void Append(journal::Record record, journal::AppendCallback done) override {
    w_.inner.Append(std::move(record), std::move(done));
  }

  absl::StatusOr<std::unique_ptr<journal::Subscription>> Subscribe(
      Position from, std::vector<PartitionId> partitions, journal::BatchCallback deliver) override {
    if (is_near()) return w_.inner.Subscribe(from, std::move(partitions), std::move(deliver));
    auto line = std::make_shared<Line>();
    line->deliver = std::move(deliver);
    auto inner = w_.inner.Subscribe(
        from, std::move(partitions), [this, line](std::shared_ptr<const journal::Batch> batch) {
          // In order: one connection.
          line->arrival = std::max(line->arrival + absl::Nanoseconds(1), ArrivalTime());
          w_.network.PostAt(line->arrival, [line, batch = std::move(batch)]() mutable {
            if (line->open) line->deliver(std::move(batch));
          });
        });
    if (!inner.ok()) return inner.status();
    return std::make_unique<DistantSubscription>(std::move(line), *std::move(inner));
  }

  void ConfirmTail(journal::TailCallback done) override {
    if (is_near()) return w_.inner.ConfirmTail(std::move(done));
    Later([this, done = std::move(done)]() mutable {
      w_.inner.ConfirmTail(
          [this, done = std::move(done)](absl::StatusOr<journal::Tail> tail) mutable {
            Later([done = std::move(done), tail]() mutable { done(tail); });
          });
    });
  }

  void Claim(PartitionId partition, OriginId origin, journal::ClaimCallback done) override {
    w_.inner.Claim(partition, origin, std::move(done));
  }
  void Trim(Position position) override { w_.inner.Trim(position); }
  void GiveSpaceBack() override { w_.inner.GiveSpaceBack(); }
  journal::Tail KnownTail() const override { return w_.inner.KnownTail(); }
  Position KnownFirst() const override { return w_.inner.KnownFirst(); }

 private:
  struct Line {
    journal::BatchCallback deliver;
    absl::Duration arrival;
    bool open = true;
  };
  class DistantSubscription : public journal::Subscription {
   public:
    DistantSubscription(std::shared_ptr<Line> line, std::unique_ptr<journal::Subscription> inner)
        : line_(std::move(line)), inner_(std::move(inner)) {}
    ~DistantSubscription() override { line_->open = false; }
    void Acknowledge(Position position) override { inner_->Acknowledge(position); }

   private:
    const std::shared_ptr<Line> line_;
    const std::unique_ptr<journal::Subscription> inner_;
  };

  bool is_near() const { return w_.delay_max == absl::ZeroDuration(); }
  absl::Duration ArrivalTime() {
    const auto delay_max_us = static_cast<uint64_t>(absl::ToInt64Microseconds(w_.delay_max));
    return w_.clock.Monotonic() + absl::Microseconds(1 + DrawBelow(w_.random, delay_max_us));
  }
  void Later(Task task) { w_.network.PostAt(ArrivalTime(), std::move(task)); }

  const Wiring w_;
};

}  // namespace tidemark::sim

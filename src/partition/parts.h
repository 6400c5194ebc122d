// The replicas of one store, by partition, and how to put a question to them.
//
// Hides nothing but the casts: replicas live on their own sequences, so everybody talks to them by
// Post and is answered by Post, also where sequences coincide.
// Immutable after assembly; thread-safe to read.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "src/base/check.h"
#include "src/base/executor.h"
#include "src/base/ids.h"
#include "src/kvstore/replica.h"
#include "src/partition/partition_map.h"
#include "src/partition/watch_hub.h"

namespace tidemark::partition {

class Parts {
 public:
  explicit Parts(PartitionMap map) : map_(std::move(map)) {}

  void Add(std::unique_ptr<kvstore::Replica> replica) {
    CHECK(replica->partition().value() == replicas_.size());
    replicas_.push_back(std::move(replica));
    hubs_.push_back(std::make_unique<WatchHub>());
  }

  const PartitionMap& map() const { return map_; }
  size_t size() const { return replicas_.size(); }
  kvstore::Replica& replica(PartitionId id) const { return *replicas_.at(id.value()); }
  WatchHub& hub(PartitionId id) const { return *hubs_.at(id.value()); }
  kvstore::Replica& system() const { return *replicas_.front(); }
  const std::vector<PartitionId>& ids() const { return map_.ids(); }

 private:
  PartitionMap map_;
  std::vector<std::unique_ptr<kvstore::Replica>> replicas_;
  std::vector<std::unique_ptr<WatchHub>> hubs_;
};

// Posts `done` to `home` once each of `partitions` has applied everything up to `position`. One
// task for each sequence, however many of them it runs.
void WhenAllApplied(const Parts& parts, std::vector<PartitionId> partitions, Position position,
                    Executor& home, Task done);

// Asks each of `partitions` on its sequence; all answers, in that order, are posted to `home`.
// `ask` must see to it that its last argument is called once, on any sequence.
template <typename Answer>
using Asker =
    std::function<void(kvstore::Replica& replica, size_t index, absl::AnyInvocable<void(Answer)>)>;

template <typename Answer>
void AskAll(const Parts& parts, const std::vector<PartitionId>& partitions, Executor& home,
            Asker<Answer> ask, absl::AnyInvocable<void(std::vector<Answer>)> done) {
  struct Round {
    std::vector<std::optional<Answer>> answers;  // home's sequence only
    size_t missing = 0;
    Asker<Answer> ask;
    absl::AnyInvocable<void(std::vector<Answer>)> done;
  };
  auto round = std::make_shared<Round>();
  round->answers.resize(partitions.size());
  round->missing = partitions.size();
  round->ask = std::move(ask);
  round->done = std::move(done);
  if (partitions.empty()) return home.Post([round] { round->done({}); });
  for (size_t i = 0; i < partitions.size(); ++i) {
    kvstore::Replica& replica = parts.replica(partitions[i]);
    replica.executor().Post([round, i, &replica, &home] {
      round->ask(replica, i, [round, i, &home](Answer answer) {
        home.Post([round, i, answer = std::move(answer)]() mutable {
          CHECK(!round->answers[i].has_value());
          round->answers[i] = std::move(answer);
          if (--round->missing > 0) return;
          std::vector<Answer> all;
          for (auto& one : round->answers) all.push_back(*std::move(one));
          round->done(std::move(all));
        });
      });
    });
  }
}

}  // namespace tidemark::partition

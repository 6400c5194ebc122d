#include "src/partition/parts.h"

#include <algorithm>
#include <atomic>

namespace tidemark::partition {
namespace {

// Counted down on any sequence.
struct Waiting {
  std::atomic<size_t> missing{0};
  Executor& home;
  Task done;

  Waiting(Executor& to, Task then) : home(to), done(std::move(then)) {}
  void OneApplied() {
    if (missing.fetch_sub(1, std::memory_order_acq_rel) == 1) home.Post(std::move(done));
  }
};

}  // namespace

void WhenAllApplied(const Parts& parts, std::vector<PartitionId> partitions, Position position,
                    Executor& home, Task done) {
  if (partitions.empty()) return home.Post(std::move(done));
  auto waiting = std::make_shared<Waiting>(home, std::move(done));
  waiting->missing = partitions.size();
  const auto executor_of = [&parts](PartitionId id) { return &parts.replica(id).executor(); };
  while (!partitions.empty()) {
    Executor* const executor = executor_of(partitions.front());
    const auto others =
        std::stable_partition(partitions.begin(), partitions.end(),
                              [&](PartitionId id) { return executor_of(id) == executor; });
    std::vector<PartitionId> together(partitions.begin(), others);
    partitions.erase(partitions.begin(), others);
    executor->Post([&parts, together = std::move(together), position, waiting] {
      for (PartitionId id : together) {
        parts.replica(id).WhenApplied(position,
                                      [waiting](journal::Tail) { waiting->OneApplied(); });
      }
    });
  }
}

}  // namespace tidemark::partition

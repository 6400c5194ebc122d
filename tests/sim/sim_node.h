// One simulated process: journal and store of production on a simulated disk, clock and threads.
//
// Hides incarnations: after Crash everything in the process is gone, tmpfs keeps the store's memory
// unless the machine lost power, the disk keeps what a real one might, and Start builds a new
// process from them. Bound to the simulator's one thread.
#pragma once

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "src/base/heap_mapper_for_test.h"
#include "src/base/memory_budget.h"
#include "src/base/parallel_runner.h"
#include "src/journal/embedded_journal.h"
#include "src/partition/local_store.h"
#include "tests/sim/env/memory_checkpoint_store.h"
#include "tests/sim/env/sim_disk.h"
#include "tests/sim/env/world.h"

namespace tidemark::sim {

// What a run draws from its seed.
struct NodeKnobs {
  bool single_partition = false;
  size_t store_executors = 1;
  uint64_t journal_segment_bytes = 1 << 16;
  int64_t journal_direct_writes = 0;  // that the disk can do
  size_t store_segment_bytes = 1 << 14;
  uint64_t journal_block_bytes_max = 8 << 20;
  uint64_t unacknowledged_bytes_max = 64 << 20;
  size_t watch_credit_bytes = 4 << 20;
  int64_t memory_budget_bytes = MemoryBudget::kUnlimited;
  absl::Duration sync_latency_max = absl::Milliseconds(5);
  absl::Duration load_delay_max;  // of each partition at a start; zero: at once
  absl::Duration request_patience = absl::Seconds(7);
  absl::Duration journal_delay_max;  // zero: embedded, as the journal is; see DistantJournal
  partition::CheckpointPolicy checkpoints;
};

// What happens to the memory on tmpfs when a process ends.
enum class MemoryFault {
  kNone,     // kept, as kill -9 leaves it
  kLost,     // power loss, or somebody removed the files
  kTorn,     // some bytes of one region changed, or its end was zeroed
  kMissing,  // one region is gone
};

class SimNode {
 public:
  SimNode(World& world, NodeKnobs knobs);
  ~SimNode();

  // Opens the journal, replays, claims; answering() turns true later in simulated time, when the
  // first partition is whole, and serving() when all are.
  void Start();
  // Ends the incarnation: kill -9 (the machine goes on) or power loss (unsynced bytes at risk, and
  // no memory is kept).
  void Crash(bool power_loss, MemoryFault memory_fault = MemoryFault::kNone);

  bool running() const { return process_ != nullptr; }
  bool serving() const;
  bool answering() const;
  // Counts starts; a message to an earlier incarnation is lost.
  int64_t incarnation() const { return incarnation_; }
  std::string group() const;  // the node group of the running executors

  partition::Router& router();
  partition::LocalStore& store();
  journal::Journal& journal();
  std::vector<Executor*> executors();  // all of the process's
  Executor& loop();                    // stands for the client port's event loop
  SimDisk& disk() { return disk_; }
  MemoryCheckpointStore& checkpoints() { return checkpoints_; }
  // What others leave of the tmpfs.
  void LeaveMemory(size_t free_bytes) {
    memory_.SetCapacityBytes(memory_.used_bytes() + free_bytes);
  }
  void LeaveAllMemory() { memory_.SetCapacityBytes(std::numeric_limits<size_t>::max()); }
  const MemoryBudget& budget() const { return budget_; }
  const partition::PartitionMap& map() const { return map_; }
  const std::string& start_error() const { return start_error_; }

 private:
  struct Process;

  World& world_;
  const NodeKnobs knobs_;
  partition::PartitionMap map_;
  void DamageMemory(MemoryFault fault);
  ParallelRunner* MakeStartRunner(Process& process);  // nullptr: partitions are loaded at once

  SimDisk disk_;
  MemoryCheckpointStore checkpoints_{0};
  HeapMapper memory_;
  MemoryBudget budget_;
  int64_t incarnation_ = 0;
  std::string start_error_;
  std::unique_ptr<Process> process_;
};

}  // namespace tidemark::sim

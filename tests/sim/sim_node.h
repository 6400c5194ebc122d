// One simulated process: journal and store of production on a simulated disk, clock and threads.
//
// Hides incarnations: after Crash everything in memory is gone, the disk keeps what a real one
// might, and Start builds a new process from it. Bound to the simulator's one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "src/journal/embedded_journal.h"
#include "src/partition/local_store.h"
#include "tests/sim/env/heap_mapper.h"
#include "tests/sim/env/sim_disk.h"
#include "tests/sim/env/world.h"

namespace tidemark::sim {

// What a run draws from its seed.
struct NodeKnobs {
  bool single_partition = false;
  size_t store_executors = 1;
  uint64_t journal_segment_bytes = 1 << 16;
  size_t store_segment_bytes = 1 << 14;
  uint64_t journal_block_bytes_max = 8 << 20;
  uint64_t unacknowledged_bytes_max = 64 << 20;
  size_t watch_credit_bytes = 4 << 20;
  absl::Duration sync_latency_max = absl::Milliseconds(5);
  absl::Duration journal_delay_max;  // zero: embedded, as the journal is; see DistantJournal
};

class SimNode {
 public:
  SimNode(World& world, NodeKnobs knobs);
  ~SimNode();

  // Opens the journal, replays, claims; serving() turns true later in simulated time.
  void Start();
  // Ends the incarnation: kill -9 (the machine goes on) or power loss (unsynced bytes at risk).
  void Crash(bool power_loss);

  bool running() const { return process_ != nullptr; }
  bool serving() const;
  // Counts starts; a message to an earlier incarnation is lost.
  int64_t incarnation() const { return incarnation_; }
  std::string group() const;  // the node group of the running executors

  partition::Router& router();
  partition::LocalStore& store();
  journal::Journal& journal();
  std::vector<Executor*> executors();  // all of the process's
  Executor& loop();                    // stands for the client port's event loop
  SimDisk& disk() { return disk_; }
  const partition::PartitionMap& map() const { return map_; }
  const std::string& start_error() const { return start_error_; }

 private:
  struct Process;

  World& world_;
  const NodeKnobs knobs_;
  partition::PartitionMap map_;
  SimDisk disk_;
  int64_t incarnation_ = 0;
  std::string start_error_;
  std::unique_ptr<Process> process_;
};

}  // namespace tidemark::sim

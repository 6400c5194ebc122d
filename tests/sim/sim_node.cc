#include "tests/sim/sim_node.h"

#include "absl/strings/str_cat.h"
#include "tests/sim/env/distant_journal.h"
#include "tests/sim/env/late_runner.h"

namespace tidemark::sim {

// Members are destroyed from the bottom: what uses a thing comes after it.
struct SimNode::Process {
  std::unique_ptr<Executor> loop;
  std::unique_ptr<Executor> journal_executor;
  std::unique_ptr<Executor> network_executor;
  std::unique_ptr<BlockingRunner> runner;
  std::unique_ptr<BlockingRunner> side_runner;
  std::unique_ptr<BlockingRunner> checkpoint_runner;
  std::unique_ptr<Executor> start_executor;
  std::unique_ptr<LateRunner> start_runner;  // none: partitions are loaded at once
  std::vector<std::unique_ptr<Executor>> store_executors;
  std::unique_ptr<journal::EmbeddedJournal> journal;
  std::unique_ptr<DistantJournal> distant_journal;
  std::unique_ptr<partition::LocalStore> store;
  bool serving = false;
};

SimNode::SimNode(World& world, NodeKnobs knobs)
    : world_(world),
      knobs_(knobs),
      map_(knobs.single_partition ? partition::PartitionMap::Single()
                                  : partition::PartitionMap::Default()),
      disk_(world.random()),
      budget_(knobs.memory_budget_bytes) {
  disk_.SetDirectWrites(knobs.journal_direct_writes);
}

SimNode::~SimNode() {
  if (running()) Crash(false);
}

std::string SimNode::group() const { return absl::StrCat("node#", incarnation_); }

void SimNode::Start() {
  CHECK(!running());
  ++incarnation_;
  auto process = std::make_unique<Process>();
  process->loop = world_.NewExecutor("loop", group());
  process->journal_executor = world_.NewExecutor("journal", group());
  process->network_executor = world_.NewExecutor("network", group());
  process->runner =
      world_.NewBlockingRunner("disk", absl::Microseconds(50), knobs_.sync_latency_max, group());
  process->side_runner = world_.NewBlockingRunner("side", absl::Microseconds(50),
                                                  10 * knobs_.sync_latency_max, group());
  process->checkpoint_runner = world_.NewBlockingRunner("checkpoint", absl::Microseconds(50),
                                                        2 * knobs_.sync_latency_max, group());
  partition::LocalStoreDoors doors;
  for (size_t i = 0; i < knobs_.store_executors; ++i) {
    process->store_executors.push_back(world_.NewExecutor(absl::StrCat("store", i), group()));
    doors.executors.push_back(process->store_executors.back().get());
  }
  doors.workers = MakeStartRunner(*process);
  journal::EmbeddedJournalOptions options;
  options.directory = "/data/journal";
  options.segment_bytes = knobs_.journal_segment_bytes;
  options.limits.block_bytes_max = knobs_.journal_block_bytes_max;
  options.limits.unacknowledged_bytes_max = knobs_.unacknowledged_bytes_max;
  options.file_system = &disk_;
  options.clock = &world_.clock();
  options.random = &world_.random();
  options.executor = process->journal_executor.get();
  options.runner = process->runner.get();
  options.side_runner = process->side_runner.get();
  auto journal = journal::EmbeddedJournal::Open(options);
  if (!journal.ok()) {
    start_error_ = journal.status().ToString();
    world_.KillNode(group());
    return;
  }
  start_error_.clear();
  process->journal = *std::move(journal);
  partition::LocalStoreOptions store_options;
  store_options.map = map_;
  store_options.segment_size_bytes = knobs_.store_segment_bytes;
  store_options.watch_credit_bytes = knobs_.watch_credit_bytes;
  store_options.request_patience = knobs_.request_patience;
  doors.clock = &world_.clock();
  doors.random = &world_.random();
  process->distant_journal = std::make_unique<DistantJournal>(
      DistantJournal::Wiring{*process->journal, *process->network_executor, world_.clock(),
                             world_.random(), knobs_.journal_delay_max});
  doors.journal = process->distant_journal.get();
  doors.memory = &memory_;
  doors.budget = &budget_;
  doors.checkpoints = &checkpoints_;
  doors.checkpoint_disk = process->checkpoint_runner.get();
  doors.journal_bytes = [journal = process->journal.get()] {
    return journal->stats().log.size_bytes.load();
  };
  store_options.identity = process->journal->store_id();
  store_options.history = process->journal->history();
  store_options.checkpoints = knobs_.checkpoints;
  process->store = partition::LocalStore::Create(store_options, doors);
  process_ = std::move(process);
  process_->store->Start([this, incarnation = incarnation_](absl::Status status) {
    if (incarnation != incarnation_) return;
    if (status.ok())
      process_->serving = true;
    else
      start_error_ = status.ToString();
  });
}

ParallelRunner* SimNode::MakeStartRunner(Process& process) {
  if (knobs_.load_delay_max == absl::ZeroDuration()) return nullptr;
  process.start_executor = world_.NewExecutor("start", group());
  process.start_runner = std::make_unique<LateRunner>(*process.start_executor, world_.clock(),
                                                      world_.random(), knobs_.load_delay_max);
  return process.start_runner.get();
}

void SimNode::Crash(bool power_loss, MemoryFault memory_fault) {
  CHECK(running());
  world_.KillNode(group());
  process_.reset();
  for (const MemoryAccount account : kMemoryAccounts) {
    CHECK_MSG(budget_.used_bytes(account) == 0, NameOf(account));
  }
  checkpoints_.ProcessDied();
  checkpoints_.ClearFaults();
  DamageMemory(power_loss ? MemoryFault::kLost : memory_fault);
  if (power_loss)
    disk_.Crash();
  else
    disk_.ProcessDied();
  disk_.ClearFaults();
}

void SimNode::DamageMemory(MemoryFault fault) {
  const std::vector<std::string> names = memory_.Leftovers();
  if (names.empty() || fault == MemoryFault::kNone) return;
  if (fault == MemoryFault::kLost) {
    for (const std::string& name : names) memory_.Remove(name);
    return;
  }
  const std::string& name = names[DrawBelow(world_.random(), names.size())];
  if (fault == MemoryFault::kMissing) return memory_.Remove(name);
  const absl::Span<char> bytes = memory_.Bytes(name);
  const auto at = static_cast<ptrdiff_t>(DrawBelow(world_.random(), bytes.size()));
  if (DrawOneIn(world_.random(), 2)) {
    bytes[at] ^= 0x20;
  } else {
    std::fill(bytes.begin() + at, bytes.end(), '\0');
  }
}

bool SimNode::serving() const { return running() && process_->serving; }
bool SimNode::answering() const { return running() && process_->store->whole_count() > 0; }
partition::Router& SimNode::router() { return process_->store->router(); }
partition::LocalStore& SimNode::store() { return *process_->store; }
journal::Journal& SimNode::journal() { return *process_->journal; }
std::vector<Executor*> SimNode::executors() {
  std::vector<Executor*> all = {process_->loop.get(), process_->journal_executor.get()};
  for (auto& executor : process_->store_executors) all.push_back(executor.get());
  return all;
}
Executor& SimNode::loop() { return *process_->loop; }

}  // namespace tidemark::sim

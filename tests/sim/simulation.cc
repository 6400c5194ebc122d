#include "tests/sim/simulation.h"

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/partition/map_entry.h"
#include "tests/sim/history_check.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/sim_watcher.h"
#include "tests/sim/truth.h"

namespace tidemark::sim {
namespace {

struct RunKnobs {
  NodeKnobs node;
  NetworkKnobs network;
  int clients = 4;
  int watchers = 3;
  absl::Duration length;
  absl::Duration mean_time_between_faults;
  bool power_loss = true;
};

RunKnobs DrawKnobs(Random& random) {
  RunKnobs knobs;
  auto one_in = [&](uint64_t n) { return DrawOneIn(random, n); };
  // Each order of magnitude as often: what is quick in one run is the slowest thing in another.
  auto latency = [&] {
    return absl::Microseconds(100 + DrawBelow(random, 100 << DrawBelow(random, 9)));
  };
  knobs.node.single_partition = one_in(5);
  knobs.node.store_executors = one_in(2) ? 1 : 1 + DrawBelow(random, 5);
  knobs.node.journal_segment_bytes = uint64_t{1} << (12 + DrawBelow(random, 8));
  knobs.node.store_segment_bytes = size_t{1} << (12 + DrawBelow(random, 6));
  if (one_in(3)) knobs.node.journal_block_bytes_max = 2000;
  if (one_in(3)) knobs.node.unacknowledged_bytes_max = 4096;
  if (one_in(3)) knobs.node.watch_credit_bytes = 1024;
  // So little that reads wait, watches hold little or are refused, and data now and then stops:
  // what is kept free, as much again for the segments that are open, and some.
  if (one_in(4)) {
    const int64_t partitions = knobs.node.single_partition ? 1 : 5;
    const int64_t floor_bytes =
        2 * partitions * static_cast<int64_t>(knobs.node.store_segment_bytes);
    knobs.node.memory_budget_bytes = std::max<int64_t>(3 * floor_bytes, 1 << 20) +
                                     static_cast<int64_t>(DrawBelow(random, 1 << 20));
  }
  knobs.node.sync_latency_max = latency();
  if (one_in(2)) knobs.node.journal_delay_max = latency();
  if (one_in(2)) {
    // Up to some seconds: requests come, wait, are refused, crashes come, while some partitions
    // serve.
    knobs.node.load_delay_max =
        absl::Milliseconds(1 + DrawBelow(random, 4 << DrawBelow(random, 10)));
    knobs.node.request_patience = absl::Milliseconds(20 + DrawBelow(random, 3000));
  }
  knobs.network.delay_max = latency();
  if (one_in(2)) knobs.network.lose_one_in = 10 + DrawBelow(random, 200);
  knobs.clients = 2 + DrawBelow(random, 6);
  knobs.watchers = 1 + DrawBelow(random, 5);
  knobs.length = absl::Milliseconds(2000 + DrawBelow(random, 4000));
  knobs.mean_time_between_faults = absl::Milliseconds(100 + DrawBelow(random, 2000));
  knobs.power_loss = !one_in(3);
  partition::CheckpointPolicy& checkpoints = knobs.node.checkpoints;
  checkpoints.journal_bytes = uint64_t{1} << (10 + DrawBelow(random, 10));
  checkpoints.interval = absl::Milliseconds(100 + DrawBelow(random, 5000));
  checkpoints.poll_interval = absl::Milliseconds(10 + DrawBelow(random, 200));
  checkpoints.records_per_step = 1 + static_cast<int64_t>(DrawBelow(random, 40));
  checkpoints.whole_from_percent = static_cast<int>(DrawBelow(random, 150));
  checkpoints.increments_max = static_cast<int>(1 + checkpoints.whole_from_percent % 8);
  if (one_in(4)) checkpoints.tracked_removals_max = DrawBelow(random, 20);
  if (one_in(2)) knobs.node.journal_direct_writes = one_in(4) ? 200 : SimDisk::kAllDirectWrites;
  return knobs;
}

// Where a process may die.
constexpr const char* kPoints[] = {"journal.before_write",
                                   "journal.after_write",
                                   "journal.before_sync",
                                   "journal.after_sync",
                                   "journal.before_ack",
                                   "journal.before_segment_create",
                                   "journal.after_segment_create",
                                   "journal.before_segment_remove",
                                   "disk.partly_written",
                                   "disk.written_not_durable",
                                   "journal.before_fill",
                                   "journal.after_fill",
                                   "kvstore.before_apply",
                                   "kvstore.after_apply",
                                   "mvcc.map_segment",
                                   "mvcc.segment_not_listed",
                                   "mvcc.segment_not_discarded",
                                   "mvcc.before_commit_mark",
                                   "mvcc.before_publish",
                                   "mvcc.compact_step",
                                   "mvcc.before_removal",
                                   "mvcc.after_removal",
                                   "checkpoint.before_commit",
                                   "checkpoint.after_commit",
                                   "checkpoint.before_ingest",
                                   "checkpoint.after_ingest"};

class Simulation {
 public:
  explicit Simulation(uint64_t seed)
      : world_(seed),
        crashes_(world_.random()),
        knobs_(DrawKnobs(world_.random())),
        node_(world_, knobs_.node),
        truth_(node_.map()) {
    // Old pointers into the list of operations must stay valid while clients add to it.
    history_.reserve(100000);
    world_.SetOnCrash([this](const std::string&, const SimulatedCrash& crash) {
      NoteFault(absl::StrCat("crash: ", crash.reason()));
      if (memory_is_left_ && node_.serving() && absl::StrContains(crash.reason(), "no memory")) {
        result_.problems.push_back("M1: memory for a write was not set aside: " + crash.reason());
      }
      NodeDied();
    });
  }

  RunResult Run() {
    StartNode();
    for (int i = 0; i < knobs_.clients; ++i) {
      clients_.push_back(
          std::make_unique<SimClient>(i, world_, node_, knobs_.network, view_, history_));
    }
    for (int i = 0; i < knobs_.watchers; ++i) {
      watchers_.push_back(std::make_unique<SimWatcher>(world_, node_, view_, watches_));
    }
    Expect(Serving(), "the first start");
    for (auto& client : clients_) client->Begin();
    for (auto& watcher : watchers_) watcher->Begin();
    Faults();
    Heal();
    if (result_.problems.empty()) FinalChecks();
    return Report();
  }

 private:
  void NoteFault(const std::string& what) {
    world_.Note(what);
    result_.faults.push_back(
        absl::StrCat(absl::FormatDuration(world_.clock().Monotonic()), " ", what));
  }
  bool Serving() {
    return world_.RunUntil([this] { return node_.serving(); }, absl::Seconds(60));
  }
  void Expect(bool condition, const std::string& what) {
    if (!condition && result_.problems.empty()) {
      result_.problems.push_back(absl::StrCat("liveness: ", what, " ", node_.start_error()));
    }
  }

  void StartNode() {
    const bool survived =
        world_.RunAsNode(absl::StrCat("node#", node_.incarnation() + 1), [this] { node_.Start(); });
    if (survived && node_.running()) RecordTruth();
    if (survived && !node_.running() && healed_) {
      result_.problems.push_back("the node does not start: " + node_.start_error());
    }
    if (survived && !node_.running()) RestartLater();
  }
  // From where it was told last: what was committed once must be there for ever (J3).
  void RecordTruth() {
    std::vector<PartitionId> partitions = node_.map().ids();
    partitions.push_back(partition::MapEntry::kPartition);
    auto subscription = node_.journal().Subscribe(
        truth_.last().Next(), partitions, [this](std::shared_ptr<const journal::Batch> batch) {
          for (const journal::Entry& entry : batch->entries) truth_.Add(entry);
          if (truth_feed_ != nullptr) truth_feed_->Acknowledge(batch->tail.position);
        });
    if (subscription.ok()) {
      truth_feed_ = *std::move(subscription);
      return;
    }
    result_.problems.push_back(absl::StrCat("J3: the journal lost what it had committed: ",
                                            std::string(subscription.status().message())));
  }
  void RestartLater() {
    const auto pause = absl::Microseconds(1 + DrawBelow(world_.random(), 200000));
    world_.At(world_.clock().Monotonic() + pause, [this] {
      if (!node_.running() && result_.problems.empty()) StartNode();
    });
  }
  // By our hand or by a fail point: what is in memory goes, clients see broken connections.
  void NodeDied() {
    ++result_.crashes;
    for (auto& watcher : watchers_) watcher->ConnectionLost();
    const bool power_loss = knobs_.power_loss && DrawOneIn(world_.random(), 2);
    NoteFault(power_loss ? "power loss" : "process ends");
    truth_feed_ = nullptr;
    if (node_.running())
      node_.Crash(power_loss, DrawMemoryFault());
    else
      node_.disk().ClearFaults();
    RestartLater();
  }

  MemoryFault DrawMemoryFault() {
    switch (DrawBelow(world_.random(), 6)) {
      case 0:
        return MemoryFault::kLost;
      case 1:
        return MemoryFault::kTorn;
      case 2:
        return MemoryFault::kMissing;
      default:
        return MemoryFault::kNone;
    }
  }

  void Faults() {
    const absl::Duration end = world_.clock().Monotonic() + knobs_.length;
    while (world_.clock().Monotonic() < end && result_.problems.empty()) {
      world_.RunFor(knobs_.mean_time_between_faults * 2 *
                    (static_cast<double>(DrawBelow(world_.random(), 1000)) / 1000));
      InjectOne();
      for (auto& watcher : watchers_) {
        if (DrawOneIn(world_.random(), 2)) watcher->AskProgress();
        if (DrawOneIn(world_.random(), 6)) watcher->WatchSomethingElse();
      }
    }
  }

  void InjectOne() {
    if (!node_.running()) return;
    // A start that found no room gives up, and is begun again.
    if (!node_.serving() && !node_.start_error().empty()) return NodeDied();
    switch (DrawBelow(world_.random(), 14)) {
      case 0:
      case 1:
        NoteFault("crash");
        NodeDied();
        break;
      case 2:
      case 3:
        crashes_.CrashAt(kPoints[DrawBelow(world_.random(), std::size(kPoints))],
                         1 + DrawBelow(world_.random(), 30));
        break;
      case 4:
        NoteFault("sync");
        node_.disk().FailSyncsAfter(DrawBelow(world_.random(), 5));
        break;
      case 5:
        NoteFault("disk full");
        node_.disk().SetCapacityBytes(node_.disk().used_bytes());
        if (DrawOneIn(world_.random(), 2)) node_.disk().FillCopyOnWrite();
        world_.At(world_.clock().Monotonic() + absl::Milliseconds(300),
                  [this] { node_.disk().ClearFaults(); });
        break;
      case 6:
      case 7:
        StallOne();
        break;
      case 8:
        NoteFault("a checkpoint is not written");
        FailCheckpoint();
        world_.At(world_.clock().Monotonic() + absl::Milliseconds(300),
                  [this] { node_.checkpoints().ClearFaults(); });
        break;
      case 9:
        NoteFault("a checkpoint's sync fails");
        node_.checkpoints().FailCommits(DrawOneIn(world_.random(), 2)
                                            ? MemoryCheckpointStore::CommitFault::kIoError
                                            : MemoryCheckpointStore::CommitFault::kIoErrorDurable);
        break;
      case 10:
        FillMemory();
        break;
      default:
        break;  // a quiet while
    }
  }

  // No space at some record, or bytes that are not read back as they were written.
  void FailCheckpoint() {
    if (DrawOneIn(world_.random(), 3)) {
      node_.checkpoints().FailCommits(MemoryCheckpointStore::CommitFault::kDamage);
    } else {
      node_.checkpoints().FailAddsAfter(static_cast<int64_t>(DrawBelow(world_.random(), 20)));
    }
  }

  // Others fill the tmpfs: mostly up to what the store has set aside, then no write that it took
  // may come to grief; sometimes beyond, and the next start may find no room.
  void FillMemory() {
    if (!node_.serving()) return;
    const mvcc::SegmentRoom& room = node_.store().segment_room();
    const auto kept_bytes = static_cast<uint64_t>(room.floor_bytes() + room.reserved_bytes());
    memory_is_left_ = !DrawOneIn(world_.random(), 3);
    NoteFault(memory_is_left_ ? "little memory is left" : "no memory is left");
    node_.LeaveMemory(memory_is_left_ ? kept_bytes + DrawBelow(world_.random(), kept_bytes / 2)
                                      : DrawBelow(world_.random(), kept_bytes));
    world_.At(world_.clock().Monotonic() + absl::Milliseconds(DrawBelow(world_.random(), 2000)),
              [this] { LeaveAllMemory(); });
    if (!memory_is_left_ && DrawOneIn(world_.random(), 2)) NodeDied();
  }
  void LeaveAllMemory() {
    node_.LeaveAllMemory();
    memory_is_left_ = true;
  }

  // Partitions then see the same entries at very different times.
  void StallOne() {
    const std::vector<Executor*> executors = node_.executors();
    const auto duration = absl::Milliseconds(1 + DrawBelow(world_.random(), 300));
    NoteFault("stall");
    world_.Stall(*executors[DrawBelow(world_.random(), executors.size())], duration);
  }

  void Heal() {
    healed_ = true;
    crashes_.Disarm();
    node_.disk().ClearFaults();
    node_.checkpoints().ClearFaults();
    LeaveAllMemory();
    if (node_.running() && !node_.serving() && !node_.start_error().empty()) NodeDied();
    // The process would find out only with its next checkpoint.
    if (node_.running() && node_.checkpoints().is_broken()) NodeDied();
    if (!node_.running()) RestartLater();
    view_.stopping = true;
    Expect(Serving(), "the node serves again after the faults");
    Expect(world_.RunUntil(
               [this] {
                 for (auto& client : clients_) {
                   if (!client->idle()) return false;
                 }
                 return true;
               },
               absl::Seconds(60)),
           "every client has its answer");
    CatchUpWatchers();
    MakeSpace();
  }

  // Data that filled its share goes by a compaction, and the alarm after it by itself.
  void MakeSpace() {
    if (!node_.serving() || node_.router().Status().alarms.empty()) return;
    NoteFault("no space");
    etcdserverpb::CompactionRequest compaction;
    compaction.set_revision(node_.journal().KnownTail().revision.value());
    Operation operation;
    operation.called = world_.clock().Monotonic();
    operation.request = compaction;
    bool answered = false;
    node_.router().Compact({}, compaction, [&](auto reply) {
      answered = true;
      operation.revision = reply.ok() ? reply->revision.value() : 0;
      operation.status = reply.status();
    });
    Expect(world_.RunUntil([&] { return answered; }, absl::Seconds(60)), "the last compaction");
    operation.returned = world_.clock().Monotonic();
    history_.push_back(operation);
    Expect(
        world_.RunUntil([&] { return node_.router().Status().alarms.empty(); }, absl::Seconds(60)),
        "the alarm goes when there is space");
  }

  void CatchUpWatchers() {
    const int64_t last = node_.serving() ? node_.journal().KnownTail().revision.value() : 0;
    auto caught_up = [&] {
      for (auto& watcher : watchers_) {
        if (watcher->known_revision() < last) return false;
      }
      return true;
    };
    for (int i = 0; i < 200 && !caught_up() && result_.problems.empty(); ++i) {
      for (auto& watcher : watchers_) watcher->AskProgress();
      world_.RunFor(absl::Milliseconds(100));
    }
    Expect(caught_up(), absl::StrCat("every watch reaches revision ", last));
  }

  void FinalChecks() {
    WriteOneMore();
    // A fixed revision: leases go on expiring.
    const Revision last = node_.journal().KnownTail().revision;
    const std::string before = StateText(last);
    for (auto& watcher : watchers_) watcher->End();
    ReadTruth();
    // With memory or without, by checkpoint and journal: the same state.
    const bool lose_memory = DrawOneIn(world_.random(), 2);
    for (const bool lost : {lose_memory, !lose_memory}) {
      truth_feed_ = nullptr;
      node_.Crash(knobs_.power_loss && lost, lost ? MemoryFault::kLost : MemoryFault::kNone);
      StartNode();
      Expect(Serving(), "the last start");
      if (!result_.problems.empty()) return;
      const std::string after = StateText(last);
      if (before != after) {
        result_.problems.push_back(absl::StrCat("S6: state after a ", lost ? "cold" : "warm",
                                                " restart differs: ", before, " became ", after));
      }
      node_.store().CheckIdle();
    }
  }

  // The hash at the compact revision itself is remembered only until a restart (contract 5.3), so
  // that the newest revision must not be that one.
  void WriteOneMore() {
    if (PutLast()) return;
    MakeSpace();  // for want of which it was refused, with an alarm
    Expect(PutLast(), "the last write");
  }
  bool PutLast() {
    etcdserverpb::PutRequest put;
    put.set_key("the last key");
    Operation operation;
    operation.called = world_.clock().Monotonic();
    operation.request = put;
    bool answered = false;
    node_.router().Put({}, put, [&](auto reply) {
      answered = true;
      operation.revision = reply.ok() ? reply->revision.value() : 0;
      operation.status = reply.status();
    });
    Expect(world_.RunUntil([&] { return answered; }, absl::Seconds(60)), "the last write's answer");
    operation.returned = world_.clock().Monotonic();
    if (operation.status.ok()) {
      etcdserverpb::PutResponse response;
      response.mutable_header()->set_revision(operation.revision);
      operation.response = response;
    }
    history_.push_back(operation);
    return operation.status.ok();
  }

  // HashKV and compact revision.
  std::string StateText(Revision at) {
    std::string text;
    node_.router().HashKv(at, [&text](auto reply) {
      text = reply.ok() ? absl::StrCat(reply->result.hash, "/", reply->result.hash_revision.value(),
                                       "/", reply->result.compact_revision.value())
                        : reply.status().ToString();
    });
    Expect(world_.RunUntil([&] { return !text.empty(); }, absl::Seconds(60)), "HashKV answers");
    return text;
  }

  void ReadTruth() {
    const Position last = node_.journal().KnownTail().position;
    Expect(world_.RunUntil([&] { return truth_.last() >= last; }, absl::Seconds(60)),
           "the journal can be read");
    Check(truth_);
  }

  void Check(const Truth& truth) {
    auto add = [this](const std::vector<std::string>& problems) {
      for (const std::string& problem : problems) result_.problems.push_back(problem);
    };
    add(truth.problems());
    add(CheckHistory(history_, truth));
    add(CheckWatches(watches_, truth));
    result_.revisions = truth.model().revision();
  }

  RunResult Report() {
    result_.recent_events = world_.recent_events();
    result_.trace_hash = world_.trace_hash();
    result_.events_run = world_.events_run();
    result_.operations = history_.size();
    for (const Operation& operation : history_) result_.answered += operation.answered();
    for (const WatchHistory& watch : watches_) {
      for (const auto& item : watch.items) result_.watch_events += item.events.size();
    }
    for (const auto& [point, passes] : crashes_.passes()) result_.fail_points.push_back(point);
    result_.knobs = absl::StrCat(
        "partitions ", node_.map().size(), ", store executors ", knobs_.node.store_executors,
        ", journal segment ", knobs_.node.journal_segment_bytes,
        knobs_.node.journal_direct_writes > 0 ? " (direct)" : "", ", clients ", knobs_.clients,
        ", watchers ", knobs_.watchers, ", crashes ", result_.crashes);
    for (auto& watcher : watchers_) watcher->End();
    return std::move(result_);
  }

  World world_;
  ScopedCrashHandlers crashes_;
  const RunKnobs knobs_;
  SimNode node_;
  SharedView view_;
  std::vector<Operation> history_;
  std::vector<WatchHistory> watches_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  std::vector<std::unique_ptr<SimWatcher>> watchers_;
  Truth truth_;
  std::unique_ptr<journal::Subscription> truth_feed_;
  bool healed_ = false;
  bool memory_is_left_ = true;  // what the store has set aside is there
  RunResult result_;
};

}  // namespace

RunResult RunSeed(uint64_t seed) {
  try {
    return Simulation(seed).Run();
  } catch (const SimulatedCrash& crash) {
    RunResult result;
    result.problems.push_back(absl::StrCat("stopped by: ", crash.reason()));
    return result;
  }
}

}  // namespace tidemark::sim

// A stream's foot in one partition: the sink of its watchers there
// (docs/design-notes.md, "Watch ports").
//
// Hides the hop between the sequences. A plain port serves all one-partition watches of the stream
// and shares the stream's budget. A merging port serves one partition's part of one watch: it has a
// budget of its own, so that a fast partition cannot take the room a slow one needs to move the
// merge on, and reports its floor.
// "Stream side" methods may be called from any thread; the rest belongs to the partition's
// sequence.
//
// Invariants:
//  1. Messages of one port arrive in the order the partition said them; a floor or a progress
//     answer comes behind every event it covers (P3, W12).
//  2. Without budget HasRoom is false, and a Resume follows once there is room again.
//  3. Before its partition is whole a port touches nothing of it: its watchers are behind.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "src/base/clock.h"
#include "src/base/memory_budget.h"
#include "src/kvstore/replica.h"
#include "src/mvcc/watch_set.h"
#include "src/partition/watch_hub.h"
#include "src/partition/watch_mailbox.h"

namespace tidemark::partition {

// Bytes handed over and not yet used up, of one stream or one of its merging ports, counted in the
// node's memory as well. Thread-safe.
//
// A stream begins with a small window, which doubles whenever what was handed over was used up: who
// never reads never holds more. And the more all streams hold together, the less one may: no more
// than an eighth of what is free. Whoever holds nothing has room in any case.
class WatchBudget {
 public:
  WatchBudget(MemoryBudget& memory, int64_t limit_bytes);
  WatchBudget(const WatchBudget&) = delete;
  ~WatchBudget() { memory_.Release(MemoryAccount::kWatches, used_bytes_.load()); }

  int64_t limit_bytes() const { return limit_bytes_; }
  bool HasRoom() const { return RoomBytes() > 0; }
  int64_t RoomBytes() const;
  bool WorthResuming() const;
  void Take(size_t bytes);
  // REQUIRES that they were taken.
  void GiveBack(size_t bytes);

 private:
  // What a stream that holds nothing may be handed at least, and its first window at most.
  static constexpr int64_t kLeastBytes = 4 << 10;
  static constexpr int64_t kFirstWindowBytes = 64 << 10;
  // First windows of so many streams fill the share.
  static constexpr int64_t kStreamsToFillIt = 4096;
  // Of what is free, for one stream.
  static constexpr int64_t kPartForOne = 8;
  // Of the share, for watchers themselves.
  static constexpr int64_t kPartForWatchers = 8;
  int64_t PresentLimit() const;

  MemoryBudget& memory_;
  const int64_t limit_bytes_;
  std::atomic<int64_t> used_bytes_{0};
  std::atomic<int64_t> window_bytes_;
};

class WatchPort final : public mvcc::WatchSink, public std::enable_shared_from_this<WatchPort> {
 public:
  struct Wiring {
    kvstore::Replica& replica;
    WatchHub& hub;
    Clock& clock;
    std::shared_ptr<WatchMailbox> mailbox;
    std::shared_ptr<WatchBudget> budget;
    bool merging = false;
  };
  explicit WatchPort(Wiring wiring) : wiring_(std::move(wiring)) {}

  // --- Stream side ---
  void Add(WatchKey watch, mvcc::WatchSpec spec);
  void Remove(WatchKey watch);
  // Answers with PortProgress once `tail` is applied here.
  void AskProgress(uint64_t round, journal::Tail tail);
  // Gives bytes back to the budget; resumes the partition's watchers when it is worth it.
  void GiveBack(size_t bytes);
  void ResumeIfStarved();
  void Close();

  // --- Partition's sequence ---
  bool HasRoom() override;
  size_t RoomBytes() override;
  void OnEvents(mvcc::WatcherId id, mvcc::EventBatchPtr batch, Revision header_revision) override;
  void OnCompacted(mvcc::WatcherId id, Revision compact_revision) override;
  void ReportFloor();
  // Watchers that came before it are added now.
  void OnWhole();

 private:
  struct Pending {
    WatchKey watch = 0;
    mvcc::WatchSpec spec;
  };
  struct Watching {
    WatchKey watch = 0;
    Revision start{0};
    Revision floor{0};
  };

  void AddHere(WatchKey watch, mvcc::WatchSpec spec);
  void ScheduleFloorCheck();

  const Wiring wiring_;
  std::atomic<bool> starved_{false};
  absl::btree_map<mvcc::WatcherId, Watching> watching_;
  absl::flat_hash_map<WatchKey, mvcc::WatcherId> ids_;  // of them
  std::vector<Pending> pending_;  // while the partition is not whole
  bool closed_ = false;
  bool floor_check_scheduled_ = false;
};

}  // namespace tidemark::partition

// The watchers behind watch_set.h: groups, found by key, and lanes of cursors that catch up.
//
// A group is all watchers with one view (range, filters, prev_kv): a live event is matched to
// groups, and a group's batch is built once for all its synced watchers. A lane is the watchers of
// one group whose cursors stand at the same revision; lanes take turns, and lanes close to each
// other are fed by one walk over history. Live path in watch_set.cc, catching up in
// watch_catch_up.cc. Sequence-bound.
//
// Invariants, besides those of WatchSet:
//  1. A watcher is in exactly one place: its group's synced list, a lane, or its sink's blocked
//  list.
//  2. Every watcher is to get the events with main >= next, and has got all older ones it wants.
//  3. Every lane has one turn in turns_; a lane that was fed queues up behind the others.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "src/mvcc/interval_map.h"
#include "src/mvcc/watch_set.h"

namespace tidemark::mvcc {

class WatchSetImpl final : public WatchSet {
 public:
  WatchSetImpl(VersionStore& store, WatchLimits limits) : store_(store), limits_(limits) {}

  WatcherId Add(WatchSpec spec) override;
  void Remove(WatcherId id) override;
  void Notify(Revision main, absl::Span<const Event> events) override;
  bool CatchUpStep(int64_t max_scanned) override;
  void Resume(WatchSink* sink) override;
  bool IsSynced(WatcherId id) const override;
  int64_t watcher_count() const override { return static_cast<int64_t>(watchers_.size()); }
  int64_t behind_count() const override { return watcher_count() - synced_count_; }
  void CheckInvariants() const override;

 private:
  struct Group;

  enum class State { kSynced, kInLane, kBlocked };
  struct Watcher {
    WatcherId id = 0;
    Group* group = nullptr;
    WatchSink* sink = nullptr;
    Revision next{0};
    State state = State::kSynced;
    size_t place = 0;  // index in the list that holds it
  };
  using WatcherList = std::vector<Watcher*>;

  // What one lane collects during one walk over history.
  struct LaneScan {
    Group* group = nullptr;
    Revision cursor{0};
    WatcherList watchers;
    std::vector<Event> events;
    size_t bytes = 0;
    size_t max_bytes = 0;
    size_t room_bytes = SIZE_MAX;  // of the sink that has least
    int64_t revisions = 0;
    Revision last_main{0};
    bool full = false;  // `cursor` is where the next walk begins
  };

  struct Group {
    uint64_t id = 0;
    std::string signature;
    KeyRange range;
    bool no_put = false;
    bool no_delete = false;
    bool prev_kv = false;
    size_t watcher_count = 0;
    WatcherList synced;
    std::vector<Event> pending;       // during Notify
    std::vector<LaneScan*> scanning;  // during CatchUpStep

    bool Wants(Event::Type type) const { return type == Event::Type::kPut ? !no_put : !no_delete; }
  };

  using LaneKey = std::pair<Revision, uint64_t>;  // cursor, group id
  struct Lane {
    Group* group = nullptr;
    uint64_t turn = 0;
    WatcherList watchers;
  };

  static std::string SignatureOf(const WatchSpec& spec);
  Group* GroupFor(const WatchSpec& spec);
  void DropGroupIfEmpty(Group* group);
  template <typename Visitor>
  void VisitGroups(absl::string_view key, Visitor visitor) const;

  WatcherList& ListOf(const Watcher& watcher);
  // Takes the watcher out of the list it is in; the caller puts it into another.
  void Detach(Watcher* watcher);
  void PlaceSynced(Watcher* watcher);
  void PlaceInLane(Watcher* watcher);
  void PlaceBlocked(Watcher* watcher);
  Lane TakeLane(absl::btree_map<LaneKey, Lane>::iterator it);
  void Forget(Watcher* watcher);
  void Deliver(Group* group, Revision main);

  // --- watch_catch_up.cc ---
  // Takes the next lane and those near it out of lanes_; empty when none is left to feed.
  std::vector<std::unique_ptr<LaneScan>> TakeLanes();
  // Moves the lane's watchers that can go on into `scan`; ends or blocks the others.
  void Admit(Lane lane, Revision cursor, LaneScan* scan);
  // Walks history for the lanes; returns the first revision not looked at.
  Revision Walk(const std::vector<std::unique_ptr<LaneScan>>& scans, int64_t max_scanned);
  // False when every lane is full.
  bool Collect(const Event& event, size_t* open_lanes);
  void Finish(LaneScan* scan, Revision walked_to);

  VersionStore& store_;
  const WatchLimits limits_;
  WatcherId next_watcher_id_ = 1;
  uint64_t next_group_id_ = 1;
  int64_t synced_count_ = 0;

  absl::flat_hash_map<WatcherId, std::unique_ptr<Watcher>> watchers_;
  absl::flat_hash_map<std::string, std::unique_ptr<Group>> groups_;  // by signature
  absl::flat_hash_map<std::string, std::vector<Group*>> exact_;      // by key
  IntervalMap<Group*> ranges_;
  absl::flat_hash_map<WatchSink*, WatcherList> blocked_;
  absl::btree_map<LaneKey, Lane> lanes_;
  absl::btree_map<uint64_t, LaneKey> turns_;
  uint64_t next_turn_ = 1;
  std::vector<Group*> touched_;  // during Notify
};

template <typename Visitor>
void WatchSetImpl::VisitGroups(absl::string_view key, Visitor visitor) const {
  if (auto it = exact_.find(key); it != exact_.end()) {
    for (Group* group : it->second) visitor(group);
  }
  ranges_.Stab(key, visitor);
}

}  // namespace tidemark::mvcc

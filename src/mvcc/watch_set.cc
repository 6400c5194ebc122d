#include "src/mvcc/watch_set.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/mvcc/watch_set_impl.h"

namespace tidemark::mvcc {

std::unique_ptr<WatchSet> WatchSet::Create(VersionStore& store, WatchLimits limits) {
  CHECK(limits.max_revisions_per_batch > 0 && limits.max_bytes_per_batch > 0);
  return std::make_unique<WatchSetImpl>(store, limits);
}

std::string WatchSetImpl::SignatureOf(const WatchSpec& spec) {
  const KeyRange& range = spec.range;
  return absl::StrCat(spec.no_put, spec.no_delete, spec.prev_kv, range.single, range.to_infinity,
                      range.begin.size(), ":", range.begin,
                      range.single || range.to_infinity ? "" : range.end);
}

WatchSetImpl::Group* WatchSetImpl::GroupFor(const WatchSpec& spec) {
  std::string signature = SignatureOf(spec);
  std::unique_ptr<Group>& group = groups_[signature];
  if (group != nullptr) return group.get();
  group = std::make_unique<Group>();
  group->id = next_group_id_++;
  group->signature = std::move(signature);
  group->range = spec.range;
  group->no_put = spec.no_put;
  group->no_delete = spec.no_delete;
  group->prev_kv = spec.prev_kv;
  if (spec.range.single) {
    exact_[spec.range.begin].push_back(group.get());
  } else {
    ranges_.Insert(spec.range, group->id, group.get());
  }
  return group.get();
}

void WatchSetImpl::DropGroupIfEmpty(Group* group) {
  if (group->watcher_count > 0) return;
  if (group->range.single) {
    auto it = exact_.find(group->range.begin);
    CHECK(it != exact_.end());
    it->second.erase(std::find(it->second.begin(), it->second.end(), group));
    if (it->second.empty()) exact_.erase(it);
  } else {
    ranges_.Erase(group->range, group->id);
  }
  const std::string signature = group->signature;  // dies with the group
  CHECK(groups_.erase(signature) == 1);
}

WatcherId WatchSetImpl::Add(WatchSpec spec) {
  CHECK(!spec.range.view().Empty() && spec.start > Revision(0) && spec.sink != nullptr);
  auto watcher = std::make_unique<Watcher>();
  watcher->id = next_watcher_id_++;
  watcher->group = GroupFor(spec);
  watcher->group->watcher_count += 1;
  watcher->sink = spec.sink;
  watcher->next = spec.start;
  if (spec.start > store_.current_revision()) {
    PlaceSynced(watcher.get());
  } else {
    PlaceInLane(watcher.get());
  }
  const WatcherId id = watcher->id;
  watchers_.emplace(id, std::move(watcher));
  return id;
}

void WatchSetImpl::Remove(WatcherId id) {
  auto it = watchers_.find(id);
  if (it == watchers_.end()) return;  // ended by a compaction that the caller has not heard of
  Detach(it->second.get());
  Forget(it->second.get());
}

void WatchSetImpl::Forget(Watcher* watcher) {
  Group* group = watcher->group;
  CHECK(watchers_.erase(watcher->id) == 1);
  group->watcher_count -= 1;
  DropGroupIfEmpty(group);
}

WatchSetImpl::WatcherList& WatchSetImpl::ListOf(const Watcher& watcher) {
  switch (watcher.state) {
    case State::kSynced:
      return watcher.group->synced;
    case State::kInLane:
      return lanes_.find({watcher.next, watcher.group->id})->second.watchers;
    case State::kBlocked:
      return blocked_.find(watcher.sink)->second;
  }
  CHECK(false);
  return watcher.group->synced;
}

void WatchSetImpl::Detach(Watcher* watcher) {
  WatcherList& list = ListOf(*watcher);
  CHECK(watcher->place < list.size() && list[watcher->place] == watcher);
  list[watcher->place] = list.back();
  list[watcher->place]->place = watcher->place;
  list.pop_back();
  if (watcher->state == State::kSynced) synced_count_ -= 1;
  if (!list.empty()) return;
  if (watcher->state == State::kInLane) TakeLane(lanes_.find({watcher->next, watcher->group->id}));
  if (watcher->state == State::kBlocked) blocked_.erase(watcher->sink);
}

WatchSetImpl::Lane WatchSetImpl::TakeLane(absl::btree_map<LaneKey, Lane>::iterator it) {
  Lane lane = std::move(it->second);
  CHECK(turns_.erase(lane.turn) == 1);
  lanes_.erase(it);
  return lane;
}

void WatchSetImpl::PlaceSynced(Watcher* watcher) {
  watcher->state = State::kSynced;
  watcher->place = watcher->group->synced.size();
  watcher->group->synced.push_back(watcher);
  synced_count_ += 1;
}

void WatchSetImpl::PlaceInLane(Watcher* watcher) {
  const LaneKey key{watcher->next, watcher->group->id};
  auto [it, added] = lanes_.try_emplace(key);
  if (added) {
    it->second.group = watcher->group;
    it->second.turn = next_turn_++;
    turns_.emplace(it->second.turn, key);
  }
  watcher->state = State::kInLane;
  watcher->place = it->second.watchers.size();
  it->second.watchers.push_back(watcher);
}

void WatchSetImpl::PlaceBlocked(Watcher* watcher) {
  WatcherList& list = blocked_[watcher->sink];
  watcher->state = State::kBlocked;
  watcher->place = list.size();
  list.push_back(watcher);
}

void WatchSetImpl::Notify(Revision main, absl::Span<const Event> events) {
  CHECK(main <= store_.current_revision());
  for (const Event& event : events) {
    CHECK(event.revision.main == main);
    VisitGroups(event.key, [&](Group* group) {
      if (group->synced.empty() || !group->Wants(event.type)) return;
      if (group->pending.empty()) touched_.push_back(group);
      Event& copy = group->pending.emplace_back();
      copy.revision = event.revision;
      copy.type = event.type;
      copy.key = event.key;
      copy.kv = event.kv;
      if (group->prev_kv) copy.prev_kv = event.prev_kv;
    });
  }
  for (Group* group : touched_) Deliver(group, main);
  touched_.clear();
}

void WatchSetImpl::Deliver(Group* group, Revision main) {
  EventBatchPtr batch;
  for (size_t i = 0; i < group->synced.size();) {
    Watcher* watcher = group->synced[i];
    ++i;
    // A watch from a future revision must not see older events (etcd #20221); one that caught up
    // before it was notified has seen this one.
    if (main < watcher->next && !PLANTED_BUG("watch_future_start_gets_old_events")) continue;
    if (!watcher->sink->HasRoom()) {
      --i;  // the last one takes its place
      Detach(watcher);
      watcher->next = main;
      PlaceBlocked(watcher);
      continue;
    }
    if (batch == nullptr) batch = MakeEventBatch(std::move(group->pending), group->prev_kv);
    watcher->sink->OnEvents(watcher->id, batch, main);
  }
  group->pending.clear();
}

void WatchSetImpl::Resume(WatchSink* sink) {
  auto it = blocked_.find(sink);
  if (it == blocked_.end()) return;
  const WatcherList resumed = std::move(it->second);
  blocked_.erase(it);
  for (Watcher* watcher : resumed) PlaceInLane(watcher);
}

bool WatchSetImpl::IsSynced(WatcherId id) const {
  auto it = watchers_.find(id);
  if (it == watchers_.end()) return false;
  const Watcher& watcher = *it->second;
  return watcher.state == State::kSynced && watcher.next <= store_.current_revision().Next();
}

void WatchSetImpl::CheckInvariants() const {
  ranges_.CheckInvariants();
  size_t placed = 0;
  auto check_list = [&](const WatcherList& list, State state) {
    placed += list.size();
    for (size_t i = 0; i < list.size(); ++i) {
      CHECK(list[i]->state == state && list[i]->place == i);
      CHECK(watchers_.contains(list[i]->id));
    }
  };
  size_t synced = 0;
  size_t grouped = 0;
  for (const auto& [signature, group] : groups_) {
    check_list(group->synced, State::kSynced);
    synced += group->synced.size();
    grouped += group->watcher_count;
    CHECK(group->watcher_count > 0 && group->pending.empty() && group->scanning.empty());
  }
  for (const auto& [key, lane] : lanes_) {
    CHECK(!lane.watchers.empty() && lane.group->id == key.second);
    check_list(lane.watchers, State::kInLane);
    for (const Watcher* watcher : lane.watchers) {
      CHECK(watcher->next == key.first && watcher->group == lane.group);
    }
  }
  for (const auto& [sink, list] : blocked_) {
    CHECK(!list.empty());
    check_list(list, State::kBlocked);
    for (const Watcher* watcher : list) CHECK(watcher->sink == sink);
  }
  CHECK(placed == watchers_.size() && grouped == watchers_.size());
  CHECK(static_cast<int64_t>(synced) == synced_count_);
  CHECK(turns_.size() == lanes_.size() && touched_.empty());
}

}  // namespace tidemark::mvcc

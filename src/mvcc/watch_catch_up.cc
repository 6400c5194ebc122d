#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/mvcc/event_codec.h"
#include "src/mvcc/watch_set_impl.h"

namespace tidemark::mvcc {
namespace {

// Lanes fed by one walk: many, since matching an event costs a search among them; and only near
// ones, or the walk would pass them before it matters.
constexpr size_t kLanesPerWalk = 1024;
// What all lanes of one walk collect together, and one of them at least. None of them knows of the
// others' batches yet when it says how much room it has.
constexpr size_t kBytesPerWalk = 8 << 20;
constexpr size_t kBytesPerLane = 2 << 10;

// The smallest range that holds both.
KeyRange Hull(const KeyRange& a, const KeyRange& b) {
  auto end_of = [](const KeyRange& range) {
    return range.single ? range.begin + std::string(1, '\0') : range.end;
  };
  KeyRange hull;
  hull.begin = std::min(a.begin, b.begin);
  hull.to_infinity = a.to_infinity || b.to_infinity;
  if (!hull.to_infinity) hull.end = std::max(end_of(a), end_of(b));
  return hull;
}

}  // namespace

bool WatchSetImpl::CatchUpStep(int64_t max_scanned) {
  CHECK(max_scanned > 0);
  FAIL_POINT("mvcc.watch_catch_up");
  const std::vector<std::unique_ptr<LaneScan>> scans = TakeLanes();
  if (!scans.empty()) {
    const Revision walked_to = Walk(scans, max_scanned);
    for (const std::unique_ptr<LaneScan>& scan : scans) {
      scan->group->scanning.clear();
      Finish(scan.get(), walked_to);
    }
  }
  return !lanes_.empty();
}

std::vector<std::unique_ptr<WatchSetImpl::LaneScan>> WatchSetImpl::TakeLanes() {
  std::vector<std::unique_ptr<LaneScan>> scans;
  while (scans.empty() && !turns_.empty()) {
    LaneKey key = turns_.begin()->second;
    const Revision last(key.first.value() + limits_.max_revisions_per_batch);
    for (size_t taken = 0; taken < kLanesPerWalk; ++taken) {
      auto it = lanes_.lower_bound(key);
      if (it == lanes_.end() || it->first.first > last) break;
      key = it->first;
      auto scan = std::make_unique<LaneScan>();
      Lane lane = TakeLane(it);
      scan->group = lane.group;
      Admit(std::move(lane), key.first, scan.get());
      if (!scan->watchers.empty()) scans.push_back(std::move(scan));
    }
  }
  const size_t most_bytes = static_cast<size_t>(limits_.max_bytes_per_batch);
  for (const std::unique_ptr<LaneScan>& scan : scans) {
    const size_t share = std::min(scan->room_bytes, kBytesPerWalk) / scans.size();
    scan->max_bytes = std::clamp(share, std::min(kBytesPerLane, most_bytes), most_bytes);
  }
  return scans;
}

void WatchSetImpl::Admit(Lane lane, Revision cursor, LaneScan* scan) {
  const Revision compacted = store_.compact_revision();
  const bool skip = PLANTED_BUG("watch_skip_on_compaction");
  scan->cursor = skip ? std::max(cursor, compacted) : cursor;
  for (Watcher* watcher : lane.watchers) {
    if (!watcher->sink->HasRoom()) {
      PlaceBlocked(watcher);
    } else if (scan->cursor < compacted) {
      // Never a silent skip (etcd #17529).
      watcher->sink->OnCompacted(watcher->id, compacted);
      Forget(watcher);
    } else {
      scan->watchers.push_back(watcher);
      scan->room_bytes = std::min(scan->room_bytes, watcher->sink->RoomBytes());
    }
  }
}

Revision WatchSetImpl::Walk(const std::vector<std::unique_ptr<LaneScan>>& scans,
                            int64_t max_scanned) {
  KeyRange hull = scans[0]->group->range;
  bool prev_kv = false;
  Revision from = scans[0]->cursor;
  for (const std::unique_ptr<LaneScan>& scan : scans) {
    hull = Hull(hull, scan->group->range);
    prev_kv = prev_kv || scan->group->prev_kv;
    from = std::min(from, scan->cursor);
    scan->group->scanning.push_back(scan.get());
  }
  size_t open_lanes = scans.size();
  auto collect = [&](const Event& event) { return Collect(event, &open_lanes); };
  const Revision current = store_.current_revision();
  if (from > current) return from;
  const RevisionKey next =
      store_.VisitEvents({from, 0}, current, hull.view(), prev_kv, max_scanned, collect);
  if (next.sub == 0 || open_lanes == 0) return next.main;
  // The walk ended inside a revision: it is never split, however large it is.
  store_.VisitEvents(next, next.main, hull.view(), prev_kv, INT64_MAX, collect);
  return next.main.Next();
}

bool WatchSetImpl::Collect(const Event& event, size_t* open_lanes) {
  const Revision main = event.revision.main;
  VisitGroups(event.key, [&](Group* group) {
    if (!group->Wants(event.type)) return;
    for (LaneScan* scan : group->scanning) {
      if (scan->full || main < scan->cursor) continue;
      if (main != scan->last_main) {
        if (scan->revisions >= limits_.max_revisions_per_batch || scan->bytes >= scan->max_bytes) {
          scan->full = true;
          scan->cursor = main;
          *open_lanes -= 1;
          continue;
        }
        scan->revisions += 1;
        scan->last_main = main;
      }
      scan->events.push_back(event);
      if (!group->prev_kv) scan->events.back().prev_kv.reset();
      scan->bytes += sizeof(Event) + EncodedEventSize(scan->events.back());
    }
  });
  return *open_lanes > 0;
}

void WatchSetImpl::Finish(LaneScan* scan, Revision walked_to) {
  const Revision current = store_.current_revision();
  const Revision next = scan->full ? scan->cursor : std::max(scan->cursor, walked_to);
  EventBatchPtr batch;
  if (!scan->events.empty()) batch = MakeEventBatch(std::move(scan->events), scan->group->prev_kv);
  for (Watcher* watcher : scan->watchers) {
    if (batch != nullptr) {
      if (!watcher->sink->HasRoom()) {  // another watcher of the stream took it
        PlaceBlocked(watcher);
        continue;
      }
      watcher->sink->OnEvents(watcher->id, batch, current);
    }
    watcher->next = next;
    if (next > current) {
      PlaceSynced(watcher);
    } else {
      PlaceInLane(watcher);
    }
  }
}

}  // namespace tidemark::mvcc

#include "src/partition/watch_merge.h"

#include <algorithm>
#include <cstdint>

#include "src/base/check.h"

namespace tidemark::partition {

using mvcc::Event;

void WatchMerge::OnEvents(size_t part, mvcc::EventBatchPtr batch, Revision header_revision) {
  Part& to = parts_.at(part);
  CHECK(!batch->events().empty());
  const Revision last = batch->events().back().revision.main;
  CHECK_MSG(batch->events().front().revision.main > to.floor, "a part's events went back");
  to.floor = last;
  to.queue.push_back({std::move(batch), header_revision, 0});
}

void WatchMerge::OnFloor(size_t part, Revision floor) {
  parts_.at(part).floor = std::max(parts_.at(part).floor, floor);
}

Revision WatchMerge::Floor() const {
  Revision floor{INT64_MAX};
  for (const Part& part : parts_) floor = std::min(floor, part.floor);
  return floor;
}

Revision WatchMerge::FirstBuffered() const {
  Revision first{INT64_MAX};
  for (const Part& part : parts_) {
    if (!part.queue.empty()) first = std::min(first, part.queue.front().revision());
  }
  return first;
}

bool WatchMerge::HasNext() const {
  const Revision first = FirstBuffered();
  return first.value() != INT64_MAX && first <= Floor();
}

Revision WatchMerge::released() const { return std::min(Floor(), FirstBuffered().Previous()); }

bool WatchMerge::IsLive(Revision revision) const {
  for (const Part& part : parts_) {
    if (part.queue.empty() || part.queue.front().revision() != revision) continue;
    if (!part.queue.front().live()) return false;
  }
  return true;
}

void WatchMerge::TakeRevision(Revision revision, Group& group, std::vector<Event>& events) {
  const size_t begin = events.size();
  for (size_t i = 0; i < parts_.size(); ++i) {
    auto& queue = parts_[i].queue;
    if (queue.empty() || queue.front().revision() != revision) continue;
    Delivered& front = queue.front();
    group.header_revision = std::max(group.header_revision, front.header_revision);
    const auto all = front.batch->events();
    while (front.next < all.size() && all[front.next].revision.main == revision) {
      events.push_back(all[front.next++]);
    }
    if (front.next < all.size()) continue;
    group.used.emplace_back(i, front.batch->encoded_size_bytes());
    queue.pop_front();
  }
  std::sort(events.begin() + static_cast<std::ptrdiff_t>(begin), events.end(),
            [](const Event& a, const Event& b) { return a.revision < b.revision; });
}

std::optional<WatchMerge::Group> WatchMerge::Next() {
  if (!HasNext()) return std::nullopt;
  const Revision limit = Floor();
  Group group;
  std::vector<Event> events;
  Revision revision = FirstBuffered();
  const bool live = IsLive(revision);
  size_t bytes = 0;
  for (int64_t taken = 0; taken < kMaxRevisionsPerGroup && bytes < kMaxBytesPerGroup; ++taken) {
    const size_t before = events.size();
    TakeRevision(revision, group, events);
    for (size_t i = before; i < events.size(); ++i) {
      bytes += events[i].kv.size() + (events[i].prev_kv ? events[i].prev_kv->size() : 0);
    }
    revision = FirstBuffered();
    if (live || revision > limit || IsLive(revision)) break;
  }
  CHECK(!events.empty());
  group.batch = mvcc::MakeEventBatch(std::move(events), with_prev_kv_);
  return group;
}

}  // namespace tidemark::partition

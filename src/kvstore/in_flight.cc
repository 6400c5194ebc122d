#include "src/kvstore/in_flight.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark::kvstore {
namespace {

bool SameView(const mvcc::KeyRangeView& a, const mvcc::KeyRangeView& b) {
  return a.begin.data() == b.begin.data() && a.begin.size() == b.begin.size() &&
         a.end.data() == b.end.data() && a.end.size() == b.end.size() && a.single == b.single &&
         a.to_infinity == b.to_infinity;
}

// A transaction may name a hundred thousand ranges (three levels of operations). Each is compared
// with each of the others', so of many only what lies around them all is kept: what conflicts with
// that waits, and perhaps need not.
constexpr size_t kRangesToKeep = 64;

mvcc::KeyRangeView Hull(const mvcc::KeyRangeView& a, const mvcc::KeyRangeView& b) {
  mvcc::KeyRangeView hull;
  hull.begin = std::min(a.begin, b.begin);
  hull.to_infinity = a.to_infinity || b.to_infinity;
  if (!hull.to_infinity) hull.end = std::max(a.end, b.end);
  return hull;
}

void KeepFewRanges(absl::InlinedVector<mvcc::KeyRangeView, 1>* ranges) {
  if (ranges->size() <= kRangesToKeep || PLANTED_BUG("kvstore_many_ranges_are_kept")) return;
  const auto many = std::partition(ranges->begin(), ranges->end(),
                                   [](const auto& range) { return range.single; });
  if (static_cast<size_t>(ranges->end() - many) <= kRangesToKeep) return;
  mvcc::KeyRangeView hull = *many;
  for (auto it = many; it != ranges->end(); ++it) {
    if (!it->Empty()) hull = hull.Empty() ? *it : Hull(hull, *it);
  }
  ranges->erase(many, ranges->end());
  ranges->push_back(hull);
}

}  // namespace

void ConflictSet::Add(const Footprint& footprint) {
  ++size_;
  for (const auto& range : footprint.reads) Change(range, /*is_write=*/false, 1);
  for (const auto& range : footprint.writes) Change(range, /*is_write=*/true, 1);
  for (LeaseId id : footprint.attaches) ChangeLease(&attaches_, id, 1);
  for (LeaseId id : footprint.revokes) ChangeLease(&revokes_, id, 1);
}

void ConflictSet::Remove(const Footprint& footprint) {
  CHECK(size_ > 0);
  --size_;
  for (const auto& range : footprint.reads) Change(range, /*is_write=*/false, -1);
  for (const auto& range : footprint.writes) Change(range, /*is_write=*/true, -1);
  for (LeaseId id : footprint.attaches) ChangeLease(&attaches_, id, -1);
  for (LeaseId id : footprint.revokes) ChangeLease(&revokes_, id, -1);
  if (size_ == 0) {
    CHECK(keys_.empty() && ranges_.empty() && attaches_.empty() && revokes_.empty());
  }
}

void ConflictSet::Change(const mvcc::KeyRangeView& range, bool is_write, int by) {
  if (!range.single) {
    if (by > 0) {
      ranges_.push_back({range, is_write});
      return;
    }
    auto it = std::find_if(ranges_.begin(), ranges_.end(), [&](const RangeUse& use) {
      return use.is_write == is_write && SameView(use.range, range);
    });
    CHECK(it != ranges_.end());
    *it = ranges_.back();
    ranges_.pop_back();
    return;
  }
  auto it = keys_.try_emplace(range.begin).first;
  int& count = is_write ? it->second.writes : it->second.reads;
  count += by;
  CHECK(count >= 0);
  if (it->second.reads == 0 && it->second.writes == 0) keys_.erase(it);
}

void ConflictSet::ChangeLease(absl::flat_hash_map<LeaseId, int>* leases, LeaseId id, int by) {
  auto it = leases->try_emplace(id).first;
  it->second += by;
  CHECK(it->second >= 0);
  if (it->second == 0) leases->erase(it);
}

bool ConflictSet::HitsRange(const mvcc::KeyRangeView& range, bool count_reads) const {
  auto counts = [count_reads](const Uses& uses) {
    return uses.writes > 0 || (count_reads && uses.reads > 0);
  };
  if (range.single) {
    auto it = keys_.find(range.begin);
    if (it != keys_.end() && counts(it->second)) return true;
  } else if (!range.Empty()) {
    // Bounded by max_pending_writes, and dependent ranges are rare.
    for (const auto& [key, uses] : keys_) {
      if (counts(uses) && range.Contains(key)) return true;
    }
  }
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const RangeUse& use) {
    return (use.is_write || count_reads) && use.range.Intersects(range);
  });
}

bool ConflictSet::HitsReads(const Footprint& footprint) const {
  return std::any_of(footprint.reads.begin(), footprint.reads.end(),
                     [&](const auto& range) { return HitsRange(range, /*count_reads=*/false); });
}

bool ConflictSet::HitsWrites(const Footprint& footprint) const {
  for (const auto& range : footprint.writes) {
    if (HitsRange(range, /*count_reads=*/true)) return true;
  }
  for (LeaseId id : footprint.attaches) {
    if (revokes_.contains(id)) return true;
  }
  for (LeaseId id : footprint.revokes) {
    if (revokes_.contains(id) || attaches_.contains(id)) return true;
  }
  return false;
}

bool ConflictSet::WritesKey(absl::string_view key) const {
  return HitsRange(mvcc::SingleKey(key), /*count_reads=*/false);
}

bool ConflictSet::UsesKey(absl::string_view key) const {
  return HitsRange(mvcc::SingleKey(key), /*count_reads=*/true);
}

bool InFlight::IsBusy(absl::string_view key) const {
  if (appended_.WritesKey(key)) return true;
  return given_.UsesKey(key) && !PLANTED_BUG("kvstore_revoke_passes_a_given_hold");
}

bool InFlight::MustWait(const Entrant& entrant, const ConflictSet& waiting_before) const {
  if (paused_) return true;
  const Footprint& footprint = entrant.footprint;
  // Those who wait last: there may be thousands of ranges among them.
  if (holds_.Hits(footprint) || waiting_before.Hits(footprint)) return true;
  if (appended_.empty()) return false;
  if (entrant.is_hold()) return appended_.Hits(footprint);
  // What follows in the journal may overwrite; only what was judged must not move.
  if (PLANTED_BUG("kvstore_dependent_put_does_not_wait")) return false;
  return appended_.HitsReads(footprint);
}

void InFlight::Arrive(Entrant* entrant) {
  KeepFewRanges(&entrant->footprint.reads);
  KeepFewRanges(&entrant->footprint.writes);
  if (MustWait(*entrant, waiting_)) {
    waiters_.push_back(entrant);
    waiting_.Add(entrant->footprint);
  } else {
    entrant->Enter();
  }
}

void InFlight::RemoveAppended(const Footprint& footprint) {
  appended_.Remove(footprint);
  something_ended_ = true;
}

void InFlight::RemoveHold(const Footprint& footprint) {
  holds_.Remove(footprint);
  something_ended_ = true;
}

void InFlight::Resume() {
  paused_ = false;
  something_ended_ = true;
}

void InFlight::Pump() {
  if (pumping_) return;  // the running call sees something_ended_
  pumping_ = true;
  while (something_ended_ && !paused_) {
    something_ended_ = false;
    ConflictSet still_waiting;
    for (auto it = waiters_.begin(); it != waiters_.end();) {
      Entrant* entrant = *it;
      if (MustWait(*entrant, still_waiting)) {
        still_waiting.Add(entrant->footprint);
        ++it;
        continue;
      }
      waiting_.Remove(entrant->footprint);
      it = waiters_.erase(it);
      entrant->Enter();
    }
  }
  pumping_ = false;
}

}  // namespace tidemark::kvstore

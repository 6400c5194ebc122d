#include "src/partition/space_guard.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/kvstore/effects.h"
#include "src/kvstore/etcd_errors.h"

namespace tidemark::partition {

using etcdserverpb::AlarmRequest;
using etcdserverpb::AlarmType;

SpaceGuard::SpaceGuard(const Doors& doors, uint64_t member_id, int64_t quota_bytes)
    : coordinator_(doors.coordinator),
      memory_(doors.memory),
      budget_(doors.budget),
      clock_(doors.clock),
      member_id_(member_id),
      quota_bytes_(quota_bytes == 0 ? kDefaultQuotaBytes : quota_bytes) {}

StoreSize SpaceGuard::Size() const {
  StoreSize size{kEmptyStoreBytes, kEmptyStoreBytes};
  for (PartitionId id : coordinator_.parts().ids()) {
    const kvstore::PublishedStats& stats = coordinator_.parts().replica(id).stats();
    size.logical_bytes += stats.logical_bytes.load(std::memory_order_relaxed);
    size.logical_live_bytes += stats.logical_live_bytes.load(std::memory_order_relaxed);
  }
  size.logical_live_bytes = std::min(size.logical_live_bytes, size.logical_bytes);
  return size;
}

bool SpaceGuard::HasSpaceFor(int64_t cost_bytes) const {
  if (cost_bytes == 0) return true;
  const mvcc::SegmentRoom& room = coordinator_.room();
  if (!room.HasHeadroom(cost_bytes, 1)) return false;
  const int64_t needed_bytes = cost_bytes + room.reserved_bytes() + room.floor_bytes();
  if (!budget_.HasRoomFor(MemoryAccount::kValues, needed_bytes)) {
    budget_.CountRefusal(MemoryAccount::kValues);
    return false;
  }
  return quota_bytes_ < 0 || Size().logical_bytes + cost_bytes < quota_bytes_;
}

bool SpaceGuard::HasSpaceBesideLoading(int64_t cost_bytes) const {
  const mvcc::SegmentRoom& room = coordinator_.room();
  const int64_t beside_bytes = cost_bytes + bytes_to_load_;
  if (!room.HasHeadroom(beside_bytes, 1)) return false;
  const int64_t needed_bytes = beside_bytes + room.reserved_bytes() + room.floor_bytes();
  if (!budget_.HasRoomFor(MemoryAccount::kValues, needed_bytes)) return false;
  return quota_bytes_ < 0 || Size().logical_bytes + beside_bytes < quota_bytes_;
}

bool SpaceGuard::BelowMark() const {
  constexpr auto kData = MemoryAccount::kValues;
  const mvcc::SegmentRoom& room = coordinator_.room();
  if (!room.HasHeadroom(0, 2)) return false;
  if (!budget_.HasRoomFor(kData, budget_.share_bytes(kData) / 10 + room.floor_bytes())) {
    return false;
  }
  return quota_bytes_ < 0 || Size().logical_bytes < quota_bytes_ / 10 * 9;
}

absl::Status SpaceGuard::CheckAlarms(bool adds_data) const {
  if (corrupt_) return kvstore::ErrCorrupt();
  if (adds_data && no_space_) return kvstore::ErrNoSpace();
  return absl::OkStatus();
}

std::vector<AlarmEntry> SpaceGuard::Alarms() const {
  MutexLock lock(&mutex_);
  return {alarms_.begin(), alarms_.end()};
}

bool SpaceGuard::Has(const AlarmEntry& entry) const {
  MutexLock lock(&mutex_);
  return alarms_.contains(entry);
}

void SpaceGuard::OnAlarm(uint64_t member_id, int alarm_type, bool raised) {
  if (alarm_type == kRaisedByNode) {
    if (member_id == member_id_) raised_by_quota_ = raised;
    return;
  }
  const AlarmEntry entry{member_id, static_cast<AlarmType>(alarm_type)};
  MutexLock lock(&mutex_);
  if (raised) {
    alarms_.insert(entry);
  } else {
    alarms_.erase(entry);
    if (entry == OwnNoSpace()) raised_by_quota_ = false;
  }
  Publish();
}

void SpaceGuard::Publish() {
  const auto any = [this](AlarmType type) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::any_of(alarms_.begin(), alarms_.end(),
                       [type](const AlarmEntry& entry) { return entry.type == type; });
  };
  no_space_ = any(etcdserverpb::NOSPACE);
  corrupt_ = any(etcdserverpb::CORRUPT);
}

void SpaceGuard::Change(AlarmEntry entry, bool raised, bool by_node, WhenAppended done) {
  kvstore::EffectsWriter effects;
  effects.AddAlarm({entry.member_id, static_cast<int32_t>(entry.type), raised});
  // What a client says of the node's own alarm takes the mark away.
  if (by_node || entry == OwnNoSpace()) {
    effects.AddAlarm({entry.member_id, kRaisedByNode, by_node && raised});
  }
  coordinator_.AppendNodeEffects({kSystemPartition}, std::move(effects), std::move(done));
}

void SpaceGuard::RaiseNoSpace(Task then) {
  auto shared = std::make_shared<Task>(std::move(then));
  const absl::Status entered = coordinator_.Enter([this, shared] {
    if (Has(OwnNoSpace()) || client_raises_ > 0) {  // a client's stays the client's
      coordinator_.Leave();
      return (*shared)();
    }
    // One entry speaks for all writes that are refused meanwhile.
    raising_for_.push_back(std::move(*shared));
    if (raising_for_.size() > 1 && !PLANTED_BUG("partition_nospace_for_each_refusal")) return;
    TLOG(kWarn, "alarm raised",
         {{"alarm", "NOSPACE"},
          {"quota-size-bytes", quota_bytes_},
          {"free-memory-bytes", memory_.space().free_bytes},
          {"free-budget-bytes", budget_.free_bytes(MemoryAccount::kValues)}});
    Change(OwnNoSpace(), true, /*by_node=*/true, [this](absl::StatusOr<journal::Placed> placed) {
      if (placed.ok()) LookLater();
      for (Task& refuse : std::exchange(raising_for_, {})) {
        coordinator_.Leave();
        refuse();
      }
    });
  });
  if (!entered.ok()) coordinator_.home().Post([shared] { (*shared)(); });
}

void SpaceGuard::Alarm(const AlarmRequest& request, ReplyCallback<Alarms_> done) {
  const AlarmEntry entry{request.memberid(), request.alarm()};
  const bool raise = request.action() == AlarmRequest::ACTIVATE;
  const bool known = Has(entry);
  if (request.action() == AlarmRequest::GET) {
    return AnswerConfirmed({}, true, request.alarm(), std::move(done));
  }
  if (!raise && request.action() != AlarmRequest::DEACTIVATE) {
    return AnswerConfirmed({}, false, request.alarm(), std::move(done));
  }
  // etcd ends the process for a number that it does not know.
  const bool is_alarm =
      request.alarm() != etcdserverpb::NONE && etcdserverpb::AlarmType_IsValid(request.alarm());
  if (!is_alarm && (raise || !known) && !PLANTED_BUG("partition_any_number_is_an_alarm")) {
    return AnswerConfirmed({}, false, request.alarm(), std::move(done));
  }
  // What the node raised becomes the client's, also when the node is about to take it away.
  const bool takes_over = raise && entry == OwnNoSpace() && raised_by_quota_ &&
                          !PLANTED_BUG("partition_nospace_is_not_taken_over");
  if (raise == known && !takes_over) {
    Alarms_ listed;
    if (raise) listed.push_back(entry);
    return AnswerConfirmed(std::move(listed), false, request.alarm(), std::move(done));
  }
  if (raise) ++client_raises_;
  Change(
      entry, raise, /*by_node=*/false,
      [this, entry, raise, done = std::move(done)](absl::StatusOr<journal::Placed> placed) mutable {
        if (raise) --client_raises_;
        coordinator_.Leave();
        if (!placed.ok()) return done(AppendRefusal(placed.status()));
        done(kvstore::Reply<Alarms_>{placed->revision, {entry}});
      });
}

void SpaceGuard::AnswerConfirmed(Alarms_ listed, bool list_now, AlarmType type,
                                 ReplyCallback<Alarms_> done) {
  coordinator_.Barrier([this, listed = std::move(listed), list_now, type,
                        done = std::move(done)](absl::StatusOr<journal::Tail> tail) mutable {
    coordinator_.Leave();
    if (!tail.ok()) return done(kvstore::ErrTimeout());
    if (list_now) {
      for (const AlarmEntry& entry : Alarms()) {
        if (type == etcdserverpb::NONE || entry.type == type) listed.push_back(entry);
      }
    }
    done(kvstore::Reply<Alarms_>{tail->revision, std::move(listed)});
  });
}

void SpaceGuard::StartServing() {
  serving_ = true;
  if (raised_by_quota_) LookLater();
}

void SpaceGuard::LookLater() {
  if (look_timer_ != 0) return;
  look_timer_ = coordinator_.home().PostAt(clock_.Monotonic() + kLookInterval, [this] {
    look_timer_ = 0;
    if (!raised_by_quota_) return;
    memory_.Refresh();
    OnSpaceFreed();
    LookLater();
  });
}

void SpaceGuard::Stop() { coordinator_.home().Cancel(look_timer_); }

bool SpaceGuard::MayDisarm() const {
  return serving_ && raised_by_quota_ && !disarming_ && client_raises_ == 0;
}

void SpaceGuard::OnSpaceFreed() {
  if (!MayDisarm() || !BelowMark()) return;
  const absl::Status entered = coordinator_.Enter([this] {
    // A client may have made the alarm its own before this turn came.
    if (!MayDisarm()) return coordinator_.Leave();
    disarming_ = true;
    Change(OwnNoSpace(), false, /*by_node=*/true, [this](absl::StatusOr<journal::Placed> placed) {
      disarming_ = false;
      if (placed.ok()) TLOG(kInfo, "alarm disarmed, space is back", {{"alarm", "NOSPACE"}});
      coordinator_.Leave();
    });
  });
  if (!entered.ok()) TLOG(kWarn, "alarm stays", {{"error", entered.message()}});
}

}  // namespace tidemark::partition

// Whether a write may be taken: quota, memory, and the alarms of the node (contract 5.2).
//
// Hides that the NOSPACE alarm is raised by the first refused write and, other than etcd's, goes by
// itself: once the store is below 90 % of the quota and of its share of the memory budget, and
// twice the headroom is free on the tmpfs, the alarm that they raised is disarmed. One that a
// client raised, or activated as well, stays until a client disarms it. Headroom is above what
// mvcc::SegmentRoom keeps for writes on their way and for cleaning: deletes go on where no more
// data is taken. Sequence-bound to the coordinator's home, except where "any thread" is said.
//
// Invariants:
//  1. The alarm table changes only by applied entries, so it survives a restart; so does who raised
//     the alarm.
#pragma once

#include <atomic>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "proto/rpc.pb.h"
#include "src/base/clock.h"
#include "src/base/memory_budget.h"
#include "src/base/memory_mapper.h"
#include "src/base/mutex.h"
#include "src/partition/coordinator.h"
#include "src/partition/router.h"

namespace tidemark::partition {

struct StoreSize {
  int64_t logical_bytes = 0;
  int64_t logical_live_bytes = 0;
};

class SpaceGuard {
 public:
  // What an empty store is said to hold, so that sizes look like etcd's (and never 0).
  static constexpr int64_t kEmptyStoreBytes = 16 << 10;
  static constexpr int64_t kDefaultQuotaBytes = int64_t{2} << 30;

  // `quota_bytes` as in etcd's flag: 0 is the default, negative is none.
  struct Doors {
    Coordinator& coordinator;
    const MemoryMapper& memory;
    MemoryBudget& budget;
    const Clock& clock;
  };
  SpaceGuard(const Doors& doors, uint64_t member_id, int64_t quota_bytes);

  // --- Any thread ---
  int64_t quota_bytes() const { return quota_bytes_; }
  StoreSize Size() const;
  // False: the quota or the budget does not allow `cost_bytes` more, or memory is down to its
  // headroom.
  bool HasSpaceFor(int64_t cost_bytes) const;
  // While the node starts: the same beside what is still to be loaded, of which not all is known.
  bool HasSpaceBesideLoading(int64_t cost_bytes) const;
  // Raises NOSPACE, then runs `then` on home.
  void RaiseNoSpace(Task then);
  // Refusals of active alarms. `adds_data`: what NOSPACE refuses.
  absl::Status CheckAlarms(bool adds_data) const;
  std::vector<AlarmEntry> Alarms() const ABSL_LOCKS_EXCLUDED(mutex_);

  // --- Home ---
  void OnAlarm(uint64_t member_id, int alarm_type, bool raised) ABSL_LOCKS_EXCLUDED(mutex_);
  // Entered into the coordinator by the caller; leaves when answered.
  void Alarm(const etcdserverpb::AlarmRequest& request,
             ReplyCallback<std::vector<AlarmEntry>> done);
  void SetBytesToLoad(int64_t bytes) { bytes_to_load_ = bytes; }
  // All partitions are whole: only now is it known how much there is.
  void StartServing();
  void Stop();
  void OnSpaceFreed();

 private:
  using Alarms_ = std::vector<AlarmEntry>;
  using WhenAppended = absl::AnyInvocable<void(absl::StatusOr<journal::Placed>)>;
  // In the journal and in checkpoints, beside NOSPACE: the node itself raised it. Not shown.
  static constexpr int kRaisedByNode = 1000;

  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AnswerConfirmed(Alarms_ listed, bool list_now, etcdserverpb::AlarmType type,
                       ReplyCallback<Alarms_> done);
  void Change(AlarmEntry entry, bool raised, bool by_node, WhenAppended done);
  AlarmEntry OwnNoSpace() const { return {member_id_, etcdserverpb::NOSPACE}; }
  bool Has(const AlarmEntry& entry) const ABSL_LOCKS_EXCLUDED(mutex_);
  bool BelowMark() const;
  bool MayDisarm() const;

  // Space comes back also when a reader lets go of what it held: looks now and then.
  void LookLater();

  static constexpr absl::Duration kLookInterval = absl::Seconds(1);
  static constexpr int64_t kUnknownBytes = int64_t{1} << 60;

  Coordinator& coordinator_;
  const MemoryMapper& memory_;
  MemoryBudget& budget_;
  const Clock& clock_;
  const uint64_t member_id_;
  const int64_t quota_bytes_;
  std::atomic<int64_t> bytes_to_load_{kUnknownBytes};
  bool serving_ = false;
  std::atomic<bool> no_space_{false};
  std::atomic<bool> corrupt_{false};
  bool raised_by_quota_ = false;
  bool disarming_ = false;
  std::vector<Task> raising_for_;  // refused writes that wait for the alarm on its way
  int client_raises_ = 0;          // on their way
  TimerId look_timer_ = 0;
  mutable Mutex mutex_;
  std::set<AlarmEntry> alarms_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::partition

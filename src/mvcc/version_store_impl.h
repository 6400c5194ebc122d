// The store behind version_store.h: key index, change index and segments, kept in step.
//
// Starting, writing, reading, compaction and hashing each have a file of their own
// (version_store_*.cc).
// Sequence-bound.
//
// Invariants, besides those of VersionStore:
//  1. A record is live in its segment exactly as long as one node and the change index refer to it.
//  2. Every key that has more than one version, or a tombstone, is in compaction_queue_.
//  3. removed_to_ <= compact_revision_: up to where physical removal may have happened.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "src/mvcc/change_index.h"
#include "src/mvcc/index_builder.h"
#include "src/mvcc/key_index.h"
#include "src/mvcc/record_entry.h"
#include "src/mvcc/segment_log.h"
#include "src/mvcc/version_store.h"

namespace tidemark::mvcc {

class VersionStoreImpl final : public VersionStore {
 public:
  VersionStoreImpl(StoreOptions options, MemoryMapper& memory);

  absl::Status DiscardUnless(absl::FunctionRef<absl::Status(const Left&)> judge) override {
    return log_.DiscardUnless([&](const SegmentTable::Commit& commit) {
      return judge({commit.main, Position(commit.compacted_at), commit.start_id});
    });
  }
  absl::Status StartEmpty() override;
  using VersionStore::Adopt;
  absl::Status Adopt(ParallelRunner& workers, LoadProgress& progress) override;
  void BeginRestore(size_t parts) override;
  absl::Status Restore(size_t part, RevisionKey revision, bool tombstone,
                       absl::string_view wire) override;
  absl::Status FinishRestore(ParallelRunner& workers, LoadProgress& progress) override;
  void FinishStart(const StartState& state) override;
  void TakeLeased(absl::FunctionRef<void(absl::string_view, LeaseId)> visitor) override;

  void BeginEntry(Revision main) override;
  std::optional<KeyValue> Put(int64_t sub, absl::string_view key, absl::string_view value,
                              LeaseId lease) override;
  KeyValue Delete(int64_t sub, absl::string_view key) override;
  absl::Span<const Event> CommitEntry() override;
  void ForgetEvents() override;
  void AdvanceTo(Revision revision) override;
  Revision current_revision() const override { return current_; }

  absl::Status CheckReadable(Revision at) const override;
  std::optional<KeyValue> Get(absl::string_view key, Revision at) const override;
  void Visit(const KeyRangeView& range, Revision at,
             absl::FunctionRef<bool(const KeyValueView&)> visitor) const override;
  void VisitStep(const KeyRangeView& range, Revision at, int64_t max_keys, std::string* resume_key,
                 absl::FunctionRef<bool(const KeyValueView&)> visitor) const override;
  SharedBytes Share(const KeyValueView& view) const override;
  int64_t CountStep(const KeyRangeView& range, Revision at, int64_t max_keys,
                    std::string* resume_key) const override;
  bool FindLiveStep(Revision at, int64_t max_keys, std::string* resume_key) const override;

  RevisionKey VisitEvents(RevisionKey from, Revision upto, const KeyRangeView& range,
                          bool with_prev_kv, int64_t max_scanned,
                          absl::FunctionRef<bool(const Event&)> visitor) const override;

  Revision compact_revision() const override { return compact_revision_; }
  using VersionStore::Compact;
  void Compact(Revision revision, Position position) override;
  bool CompactStep(int64_t max_versions, Revision up_to) override;

  RevisionKey VisitStored(RevisionKey from, int64_t max_records,
                          absl::FunctionRef<void(StoredRecord)> visitor) const override;
  std::deque<RevisionKey> TrackRemovals(Revision bound, size_t limit) override;
  const TrackedRemovals* Removals() const override;
  std::deque<RevisionKey> TakeRemovals() override;

  RevisionKey VisitForHash(RevisionKey from, const HashSpec& spec, int64_t max_scanned,
                           absl::FunctionRef<void(HashItem)> visitor) const override;

  StoreStats stats() const override;
  void CheckInvariants() const override;

 private:
  // etcd's "db size" grows by more than the bytes of a record: keys, page headers, free space.
  static constexpr int64_t kRecordOverheadBytes = 60;
  static int64_t LogicalBytes(const RecordHeader& record) {
    return static_cast<int64_t>(record.wire_size) + kRecordOverheadBytes;
  }

  // --- version_store_start.cc ---
  void TakeIn(const IndexBuilder::Built& built);
  absl::Status CheckAdopted(const SegmentTable::Commit& commit) const;
  void Clear();
  // Tells a later process what it will find; `removing`: the hash of a record that is marked dead
  // next.
  void Publish(uint64_t removing = 0) {
    log_.Publish({.main = stats_.last_change,
                  .state_hash = stats_.state_hash,
                  .live_keys = stats_.live_keys,
                  .stored_hash = stats_.stored_hash,
                  .removing = removing,
                  .start_id = start_id_,
                  .compacted_at = compacted_at_.value()});
  }

  // --- version_store_write.cc ---
  void BecomeNewest(const RecordHeader& record, const RecordHeader* replaced);
  void CheckNextChange(int64_t sub);
  void AddVersion(KeyNode* node, RevisionKey revision, bool tombstone, Location location);
  void AddEvent(const KeyNode& node, RevisionKey revision, Event::Type type, Location location,
                bool creates);

  // --- version_store_read.cc ---
  void CheckedReadable(Revision at) const;
  KeyValue Load(Location location) const;
  SharedBytes ShareWire(Location location) const;
  // State of the key at main - 1, unless compacted.
  std::optional<SharedBytes> PreviousOf(const KeyNode& node, Revision main) const;
  Event MakeEvent(RevisionKey revision, Location location, bool with_prev_kv) const;
  bool VisitNode(const KeyNode& node, Revision at,
                 absl::FunctionRef<bool(const KeyValueView&)> visitor) const;
  // `visitor(node)` for the keys of a step, as VisitStep's.
  template <typename Visitor>
  void VisitNodes(const KeyRangeView& range, int64_t max_keys, std::string* resume_key,
                  Visitor visitor) const;

  // --- version_store_hash.cc ---
  bool CountsForHash(const RecordHeader& record, Location location, const HashSpec& spec) const;

  // --- version_store_compaction.cc ---
  // Removes the oldest first; a key with more than `max_removed` to remove stays at the queue's
  // front.
  int64_t Prune(KeyNode* node, Revision bound, int64_t max_removed);
  void RemoveVersion(const Version& version);
  // Moves live records out of sparse segments; returns true while there is more to do.
  bool CleanStep(int64_t max_records);
  // False: there is no memory for it.
  bool MoveRecord(Location location, const RecordHeader& record);

  const uint64_t start_id_;
  SegmentLog log_;
  KeyIndex index_;
  ChangeIndex changes_;
  Revision current_ = kEmptyStoreRevision;
  Revision compact_revision_ = kNeverCompacted;
  Position compacted_at_;
  Revision removed_to_ = kNeverCompacted;
  StoreStats stats_;

  std::deque<SegmentFiller> restored_parts_;
  std::optional<std::vector<KeyNode*>> leased_{std::in_place};  // until taken, or the first entry

  bool entry_open_ = false;
  RevisionKey last_change_{kEmptyStoreRevision, 0};
  Location last_location_;
  std::vector<Event> events_;

  std::optional<Revision> track_removals_up_to_;
  size_t removals_limit_ = 0;
  TrackedRemovals removals_;  // in the order of removal

  std::deque<KeyNode*> compaction_queue_;
  size_t to_compact_ = 0;           // how many from the queue's front this round still looks at
  std::vector<uint32_t> to_clean_;  // sparse segments, the next one last
  size_t clean_offset_ = 0;         // in the segment being cleaned
  bool cleaning_due_ = false;

  // The record that the running Visit yields, for Share.
  mutable Location visited_;
};

}  // namespace tidemark::mvcc

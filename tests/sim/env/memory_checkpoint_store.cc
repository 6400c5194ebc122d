#include "tests/sim/env/memory_checkpoint_store.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark::sim {

using kvstore::CheckpointHeader;
using kvstore::CheckpointReader;
using kvstore::CheckpointRecord;
using kvstore::CheckpointWriter;
using kvstore::StoredHeader;

namespace {

absl::Status NoSpace() { return absl::ResourceExhaustedError("no space for checkpoints"); }

absl::Status Broken() {
  return absl::InternalError("an I/O error happened before: restart this process");
}

absl::string_view View(const kvstore::RecordKeyBytes& key) {
  return absl::string_view(key.data(), key.size());
}

}  // namespace

class MemoryCheckpointStore::Writer : public CheckpointWriter {
 public:
  Writer(MemoryCheckpointStore& store, kvstore::WriterRules rules, kvstore::RecordHome home,
         Rows rows)
      : store_(store),
        rules_(std::move(rules)),
        home_(home),
        home_crc_(kvstore::HomeCrc(home)),
        incarnation_(store.incarnation_),
        rows_(std::move(rows)) {}
  ~Writer() override {
    if (incarnation_ == store_.incarnation_) store_.partitions_[home_.partition].has_writer = false;
  }

  absl::Status Remove(mvcc::RevisionKey revision) override {
    absl::Status status = Prepare([&] { return rules_.CheckRemove(revision); });
    if (!status.ok()) return status;
    rows_.erase(std::string(View(kvstore::EncodeRecordKey(revision))));
    bytes_written_ += kvstore::kRecordKeyBytes;
    return absl::OkStatus();
  }

  absl::Status Add(const CheckpointRecord& record) override {
    absl::Status status = Prepare([&] { return rules_.CheckAdd(record); });
    if (!status.ok()) return status;
    kvstore::RecordKeyBytes key = kvstore::EncodeRecordKey(record.revision);
    kvstore::RecordPrefixBytes prefix =
        kvstore::EncodeRecordPrefix(home_crc_, key, record.tombstone, record.wire);
    auto row = std::make_shared<std::string>(prefix.data(), prefix.size());
    row->append(record.wire.data(), record.wire.size());
    bytes_written_ += key.size() + row->size();
    rows_.insert_or_assign(std::string(View(key)), std::move(row));
    return absl::OkStatus();
  }

  absl::Status Commit(const CheckpointHeader& header) override {
    absl::Status status = CheckUsable();
    if (!status.ok()) return status;
    status = rules_.CheckCommit(header);
    if (!status.ok()) return Fail(status);
    Checkpoint checkpoint;
    checkpoint.header = kvstore::EncodeHeader({home_.store, home_.generation, header});
    checkpoint.rows = std::make_shared<const Rows>(std::move(rows_));
    is_committed_ = true;
    FAIL_POINT("checkpoint.built");
    return Fail(store_.Publish(home_.partition, std::move(checkpoint)));
  }

  uint64_t bytes_written() const override { return bytes_written_; }

 private:
  absl::Status Fail(absl::Status status) {
    if (!status.ok() && failure_.ok()) failure_ = status;
    return status;
  }
  absl::Status CheckUsable() const {
    if (!failure_.ok()) return failure_;
    if (is_committed_) return absl::InvalidArgumentError("the checkpoint is committed");
    return incarnation_ == store_.incarnation_ ? absl::OkStatus()
                                               : absl::InternalError("this process died");
  }
  template <typename Rule>
  absl::Status Prepare(Rule rule) {
    absl::Status status = CheckUsable();
    if (!status.ok()) return status;
    status = rule();
    if (status.ok() && store_.adds_left_ <= 0) status = NoSpace();
    if (status.ok()) --store_.adds_left_;
    return Fail(status);
  }

  MemoryCheckpointStore& store_;
  kvstore::WriterRules rules_;
  const kvstore::RecordHome home_;
  const uint32_t home_crc_;
  const uint64_t incarnation_;
  Rows rows_;
  uint64_t bytes_written_ = 0;
  bool is_committed_ = false;
  absl::Status failure_;
};

class MemoryCheckpointStore::Reader : public CheckpointReader {
 public:
  Reader(StoredHeader stored, std::shared_ptr<const Rows> rows, const kvstore::CheckpointPart& part)
      : stored_(std::move(stored)),
        home_crc_(kvstore::HomeCrc({stored_.store, stored_.header.partition, stored_.generation})),
        rows_(std::move(rows)),
        next_(part.is_whole() ? rows_->begin() : At(part.from)),
        end_(part.to.has_value() ? At(*part.to) : rows_->end()),
        rules_(stored_.header, part) {}

  const CheckpointHeader& header() const override { return stored_.header; }

  absl::StatusOr<std::optional<CheckpointRecord>> Next() override {
    if (!failure_.ok()) return failure_;
    if (next_ == end_) {
      failure_ = rules_.CheckEnd();
      if (!failure_.ok()) return failure_;
      return std::nullopt;
    }
    absl::StatusOr<CheckpointRecord> record =
        kvstore::DecodeRecord(home_crc_, next_->first, *next_->second);
    failure_ = record.ok() ? rules_.Check(*record) : record.status();
    if (!failure_.ok()) return failure_;
    ++next_;
    return *record;
  }

 private:
  Rows::const_iterator At(mvcc::RevisionKey revision) const {
    return rows_->lower_bound(std::string(View(kvstore::EncodeRecordKey(revision))));
  }

  const StoredHeader stored_;
  const uint32_t home_crc_;
  const std::shared_ptr<const Rows> rows_;
  Rows::const_iterator next_;
  const Rows::const_iterator end_;
  kvstore::ReaderRules rules_;
  absl::Status failure_;
};

const MemoryCheckpointStore::Checkpoint* MemoryCheckpointStore::NewestOf(
    PartitionId partition) const {
  auto found = partitions_.find(partition);
  if (found == partitions_.end() || !found->second.newest.has_value()) return nullptr;
  return &*found->second.newest;
}

std::vector<PartitionId> MemoryCheckpointStore::Partitions() const {
  std::vector<PartitionId> ids;
  for (const auto& [id, partition] : partitions_) {
    if (partition.newest.has_value()) ids.push_back(id);
  }
  return ids;
}

absl::StatusOr<std::optional<CheckpointHeader>> MemoryCheckpointStore::Newest(
    PartitionId partition) const {
  const Checkpoint* newest = NewestOf(partition);
  if (newest == nullptr) return std::nullopt;
  absl::StatusOr<StoredHeader> stored = kvstore::DecodeHeader(newest->header);
  if (!stored.ok()) return stored.status();
  return std::move(stored->header);
}

absl::Status MemoryCheckpointStore::KnownDamage(PartitionId partition) const {
  const Checkpoint* newest = NewestOf(partition);
  if (newest == nullptr || !newest->is_damaged) return absl::OkStatus();
  return absl::DataLossError("a record is damaged");
}

absl::StatusOr<std::unique_ptr<CheckpointReader>> MemoryCheckpointStore::ReadPart(
    PartitionId partition, const kvstore::CheckpointPart& part) const {
  const Checkpoint* newest = NewestOf(partition);
  if (newest == nullptr) {
    return absl::NotFoundError(absl::StrCat("partition ", partition.value(), " has no checkpoint"));
  }
  absl::StatusOr<StoredHeader> stored = kvstore::DecodeHeader(newest->header);
  if (!stored.ok()) return stored.status();
  return std::make_unique<Reader>(*std::move(stored), newest->rows, part);
}

std::vector<kvstore::CheckpointPart> MemoryCheckpointStore::Cut(PartitionId partition,
                                                                size_t parts_max) const {
  std::vector<mvcc::RevisionKey> cuts;
  const Checkpoint* newest = NewestOf(partition);
  if (newest == nullptr) return kvstore::PartsBetween({});
  const size_t rows_per_part = newest->rows->size() / std::max<size_t>(parts_max, 1) + 1;
  size_t row = 0;
  for (const auto& [key, value] : *newest->rows) {
    const std::optional<mvcc::RevisionKey> revision = kvstore::DecodeRecordKey(key);
    if (row > 0 && row % rows_per_part == 0 && revision.has_value()) cuts.push_back(*revision);
    ++row;
  }
  return kvstore::PartsBetween(cuts);
}

absl::StatusOr<std::unique_ptr<CheckpointWriter>> MemoryCheckpointStore::BeginWhole(
    PartitionId partition) {
  return Begin(partition, std::nullopt);
}

absl::StatusOr<std::unique_ptr<CheckpointWriter>> MemoryCheckpointStore::BeginIncrement(
    PartitionId partition, Position base) {
  return Begin(partition, base);
}

absl::StatusOr<std::unique_ptr<CheckpointWriter>> MemoryCheckpointStore::Begin(
    PartitionId id, std::optional<Position> base) {
  if (is_broken_) return Broken();
  Partition& partition = partitions_[id];
  if (partition.has_writer) {
    return absl::FailedPreconditionError(
        absl::StrCat("a checkpoint of partition ", id.value(), " is being written already"));
  }
  std::optional<StoredHeader> stored;
  if (partition.newest.has_value()) {
    absl::StatusOr<StoredHeader> decoded = kvstore::DecodeHeader(partition.newest->header);
    if (!decoded.ok()) return decoded.status();
    stored = *std::move(decoded);
  }
  if (base.has_value() && (!stored.has_value() || stored->header.at.position != *base)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the newest checkpoint of partition ", id.value(), " is not at position ", base->value()));
  }
  partition.has_writer = true;
  kvstore::RecordHome home{store_, id,
                           base.has_value() ? stored->generation : partition.next_generation++};
  std::optional<CheckpointHeader> newest;
  if (stored.has_value()) newest = std::move(stored->header);
  return std::make_unique<Writer>(*this,
                                  kvstore::WriterRules(id, base.has_value(), std::move(newest)),
                                  home, base.has_value() ? *partition.newest->rows : Rows());
}

absl::Status MemoryCheckpointStore::Publish(PartitionId id, Checkpoint checkpoint) {
  if (is_broken_) return Broken();
  Partition& partition = partitions_[id];
  FAIL_POINT("checkpoint.before_ingest");
  switch (commit_fault_) {
    case CommitFault::kNone:
      break;
    case CommitFault::kNoSpace:
      return NoSpace();
    case CommitFault::kDamage:
      return absl::DataLossError("what was read back is not what was written");
    case CommitFault::kIoError:
      is_broken_ = true;
      return Broken();
    case CommitFault::kIoErrorDurable:
      is_broken_ = true;
      partition.after_restart = std::move(checkpoint);
      return Broken();
  }
  partition.newest = std::move(checkpoint);
  FAIL_POINT("checkpoint.after_ingest");
  FAIL_POINT("checkpoint.after_drop");
  return absl::OkStatus();
}

uint64_t MemoryCheckpointStore::DiskBytes(PartitionId partition) const {
  const Checkpoint* newest = NewestOf(partition);
  if (newest == nullptr) return 0;
  uint64_t size_bytes = newest->header.size();
  for (const auto& [key, row] : *newest->rows) size_bytes += key.size() + row->size();
  return size_bytes;
}

uint64_t MemoryCheckpointStore::TotalDiskBytes() const {
  uint64_t size_bytes = 0;
  for (PartitionId partition : Partitions()) size_bytes += DiskBytes(partition);
  return size_bytes;
}

void MemoryCheckpointStore::ProcessDied() {
  ++incarnation_;
  is_broken_ = false;
  for (auto& [id, partition] : partitions_) {
    partition.has_writer = false;
    if (partition.after_restart.has_value()) {
      partition.newest = std::exchange(partition.after_restart, std::nullopt);
    }
  }
}

void MemoryCheckpointStore::ClearFaults() {
  adds_left_ = std::numeric_limits<int64_t>::max();
  commit_fault_ = CommitFault::kNone;
}

absl::StatusOr<MemoryCheckpointStore::Rows> MemoryCheckpointStore::RowsToDamage(
    PartitionId partition, size_t record) const {
  const Checkpoint* newest = NewestOf(partition);
  if (newest == nullptr) return absl::NotFoundError("no checkpoint");
  if (record >= newest->rows->size()) return absl::OutOfRangeError("no such record");
  return *newest->rows;  // a copy: readers keep theirs
}

absl::Status MemoryCheckpointStore::FlipRecordBit(PartitionId partition, size_t record,
                                                  size_t offset, int bit) {
  CHECK(bit >= 0 && bit < 8);
  absl::StatusOr<Rows> rows = RowsToDamage(partition, record);
  if (!rows.ok()) return rows.status();
  auto at = std::next(rows->begin(), static_cast<int64_t>(record));
  std::string key = at->first;
  std::string value = *at->second;
  if (offset >= key.size() + value.size()) return absl::OutOfRangeError("no such byte");
  char& byte = offset < key.size() ? key[offset] : value[offset - key.size()];
  byte = static_cast<char>(byte ^ (1 << bit));
  rows->erase(at);
  rows->insert_or_assign(std::move(key), std::make_shared<const std::string>(std::move(value)));
  Checkpoint& newest = *partitions_[partition].newest;
  newest.rows = std::make_shared<const Rows>(*std::move(rows));
  newest.is_damaged = true;
  return absl::OkStatus();
}

absl::Status MemoryCheckpointStore::FlipHeaderBit(PartitionId partition, size_t offset, int bit) {
  CHECK(bit >= 0 && bit < 8);
  if (NewestOf(partition) == nullptr) return absl::NotFoundError("no checkpoint");
  std::string& header = partitions_[partition].newest->header;
  if (offset >= header.size()) return absl::OutOfRangeError("no such byte");
  header[offset] = static_cast<char>(header[offset] ^ (1 << bit));
  return absl::OkStatus();
}

absl::Status MemoryCheckpointStore::LoseRecord(PartitionId partition, size_t record) {
  absl::StatusOr<Rows> rows = RowsToDamage(partition, record);
  if (!rows.ok()) return rows.status();
  rows->erase(std::next(rows->begin(), static_cast<int64_t>(record)));
  Checkpoint& newest = *partitions_[partition].newest;
  newest.rows = std::make_shared<const Rows>(*std::move(rows));
  newest.is_damaged = true;
  return absl::OkStatus();
}

}  // namespace tidemark::sim

// Reading checkpoints from RocksDB: as a whole or in parts, on several threads at once.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rocksdb/metadata.h"
#include "src/base/check.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_impl.h"
#include "src/kvstore/checkpoint/rocks_options.h"
#include "src/kvstore/checkpoint/rocks_status.h"

namespace tidemark::kvstore {
namespace {

// Behind every record.
constexpr mvcc::RevisionKey kNoRevision{Revision(INT64_MAX), INT64_MAX};

absl::string_view View(const rocksdb::Slice& slice) {
  return absl::string_view(slice.data(), slice.size());
}

}  // namespace

absl::StatusOr<std::unique_ptr<CheckpointReader>> RocksCheckpointStore::ReadPart(
    PartitionId partition, const CheckpointPart& part) const {
  MutexLock publish(&publish_mutex_);  // the header and the records of one moment
  Current current = CurrentOf(partition);
  if (!current.header.has_value()) {
    return absl::NotFoundError(absl::StrCat("partition ", partition.value(), " has no checkpoint"));
  }
  if (current.is_lost) return current.damage;
  return std::make_unique<RocksCheckpointReader>(*this, std::move(current), part);
}

// At the borders of table files: they hold about as much each.
std::vector<CheckpointPart> RocksCheckpointStore::Cut(PartitionId partition,
                                                      size_t parts_max) const {
  const Current current = CurrentOf(partition);
  if (current.generation == nullptr) return PartsBetween({});
  rocksdb::ColumnFamilyMetaData family;
  db_->GetColumnFamilyMetaData(current.generation->handle(), &family);
  std::vector<std::pair<mvcc::RevisionKey, uint64_t>> tables;  // first revision, bytes
  for (const rocksdb::LevelMetaData& level : family.levels) {
    for (const rocksdb::SstFileMetaData& table : level.files) {
      const std::optional<mvcc::RevisionKey> first = DecodeRecordKey(table.smallestkey);
      if (first.has_value()) tables.emplace_back(*first, table.size);
    }
  }
  std::sort(tables.begin(), tables.end());
  const uint64_t part_bytes =
      std::max(family.size / std::max<size_t>(parts_max, 1) + 1, options_.part_bytes_min);
  std::vector<mvcc::RevisionKey> cuts;
  uint64_t bytes = 0;
  for (const auto& [first, table_bytes] : tables) {
    const bool above = first > (cuts.empty() ? CheckpointPart().from : cuts.back());
    if (bytes >= part_bytes && above) {
      cuts.push_back(first);
      bytes = 0;
    }
    bytes += table_bytes;
  }
  return PartsBetween(cuts);
}

RocksCheckpointReader::RocksCheckpointReader(const RocksCheckpointStore& store,
                                             RocksCheckpointStore::Current current,
                                             const CheckpointPart& part)
    : store_(store),
      generation_(std::move(current.generation)),
      header_(*std::move(current.header)),
      from_(EncodeRecordKey(part.from)),
      to_(EncodeRecordKey(part.to.value_or(kNoRevision))),
      from_slice_(from_.data(), from_.size()),
      to_slice_(to_.data(), to_.size()),
      rules_(header_, part) {
  ++store_.users_;
  rocksdb::ReadOptions read = MakeReadOptions(store_.options_);
  // Open at both ends of the checkpoint: what does not belong there shall be seen.
  if (part.from > CheckpointPart().from) read.iterate_lower_bound = &from_slice_;
  if (part.to.has_value()) read.iterate_upper_bound = &to_slice_;
  iterator_.reset(store_.db_->NewIterator(read, generation_->handle()));
}

RocksCheckpointReader::~RocksCheckpointReader() {
  iterator_.reset();
  generation_.reset();
  --store_.users_;
}

absl::StatusOr<std::optional<CheckpointRecord>> RocksCheckpointReader::Next() {
  if (!failure_.ok()) return failure_;
  absl::StatusOr<std::optional<CheckpointRecord>> record = Step();
  if (!record.ok()) failure_ = record.status();
  return record;
}

absl::StatusOr<std::optional<CheckpointRecord>> RocksCheckpointReader::Step() {
  if (!is_started_) {
    iterator_->SeekToFirst();
    is_started_ = true;
  } else if (iterator_->Valid()) {
    iterator_->Next();
  }
  if (!iterator_->Valid()) {
    if (!iterator_->status().ok()) return store_.Failed(iterator_->status(), "read");
    absl::Status status = rules_.CheckEnd();
    if (!status.ok()) return WithPath(status, store_.options_.directory);
    return std::nullopt;
  }
  absl::StatusOr<CheckpointRecord> record =
      DecodeRecord(generation_->home_crc(), View(iterator_->key()), View(iterator_->value()));
  absl::Status status = record.ok() ? rules_.Check(*record) : record.status();
  if (!status.ok()) return WithPath(status, store_.options_.directory);
  return *record;
}

}  // namespace tidemark::kvstore

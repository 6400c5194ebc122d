// The parts of the RocksDB checkpoint store; included by its own files only.
//
// Thread class: RocksCheckpointStore is thread-safe. Ingestion and the change of what is newest
// happen under publish_mutex_, and so does taking an iterator together with its header; the short
// mutex_ guards the map and is taken after it. Generations may be released on any thread.
//
// Invariants:
//  1. A column family holds a whole checkpoint and its increments; the header in the default column
//     family names it. Both change in one ingestion.
//  2. What the database has of a partition's header is as new as the copy, or the checkpoint is
//  lost.
//  3. A table enters the database only after it was read back.
//  4. A column family that no header names is dropped: at open, or retried at each Begin.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "rocksdb/db.h"
#include "rocksdb/sst_file_writer.h"
#include "src/base/mutex.h"
#include "src/kvstore/checkpoint/checkpoint_rules.h"
#include "src/kvstore/checkpoint/fail_stop_file_system.h"
#include "src/kvstore/checkpoint/header_copies.h"
#include "src/kvstore/checkpoint/record_codec.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_store.h"
#include "src/kvstore/checkpoint/table_content.h"

namespace tidemark::kvstore {

class BackgroundErrorListener;

// A column family in use; its files go when it was dropped and nobody holds it any more.
class Generation {
 public:
  Generation(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* handle, RecordHome home)
      : db_(db), handle_(handle), home_(home), home_crc_(HomeCrc(home)) {}
  ~Generation() { db_->DestroyColumnFamilyHandle(handle_).PermitUncheckedError(); }
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  rocksdb::ColumnFamilyHandle* handle() const { return handle_; }
  const RecordHome& home() const { return home_; }
  uint32_t home_crc() const { return home_crc_; }

 private:
  rocksdb::DB* const db_;
  rocksdb::ColumnFamilyHandle* const handle_;
  const RecordHome home_;
  const uint32_t home_crc_;
};

class RocksCheckpointStore : public CheckpointStore {
 public:
  enum class Access { kReadWrite, kReadOnly };
  // Whether every table has to be usable, or only those that are asked for later.
  enum class Opening { kStrict, kTolerant };

  RocksCheckpointStore(const RocksCheckpointOptions& options, Access access, Opening opening);
  ~RocksCheckpointStore() override;

  absl::Status Open();
  absl::Status OpenReadOnly(uint64_t* store);

  std::vector<PartitionId> Partitions() const override;
  absl::StatusOr<std::optional<CheckpointHeader>> Newest(PartitionId partition) const override;
  absl::Status KnownDamage(PartitionId partition) const override;
  absl::StatusOr<std::unique_ptr<CheckpointReader>> ReadPart(
      PartitionId partition, const CheckpointPart& part) const override;
  std::vector<CheckpointPart> Cut(PartitionId partition, size_t parts_max) const override;
  absl::StatusOr<std::unique_ptr<CheckpointWriter>> BeginWhole(PartitionId partition) override;
  absl::StatusOr<std::unique_ptr<CheckpointWriter>> BeginIncrement(PartitionId partition,
                                                                   Position base) override;
  void Hurry(bool hurries) override { read_back_pace_.Hurry(hurries); }
  void Interrupt() override { read_back_pace_.Interrupt(); }
  uint64_t DiskBytes(PartitionId partition) const override;
  uint64_t TotalDiskBytes() const override;
  bool is_broken() const override { return files_->is_broken(); }

 private:
  friend class RocksCheckpointReader;
  friend class RocksCheckpointWriter;

  // What a partition has: header and generation, or neither; or a header that is lost.
  struct Current {
    std::shared_ptr<Generation> generation;
    std::optional<CheckpointHeader> header;
    absl::Status damage;   // known from opening
    bool is_lost = false;  // the header is a copy of what the database had once
  };
  struct Partition {
    Current current;
    bool has_writer = false;
    uint64_t next_generation = 1;  // never used before while this store is open
  };
  struct Publication {
    std::vector<std::string> tables;
    std::string header_table;
    CheckpointHeader header;
    RecordHome home;
    std::shared_ptr<Generation> base;  // of an increment
  };
  using Families = std::map<std::string, std::shared_ptr<Generation>>;

  // Opening.
  absl::Status PrepareDirectories();
  absl::StatusOr<std::vector<std::string>> ListFamilies();
  absl::Status OpenDb(const std::vector<std::string>& names,
                      std::vector<rocksdb::ColumnFamilyHandle*>* handles);
  absl::Status TakeFamilies(const std::vector<rocksdb::ColumnFamilyHandle*>& handles,
                            Families* families);
  absl::Status CheckIdentity(bool has_no_families);
  absl::Status LoadHeaders(Families* families);
  absl::Status UseHeader(const StoredHeader& stored, Families* families);
  absl::Status DropOrphans(Families families);
  void LookForDamage();
  void CompareWithCopies();
  absl::Status TryTables(rocksdb::ColumnFamilyHandle* handle) const;

  // Writing.
  absl::StatusOr<std::unique_ptr<CheckpointWriter>> Begin(PartitionId partition,
                                                          std::optional<Position> base);
  absl::Status EnsureWritable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish_mutex_);
  void EndWriter(PartitionId partition);
  // The tables and the header become the newest checkpoint.
  absl::Status Publish(Publication publication);
  absl::StatusOr<std::shared_ptr<Generation>> CreateFamily(const RecordHome& home)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish_mutex_);
  absl::Status Ingest(const std::vector<rocksdb::IngestExternalFileArg>& arguments);
  void ManifestChanged();
  // Tries to; what could not be dropped stays in doomed_.
  absl::Status DropDoomed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish_mutex_);
  // Whether the disk gives back what a finished table was given.
  absl::Status ReadBack(const std::string& path, const TableContent& content) const;
  // A table with one row.
  absl::Status BuildRow(const std::string& path, absl::string_view key,
                        absl::string_view value) const;
  absl::Status WriteIdentity(absl::string_view key);

  absl::Status Failed(const rocksdb::Status& status, absl::string_view operation) const;
  std::string ScratchPath(absl::string_view name) const;
  // nullptr: there is none.
  const Current* FindCurrent(PartitionId partition) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A copy, with the header and all its leases.
  Current CurrentOf(PartitionId partition) const;

  RocksCheckpointOptions options_;  // `store` is set once, by OpenReadOnly
  const Access access_;
  const Opening opening_;
  const std::string rocks_directory_;
  const std::string scratch_directory_;
  const HeaderCopies copies_;
  std::unique_ptr<FileLock> lock_;
  std::shared_ptr<FailStopFileSystem> files_;
  std::unique_ptr<rocksdb::Env> env_;
  std::shared_ptr<BackgroundErrorListener> listener_;
  rocksdb::Options rocks_options_;
  mutable ReadBackPace read_back_pace_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* headers_ = nullptr;  // the default column family
  mutable std::atomic<int> users_{0};               // readers and writers alive

  mutable Mutex publish_mutex_;
  std::vector<std::shared_ptr<Generation>> doomed_ ABSL_GUARDED_BY(publish_mutex_);
  mutable Mutex mutex_ ABSL_ACQUIRED_AFTER(publish_mutex_);
  std::map<PartitionId, Partition> partitions_ ABSL_GUARDED_BY(mutex_);
};

class RocksCheckpointWriter : public CheckpointWriter {
 public:
  // `base`: for an increment. The column family of a whole checkpoint is made by Commit.
  RocksCheckpointWriter(RocksCheckpointStore& store, WriterRules rules, RecordHome home,
                        std::shared_ptr<Generation> base, std::string name);
  ~RocksCheckpointWriter() override;

  absl::Status Remove(mvcc::RevisionKey revision) override;
  absl::Status Add(const CheckpointRecord& record) override;
  absl::Status Commit(const CheckpointHeader& header) override;
  uint64_t bytes_written() const override { return bytes_written_; }

 private:
  enum class Kind { kRemovals, kRecords };
  struct Table {
    std::string path;
    TableContent content;
  };

  absl::Status CheckUsable() const;
  absl::Status Fail(absl::Status status);
  // A table of that kind with room is open afterwards.
  absl::Status NeedTable(Kind kind);
  absl::Status FinishTable();
  // Their paths.
  absl::StatusOr<std::vector<std::string>> ReadBackTables() const;
  void CountRow(size_t value_bytes);
  std::string HeaderPath() const;

  RocksCheckpointStore& store_;
  WriterRules rules_;
  const RecordHome home_;
  const uint32_t home_crc_;
  std::shared_ptr<Generation> base_;
  const std::string name_;  // begins the names of the files

  std::unique_ptr<rocksdb::SstFileWriter> table_;
  Kind table_kind_ = Kind::kRemovals;
  std::vector<Table> tables_;  // the open one included
  uint64_t table_bytes_ = 0;   // of the open one
  uint64_t bytes_written_ = 0;
  std::string value_;
  absl::Status failure_;
  bool is_committed_ = false;
};

class RocksCheckpointReader : public CheckpointReader {
 public:
  RocksCheckpointReader(const RocksCheckpointStore& store, RocksCheckpointStore::Current current,
                        const CheckpointPart& part);
  ~RocksCheckpointReader() override;

  const CheckpointHeader& header() const override { return header_; }
  absl::StatusOr<std::optional<CheckpointRecord>> Next() override;

 private:
  absl::StatusOr<std::optional<CheckpointRecord>> Step();

  const RocksCheckpointStore& store_;
  std::shared_ptr<Generation> generation_;
  const CheckpointHeader header_;
  // What the iterator's bounds refer to.
  const RecordKeyBytes from_;
  const RecordKeyBytes to_;
  const rocksdb::Slice from_slice_;
  const rocksdb::Slice to_slice_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
  ReaderRules rules_;
  bool is_started_ = false;
  absl::Status failure_;
};

// The key of a partition's header in the default column family.
std::string HeaderKey(PartitionId partition);
std::string FamilyName(const RecordHome& home);

}  // namespace tidemark::kvstore

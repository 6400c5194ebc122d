// Writing and reading one checkpoint.
#include <utility>

#include "absl/strings/str_cat.h"
#include "rocksdb/env.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_impl.h"
#include "src/kvstore/checkpoint/rocks_status.h"

namespace tidemark::kvstore {

RocksCheckpointWriter::RocksCheckpointWriter(RocksCheckpointStore& store, WriterRules rules,
                                             RecordHome home, std::shared_ptr<Generation> base,
                                             std::string name)
    : store_(store),
      rules_(std::move(rules)),
      home_(home),
      home_crc_(HomeCrc(home)),
      base_(std::move(base)),
      name_(std::move(name)) {
  ++store_.users_;
}

RocksCheckpointWriter::~RocksCheckpointWriter() {
  table_.reset();
  // After a commit RocksDB has taken them, or copied what it could not take.
  for (const Table& table : tables_) store_.env_->DeleteFile(table.path).PermitUncheckedError();
  store_.env_->DeleteFile(HeaderPath()).PermitUncheckedError();
  base_.reset();
  store_.EndWriter(home_.partition);
  --store_.users_;
}

std::string RocksCheckpointWriter::HeaderPath() const {
  return store_.ScratchPath(name_ + "-header.sst");
}

absl::Status RocksCheckpointWriter::Fail(absl::Status status) {
  if (!status.ok() && failure_.ok()) failure_ = status;
  return status;
}

absl::Status RocksCheckpointWriter::CheckUsable() const {
  if (is_committed_) return absl::InvalidArgumentError("the checkpoint is committed");
  return failure_;
}

absl::Status RocksCheckpointWriter::NeedTable(Kind kind) {
  if (table_ != nullptr && (kind != table_kind_ || table_bytes_ >= store_.options_.table_bytes)) {
    absl::Status status = FinishTable();
    if (!status.ok()) return status;
  }
  if (table_ != nullptr) return absl::OkStatus();
  table_ = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(store_.rocks_options_),
                                                    store_.rocks_options_);
  table_kind_ = kind;
  table_bytes_ = 0;
  tables_.push_back({store_.ScratchPath(absl::StrCat(name_, "-", tables_.size() + 1, ".sst")), {}});
  rocksdb::Status opened = table_->Open(tables_.back().path);
  return opened.ok() ? absl::OkStatus() : store_.Failed(opened, "write");
}

absl::Status RocksCheckpointWriter::FinishTable() {
  rocksdb::Status finished = table_->Finish();
  table_.reset();
  return finished.ok() ? absl::OkStatus() : store_.Failed(finished, "write");
}

absl::StatusOr<std::vector<std::string>> RocksCheckpointWriter::ReadBackTables() const {
  std::vector<std::string> paths;
  for (const Table& table : tables_) {
    absl::Status status = store_.ReadBack(table.path, table.content);
    if (!status.ok()) return status;
    paths.push_back(table.path);
  }
  return paths;
}

// RocksDB's own figure moves a block at a time.
void RocksCheckpointWriter::CountRow(size_t value_bytes) {
  table_bytes_ += kRecordKeyBytes + value_bytes;
  bytes_written_ += kRecordKeyBytes + value_bytes;
}

absl::Status RocksCheckpointWriter::Remove(mvcc::RevisionKey revision) {
  absl::Status status = CheckUsable();
  if (!status.ok()) return status;
  status = rules_.CheckRemove(revision);
  if (status.ok()) status = NeedTable(Kind::kRemovals);
  if (!status.ok()) return Fail(std::move(status));
  RecordKeyBytes key = EncodeRecordKey(revision);
  CountRow(0);
  tables_.back().content.AddRemoval();
  rocksdb::Status removed = table_->Delete(rocksdb::Slice(key.data(), key.size()));
  return removed.ok() ? absl::OkStatus() : Fail(store_.Failed(removed, "write"));
}

absl::Status RocksCheckpointWriter::Add(const CheckpointRecord& record) {
  absl::Status status = CheckUsable();
  if (!status.ok()) return status;
  status = rules_.CheckAdd(record);
  if (status.ok()) status = NeedTable(Kind::kRecords);
  if (!status.ok()) return Fail(std::move(status));
  RecordKeyBytes key = EncodeRecordKey(record.revision);
  RecordPrefixBytes prefix = EncodeRecordPrefix(home_crc_, key, record.tombstone, record.wire);
  value_.assign(prefix.data(), prefix.size());
  value_.append(record.wire.data(), record.wire.size());
  CountRow(value_.size());
  tables_.back().content.AddRow(absl::string_view(key.data(), key.size()), value_);
  rocksdb::Status put = table_->Put(rocksdb::Slice(key.data(), key.size()), value_);
  return put.ok() ? absl::OkStatus() : Fail(store_.Failed(put, "write"));
}

absl::Status RocksCheckpointWriter::Commit(const CheckpointHeader& header) {
  absl::Status status = CheckUsable();
  if (!status.ok()) return status;
  status = rules_.CheckCommit(header);
  if (status.ok() && table_ != nullptr) status = FinishTable();
  if (!status.ok()) return Fail(std::move(status));
  absl::StatusOr<std::vector<std::string>> tables = ReadBackTables();
  if (!tables.ok()) return Fail(tables.status());
  status = store_.BuildRow(HeaderPath(), HeaderKey(home_.partition),
                           EncodeHeader({home_.store, home_.generation, header}));
  FAIL_POINT("checkpoint.built");
  if (status.ok()) {
    status = store_.Publish({*std::move(tables), HeaderPath(), header, home_, base_});
  }
  if (!status.ok()) return Fail(std::move(status));
  is_committed_ = true;
  return absl::OkStatus();
}

}  // namespace tidemark::kvstore

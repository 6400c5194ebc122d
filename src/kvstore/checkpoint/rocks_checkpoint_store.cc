#include "src/kvstore/checkpoint/rocks_checkpoint_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "rocksdb/env.h"
#include "rocksdb/listener.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/checkpoint/read_only_file_system.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_impl.h"
#include "src/kvstore/checkpoint/rocks_options.h"
#include "src/kvstore/checkpoint/rocks_status.h"

namespace tidemark::kvstore {

// What RocksDB does after an error of its own accord is kept away from it.
//
// A manifest that found no space: RocksDB 7.8.3 would stop, and cannot be resumed from that: the
// flag is_db_stopped_ stays set while the error is forgotten, and the next ingestion takes file
// numbers from 0 on, over files in use (db/error_handler.cc, ClearBGError). Nothing is wrong with
// the database, though: the next change starts a new manifest. So this error is taken back. What is
// left of it is that files are no longer deleted until EnableFileDeletions.
// A soft error (compaction found no space) is cleared by Resume before the next checkpoint.
class BackgroundErrorListener : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override {
    bool is_manifest = reason == rocksdb::BackgroundErrorReason::kManifestWrite ||
                       reason == rocksdb::BackgroundErrorReason::kManifestWriteNoWAL;
    if (is_manifest && error->IsNoSpace()) {
      *error = rocksdb::Status::OK();
      keeps_files_ = true;
    } else if (error->severity() <= rocksdb::Status::Severity::kSoftError) {
      has_soft_error_ = true;
    }
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason reason, rocksdb::Status error,
                            bool* auto_recovery) override {
    error.PermitUncheckedError();
    *auto_recovery = false;
  }

  bool TakeSoftError() { return has_soft_error_.exchange(false); }
  bool TakeKeepsFiles() { return keeps_files_.exchange(false); }

 private:
  std::atomic<bool> has_soft_error_{false};
  std::atomic<bool> keeps_files_{false};
};

namespace {

std::shared_ptr<rocksdb::FileSystem> BaseFiles(const RocksCheckpointOptions& options,
                                               RocksCheckpointStore::Access access) {
  std::shared_ptr<rocksdb::FileSystem> base = options.rocks_file_system == nullptr
                                                  ? rocksdb::FileSystem::Default()
                                                  : options.rocks_file_system;
  if (access == RocksCheckpointStore::Access::kReadWrite) return base;
  return std::make_shared<ReadOnlyFileSystem>(base);
}

}  // namespace

RocksCheckpointStore::RocksCheckpointStore(const RocksCheckpointOptions& options, Access access,
                                           Opening opening)
    : options_(options),
      access_(access),
      opening_(opening),
      rocks_directory_(absl::StrCat(options.directory, "/rocksdb")),
      scratch_directory_(absl::StrCat(options.directory, "/building")),
      copies_(*options.file_system, options.directory),
      files_(std::make_shared<FailStopFileSystem>(BaseFiles(options, access),
                                                  scratch_directory_ + "/")),
      env_(rocksdb::NewCompositeEnv(files_)),
      listener_(std::make_shared<BackgroundErrorListener>()),
      rocks_options_(MakeDbOptions(options, env_.get()), MakeColumnFamilyOptions(options)),
      read_back_pace_(ReadBackRates(options)) {
  CHECK(options.file_system != nullptr && !options.directory.empty());
  CHECK(options.table_bytes > 0 && options.background_threads > 0);
  rocks_options_.listeners.push_back(listener_);
  // Else one table that cannot be opened keeps all of them from being used.
  rocks_options_.paranoid_checks = opening == Opening::kStrict;
}

RocksCheckpointStore::~RocksCheckpointStore() {
  CHECK_MSG(users_ == 0, "checkpoint readers or writers outlive their store");
  {
    MutexLock publish(&publish_mutex_);
    doomed_.clear();
    MutexLock lock(&mutex_);
    partitions_.clear();
  }
  if (headers_ != nullptr) db_->DestroyColumnFamilyHandle(headers_).PermitUncheckedError();
  if (db_ != nullptr) db_->Close().PermitUncheckedError();
}

absl::Status RocksCheckpointStore::Failed(const rocksdb::Status& status,
                                          absl::string_view operation) const {
  if (files_->is_broken() && !status.IsCorruption()) {
    return WithPath(files_->status(), options_.directory);
  }
  return FromRocks(status, operation, options_.directory);
}

std::string RocksCheckpointStore::ScratchPath(absl::string_view name) const {
  return absl::StrCat(scratch_directory_, "/", name);
}

const RocksCheckpointStore::Current* RocksCheckpointStore::FindCurrent(
    PartitionId partition) const {
  auto found = partitions_.find(partition);
  return found == partitions_.end() ? nullptr : &found->second.current;
}

RocksCheckpointStore::Current RocksCheckpointStore::CurrentOf(PartitionId partition) const {
  MutexLock lock(&mutex_);
  const Current* current = FindCurrent(partition);
  return current == nullptr ? Current{} : *current;
}

std::vector<PartitionId> RocksCheckpointStore::Partitions() const {
  std::vector<PartitionId> ids;
  MutexLock lock(&mutex_);
  for (const auto& [id, partition] : partitions_) {
    if (partition.current.header.has_value()) ids.push_back(id);
  }
  return ids;
}

absl::StatusOr<std::optional<CheckpointHeader>> RocksCheckpointStore::Newest(
    PartitionId partition) const {
  return CurrentOf(partition).header;
}

absl::Status RocksCheckpointStore::KnownDamage(PartitionId partition) const {
  MutexLock lock(&mutex_);
  const Current* current = FindCurrent(partition);
  return current == nullptr ? absl::OkStatus() : current->damage;
}

uint64_t RocksCheckpointStore::DiskBytes(PartitionId partition) const {
  std::shared_ptr<Generation> generation;
  {
    MutexLock lock(&mutex_);
    if (const Current* current = FindCurrent(partition)) generation = current->generation;
  }
  uint64_t size_bytes = 0;
  if (generation == nullptr) return 0;
  CHECK(db_->GetIntProperty(generation->handle(), rocksdb::DB::Properties::kLiveSstFilesSize,
                            &size_bytes));
  return size_bytes;
}

uint64_t RocksCheckpointStore::TotalDiskBytes() const {
  uint64_t size_bytes = 0;
  for (const std::string& directory : {rocks_directory_, scratch_directory_}) {
    std::vector<rocksdb::Env::FileAttributes> files;
    // Files vanish meanwhile; a figure that is a little off will do.
    env_->GetChildrenFileAttributes(directory, &files).PermitUncheckedError();
    for (const rocksdb::Env::FileAttributes& file : files) size_bytes += file.size_bytes;
  }
  return size_bytes;
}

absl::StatusOr<std::unique_ptr<CheckpointWriter>> RocksCheckpointStore::BeginWhole(
    PartitionId partition) {
  return Begin(partition, std::nullopt);
}

absl::StatusOr<std::unique_ptr<CheckpointWriter>> RocksCheckpointStore::BeginIncrement(
    PartitionId partition, Position base) {
  return Begin(partition, base);
}

absl::StatusOr<std::unique_ptr<CheckpointWriter>> RocksCheckpointStore::Begin(
    PartitionId id, std::optional<Position> base) {
  if (access_ == Access::kReadOnly) {
    return absl::FailedPreconditionError("these checkpoints are open for reading only");
  }
  MutexLock publish(&publish_mutex_);
  absl::Status status = EnsureWritable();
  if (!status.ok()) return status;
  MutexLock lock(&mutex_);
  Partition& partition = partitions_[id];
  Current& current = partition.current;
  if (partition.has_writer) {
    return absl::FailedPreconditionError(
        absl::StrCat("a checkpoint of partition ", id.value(), " is being written already"));
  }
  if (base.has_value() &&
      (!current.header.has_value() || current.is_lost || current.header->at.position != *base)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the newest checkpoint of partition ", id.value(), " is not at position ", base->value()));
  }
  partition.has_writer = true;
  RecordHome home{
      options_.store, id,
      base.has_value() ? current.generation->home().generation : partition.next_generation++};
  // Also an increment takes a number, for the names of its files.
  uint64_t number = base.has_value() ? partition.next_generation++ : home.generation;
  return std::make_unique<RocksCheckpointWriter>(
      *this, WriterRules(id, base.has_value(), current.header), home,
      base.has_value() ? current.generation : nullptr, absl::StrCat("p", id.value(), "-", number));
}

void RocksCheckpointStore::EndWriter(PartitionId partition) {
  MutexLock lock(&mutex_);
  Partition& state = partitions_[partition];
  CHECK(state.has_writer);
  state.has_writer = false;
}

absl::Status RocksCheckpointStore::EnsureWritable() {
  absl::Status status = files_->status();
  if (!status.ok()) return WithPath(status, options_.directory);
  if (listener_->TakeSoftError()) db_->Resume().PermitUncheckedError();
  return DropDoomed();
}

absl::Status RocksCheckpointStore::DropDoomed() {
  while (!doomed_.empty()) {
    rocksdb::Status dropped = db_->DropColumnFamily(doomed_.back()->handle());
    // InvalidArgument: an attempt before did drop it, and failed only afterwards.
    if (!dropped.ok() && !dropped.IsInvalidArgument()) return Failed(dropped, "drop");
    if (dropped.ok()) ManifestChanged();
    doomed_.pop_back();
  }
  return absl::OkStatus();
}

void RocksCheckpointStore::ManifestChanged() {
  if (listener_->TakeKeepsFiles()) {
    db_->EnableFileDeletions(/*force=*/true).PermitUncheckedError();
  }
}

absl::StatusOr<std::shared_ptr<Generation>> RocksCheckpointStore::CreateFamily(
    const RecordHome& home) {
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  rocksdb::Status created = db_->CreateColumnFamily(rocks_options_, FamilyName(home), &handle);
  std::shared_ptr<Generation> generation;
  if (handle != nullptr) generation = std::make_shared<Generation>(db_.get(), handle, home);
  if (created.ok()) return generation;
  // It may exist although the call failed, when what came after it did.
  if (generation != nullptr) doomed_.push_back(std::move(generation));
  return Failed(created, "create");
}

absl::Status RocksCheckpointStore::Ingest(
    const std::vector<rocksdb::IngestExternalFileArg>& arguments) {
  rocksdb::Status ingested = db_->IngestExternalFiles(arguments);
  if (ingested.ok()) {
    ManifestChanged();
    return absl::OkStatus();
  }
  if (!ingested.IsNoSpace()) files_->Break(absl::StrCat("commit: ", ingested.ToString()));
  return Failed(ingested, "commit");
}

absl::Status RocksCheckpointStore::Publish(Publication publication) {
  MutexLock publish(&publish_mutex_);
  absl::Status status = files_->status();
  if (!status.ok()) return WithPath(status, options_.directory);
  std::shared_ptr<Generation> generation = publication.base;
  if (generation == nullptr) {
    absl::StatusOr<std::shared_ptr<Generation>> created = CreateFamily(publication.home);
    if (!created.ok()) return created.status();
    generation = *std::move(created);
  }
  FAIL_POINT("checkpoint.before_ingest");
  std::vector<rocksdb::IngestExternalFileArg> arguments(1);
  arguments[0].column_family = headers_;
  arguments[0].external_files = {publication.header_table};
  arguments[0].options = MakeIngestOptions();
  if (!publication.tables.empty()) {
    arguments.push_back(arguments[0]);
    arguments[1].column_family = generation->handle();
    arguments[1].external_files = publication.tables;
  }
  if (PLANTED_BUG("checkpoint_header_before_records") && arguments.size() == 2) {
    status = Ingest({arguments[0]});
    FAIL_POINT("checkpoint.between_ingestions");
    if (status.ok()) status = Ingest({arguments[1]});
  } else {
    status = Ingest(arguments);
  }
  if (!status.ok()) {
    if (publication.base == nullptr) doomed_.push_back(std::move(generation));
    return status;
  }
  FAIL_POINT("checkpoint.after_ingest");
  {
    MutexLock lock(&mutex_);
    Current& current = partitions_[publication.home.partition].current;
    current.generation.swap(generation);
    current.header = publication.header;
    current.damage = absl::OkStatus();
    current.is_lost = false;
  }
  copies_.Write({options_.store, publication.home.generation, std::move(publication.header)});
  if (publication.base == nullptr && generation != nullptr) {
    doomed_.push_back(std::move(generation));
  }
  generation.reset();
  // The checkpoint stands whatever becomes of this; Begin tries again.
  DropDoomed().IgnoreError();
  FAIL_POINT("checkpoint.after_drop");
  return absl::OkStatus();
}

absl::Status RocksCheckpointStore::BuildRow(const std::string& path, absl::string_view key,
                                            absl::string_view value) const {
  rocksdb::SstFileWriter table(rocksdb::EnvOptions(rocks_options_), rocks_options_);
  rocksdb::Status status = table.Open(path);
  if (status.ok()) {
    status = table.Put(rocksdb::Slice(key.data(), key.size()),
                       rocksdb::Slice(value.data(), value.size()));
  }
  if (status.ok()) status = table.Finish();
  if (!status.ok()) return Failed(status, "write");
  TableContent content;
  content.AddRow(key, value);
  return ReadBack(path, content);
}

absl::Status RocksCheckpointStore::ReadBack(const std::string& path,
                                            const TableContent& content) const {
  if (PLANTED_BUG("checkpoint_not_read_back")) return absl::OkStatus();
  return content.CompareWith(path, rocks_options_, MakeReadBackOptions(options_), read_back_pace_);
}

absl::Status RocksCheckpointStore::WriteIdentity(absl::string_view key) {
  std::string path = ScratchPath("identity.sst");
  absl::Status status = BuildRow(path, key, EncodeIdentity(options_.store));
  if (!status.ok()) return status;
  rocksdb::IngestExternalFileArg argument;
  argument.column_family = headers_;
  argument.external_files = {path};
  argument.options = MakeIngestOptions();
  return Ingest({argument});
}

}  // namespace tidemark::kvstore

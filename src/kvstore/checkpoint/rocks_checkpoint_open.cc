// Opening: whose directory it is, what it holds, and what a crash left unfinished.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "src/base/log.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_impl.h"
#include "src/kvstore/checkpoint/rocks_options.h"
#include "src/kvstore/checkpoint/rocks_status.h"

namespace tidemark::kvstore {
namespace {

constexpr char kIdentityKey[] = "store";
constexpr char kHeaderKeyPrefix[] = "partition";

// "p<partition>-<generation>"
std::optional<RecordHome> ParseFamilyName(absl::string_view name) {
  RecordHome home;
  uint32_t partition = 0;
  std::vector<absl::string_view> parts = absl::StrSplit(name, '-');
  if (parts.size() != 2 || !absl::ConsumePrefix(&parts[0], "p") ||
      !absl::SimpleAtoi(parts[0], &partition) || !absl::SimpleAtoi(parts[1], &home.generation)) {
    return std::nullopt;
  }
  home.partition = PartitionId(partition);
  return home;
}

using Access = RocksCheckpointStore::Access;
using Opening = RocksCheckpointStore::Opening;

// For whoever wants to find out what was in them.
absl::Status SetAside(const RocksCheckpointOptions& options, std::string* where) {
  FileSystem& files = *options.file_system;
  auto lock = files.Lock(absl::StrCat(options.directory, "/LOCK"));
  if (!lock.ok()) return WithPath(lock.status(), options.directory);
  int number = 1;
  do {
    *where = absl::StrCat(options.directory, "/damaged-", number++);
  } while (files.Exists(*where));
  absl::Status status = files.Rename(absl::StrCat(options.directory, "/rocksdb"), *where);
  if (status.ok()) status = files.SyncDirectory(options.directory);
  return WithPath(status, options.directory);
}

}  // namespace

std::string FamilyName(const RecordHome& home) {
  return absl::StrFormat("p%u-%010u", home.partition.value(), home.generation);
}

std::string HeaderKey(PartitionId partition) {
  std::string key = kHeaderKeyPrefix;
  for (int shift = 24; shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>(partition.value() >> shift & 0xff));
  }
  return key;
}

absl::StatusOr<std::unique_ptr<CheckpointStore>> OpenRocksCheckpointStore(
    const RocksCheckpointOptions& options) {
  auto store =
      std::make_unique<RocksCheckpointStore>(options, Access::kReadWrite, Opening::kStrict);
  const absl::Status damage = store->Open();
  if (damage.ok()) return store;
  store.reset();
  if (!absl::IsDataLoss(damage)) return damage;
  store = std::make_unique<RocksCheckpointStore>(options, Access::kReadWrite, Opening::kTolerant);
  absl::Status status = store->Open();
  if (status.ok()) return store;
  store.reset();
  if (!absl::IsDataLoss(status)) return status;
  const HeaderCopies copies(*options.file_system, options.directory);
  if (!options.may_begin_anew && copies.Load(options.store).empty()) return damage;
  std::string where;
  status = SetAside(options, &where);
  if (!status.ok()) return status;
  TLOG(kWarn, "checkpoints that cannot be opened were set aside",
       {{"moved-to", where}, {"reason", damage.message()}});
  store = std::make_unique<RocksCheckpointStore>(options, Access::kReadWrite, Opening::kStrict);
  status = store->Open();
  if (!status.ok()) return status;
  return store;
}

absl::StatusOr<std::unique_ptr<CheckpointStore>> OpenRocksCheckpointStoreReadOnly(
    const RocksCheckpointOptions& options, uint64_t* store) {
  auto opened =
      std::make_unique<RocksCheckpointStore>(options, Access::kReadOnly, Opening::kStrict);
  const absl::Status damage = opened->OpenReadOnly(store);
  if (damage.ok()) return opened;
  opened.reset();
  if (!absl::IsDataLoss(damage)) return damage;
  opened = std::make_unique<RocksCheckpointStore>(options, Access::kReadOnly, Opening::kTolerant);
  if (opened->OpenReadOnly(store).ok()) return opened;
  return damage;
}

absl::Status RocksCheckpointStore::Open() {
  absl::Status status = PrepareDirectories();
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<std::string>> names = ListFamilies();
  if (!names.ok()) return names.status();
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  status = OpenDb(*names, &handles);
  if (!status.ok()) return status;
  Families families;
  status = TakeFamilies(handles, &families);
  if (status.ok() && opening_ == Opening::kTolerant) status = TryTables(headers_);
  if (status.ok()) status = CheckIdentity(families.empty());
  if (status.ok()) status = LoadHeaders(&families);
  if (status.ok()) LookForDamage();
  if (status.ok()) CompareWithCopies();
  if (status.ok()) status = DropOrphans(std::move(families));
  return status;
}

// The same without what changes anything; a start drops the orphans.
absl::Status RocksCheckpointStore::OpenReadOnly(uint64_t* store) {
  *store = 0;
  absl::StatusOr<std::vector<std::string>> names = ListFamilies();
  if (!names.ok()) return names.status();
  if (rocks_options_.create_if_missing) {
    return absl::NotFoundError(absl::StrCat(rocks_directory_, " holds no database"));
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  absl::Status status = OpenDb(*names, &handles);
  if (!status.ok()) return status;
  std::string value;
  if (db_->Get(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), kIdentityKey, &value).ok()) {
    *store = DecodeIdentity(value).value_or(0);
  }
  if (options_.store == kAnyCheckpointStore) options_.store = *store;
  Families families;
  status = TakeFamilies(handles, &families);
  if (status.ok() && opening_ == Opening::kTolerant) status = TryTables(headers_);
  if (status.ok()) status = CheckIdentity(families.empty());
  if (status.ok()) status = LoadHeaders(&families);
  if (status.ok()) LookForDamage();
  if (status.ok()) CompareWithCopies();
  return status;
}

absl::Status RocksCheckpointStore::PrepareDirectories() {
  FileSystem& files = *options_.file_system;
  for (const std::string& path : {rocks_directory_, scratch_directory_}) {
    absl::Status status = files.CreateDirectories(path);
    if (!status.ok()) return WithPath(status, options_.directory);
  }
  absl::StatusOr<std::unique_ptr<FileLock>> lock =
      files.Lock(absl::StrCat(options_.directory, "/LOCK"));
  if (!lock.ok()) return WithPath(lock.status(), options_.directory);
  lock_ = *std::move(lock);
  absl::StatusOr<std::vector<std::string>> leftovers = files.List(scratch_directory_);
  if (!leftovers.ok()) return WithPath(leftovers.status(), options_.directory);
  for (const std::string& name : *leftovers) {
    absl::Status status = files.Remove(ScratchPath(name));
    if (!status.ok()) return WithPath(status, options_.directory);
  }
  return absl::OkStatus();
}

// Only the default one for a database that is to be created.
absl::StatusOr<std::vector<std::string>> RocksCheckpointStore::ListFamilies() {
  absl::StatusOr<std::vector<std::string>> files = options_.file_system->List(rocks_directory_);
  if (!files.ok()) return WithPath(files.status(), options_.directory);
  bool has_tables = false;
  for (const std::string& name : *files) {
    if (name == "CURRENT") {
      std::vector<std::string> names;
      rocksdb::Status listed =
          rocksdb::DB::ListColumnFamilies(rocks_options_, rocks_directory_, &names);
      if (!listed.ok()) return Failed(listed, "open");
      return names;
    }
    has_tables |= absl::EndsWith(name, ".sst");
  }
  // The identity is a table: without any, the directory was never completely set up.
  if (has_tables) return DamageError("there are tables, but no file CURRENT", rocks_directory_);
  rocks_options_.create_if_missing = true;
  return std::vector<std::string>{rocksdb::kDefaultColumnFamilyName};
}

absl::Status RocksCheckpointStore::OpenDb(const std::vector<std::string>& names,
                                          std::vector<rocksdb::ColumnFamilyHandle*>* handles) {
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  descriptors.reserve(names.size());
  for (const std::string& name : names) descriptors.emplace_back(name, rocks_options_);
  rocksdb::DB* db = nullptr;
  rocksdb::Status opened =
      access_ == Access::kReadOnly
          ? rocksdb::DB::OpenForReadOnly(rocks_options_, rocks_directory_, descriptors, handles,
                                         &db)
          : rocksdb::DB::Open(rocks_options_, rocks_directory_, descriptors, handles, &db);
  if (!opened.ok()) return Failed(opened, "open");
  db_.reset(db);
  return absl::OkStatus();
}

absl::Status RocksCheckpointStore::TakeFamilies(
    const std::vector<rocksdb::ColumnFamilyHandle*>& handles, Families* families) {
  absl::Status status;
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    if (handle->GetName() == rocksdb::kDefaultColumnFamilyName) {
      headers_ = handle;
      continue;
    }
    RecordHome home = ParseFamilyName(handle->GetName()).value_or(RecordHome{});
    if (home.generation == 0) {
      status = absl::FailedPreconditionError(absl::StrCat(
          options_.directory, " holds a RocksDB database with a column family named \"",
          handle->GetName(), "\", which is not Tidemark's: use another directory"));
    }
    home.store = options_.store;
    (*families)[handle->GetName()] = std::make_shared<Generation>(db_.get(), handle, home);
    MutexLock lock(&mutex_);
    uint64_t& next = partitions_[home.partition].next_generation;
    next = std::max(next, home.generation + 1);
  }
  return status;
}

absl::Status RocksCheckpointStore::CheckIdentity(bool has_no_families) {
  std::string value;
  rocksdb::Status found = db_->Get(rocksdb::ReadOptions(), headers_, kIdentityKey, &value);
  if (found.IsNotFound()) {
    std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator(rocksdb::ReadOptions(), headers_));
    rows->SeekToFirst();
    if (!rows->status().ok()) return Failed(rows->status(), "read");
    if (rows->Valid() || !has_no_families) {
      return absl::FailedPreconditionError(
          absl::StrCat(options_.directory,
                       " holds a RocksDB database without Tidemark's identity: use another "
                       "directory, or restore this one from a copy"));
    }
    if (access_ == Access::kReadOnly) {
      return absl::NotFoundError(absl::StrCat(rocks_directory_, " is not completely set up"));
    }
    return WriteIdentity(kIdentityKey);
  }
  if (!found.ok()) return Failed(found, "read");
  absl::StatusOr<uint64_t> store = DecodeIdentity(value);
  if (!store.ok()) return WithPath(store.status(), options_.directory);
  if (*store != options_.store) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "checkpoints in %s belong to the journal %016x, this is the journal %016x: journal and "
        "checkpoints were taken from different places. Put back the pair that belongs together",
        options_.directory, *store, options_.store));
  }
  return absl::OkStatus();
}

absl::Status RocksCheckpointStore::LoadHeaders(Families* families) {
  rocksdb::ReadOptions read;
  std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator(read, headers_));
  for (rows->SeekToFirst(); rows->Valid(); rows->Next()) {
    absl::string_view key(rows->key().data(), rows->key().size());
    if (key == kIdentityKey) continue;
    absl::StatusOr<StoredHeader> stored =
        DecodeHeader(absl::string_view(rows->value().data(), rows->value().size()));
    if (!stored.ok()) return WithPath(stored.status(), options_.directory);
    if (key != HeaderKey(stored->header.partition)) {
      return DamageError("a header has the key of another", options_.directory);
    }
    absl::Status status = UseHeader(*stored, families);
    if (!status.ok()) return status;
  }
  if (!rows->status().ok()) return Failed(rows->status(), "read");
  return absl::OkStatus();
}

absl::Status RocksCheckpointStore::UseHeader(const StoredHeader& stored, Families* families) {
  RecordHome home{stored.store, stored.header.partition, stored.generation};
  auto family = families->find(FamilyName(home));
  if (stored.store != options_.store || family == families->end()) {
    return DamageError(absl::StrCat("the records of partition ", home.partition.value(),
                                    ", generation ", home.generation, " are missing"),
                       options_.directory);
  }
  MutexLock lock(&mutex_);
  partitions_[home.partition].current = {family->second, stored.header};
  families->erase(family);
  return absl::OkStatus();
}

// Of the tables that a tolerant opening left alone.
void RocksCheckpointStore::LookForDamage() {
  if (opening_ == Opening::kStrict) return;
  MutexLock lock(&mutex_);
  for (auto& [id, partition] : partitions_) {
    if (!partition.current.header.has_value()) continue;
    partition.current.damage = TryTables(partition.current.generation->handle());
    if (partition.current.damage.ok()) continue;
    TLOG(kWarn, "a checkpoint is damaged",
         {{"partition", id.value()},
          {"position", partition.current.header->at.position.value()},
          {"reason", partition.current.damage.message()}});
  }
}

// What the database should have, and has not: it was set aside, or its manifest lost its end.
void RocksCheckpointStore::CompareWithCopies() {
  for (StoredHeader& copy : copies_.Load(options_.store)) {
    const PartitionId id = copy.header.partition;
    MutexLock lock(&mutex_);
    Partition& partition = partitions_[id];
    partition.next_generation = std::max(partition.next_generation, copy.generation + 1);
    Current& current = partition.current;
    if (current.header.has_value() && current.header->at.position >= copy.header.at.position) {
      continue;
    }
    current.damage = DamageError(
        absl::StrCat("the newest checkpoint of partition ", id.value(), ", at position ",
                     copy.header.at.position.value(), ", is not in the database any more"),
        options_.directory);
    current.header = std::move(copy.header);
    current.is_lost = true;
    TLOG(kWarn, "a checkpoint is lost, but for its header",
         {{"partition", id.value()}, {"reason", current.damage.message()}});
  }
}

// Seeks into each: an iterator of RocksDB 7.8.3 that moves on to a table and cannot open it may
// leave it out, and all that are behind it, without an error.
absl::Status RocksCheckpointStore::TryTables(rocksdb::ColumnFamilyHandle* handle) const {
  rocksdb::ColumnFamilyMetaData family;
  db_->GetColumnFamilyMetaData(handle, &family);
  std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator(MakeReadOptions(options_), handle));
  for (const rocksdb::LevelMetaData& level : family.levels) {
    for (const rocksdb::SstFileMetaData& table : level.files) {
      rows->Seek(table.smallestkey);
      if (!rows->status().ok()) return Failed(rows->status(), "open");
    }
  }
  return absl::OkStatus();
}

absl::Status RocksCheckpointStore::DropOrphans(Families families) {
  MutexLock lock(&publish_mutex_);
  for (auto& [name, family] : families) doomed_.push_back(std::move(family));
  absl::Status status = DropDoomed();
  // A full disk is no reason not to start: reading works, and Begin tries again.
  return absl::IsResourceExhausted(status) ? absl::OkStatus() : status;
}

}  // namespace tidemark::kvstore

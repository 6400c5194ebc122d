// What only the store on RocksDB has: other people's directories, damage at rest, real full disks.
#include <sys/mount.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "rocksdb/table.h"
#include "src/base/crc32c.h"
#include "src/base/failpoint.h"
#include "src/base/little_endian.h"
#include "src/base/posix_file_system.h"
#include "src/base/temporary_directory.h"
#include "src/kvstore/checkpoint/checkpoint_images_for_test.h"
#include "src/kvstore/checkpoint/fault_file_system_for_test.h"
#include "src/kvstore/checkpoint/record_codec.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_store.h"
#include "tests/sim/env/seeded_random.h"

namespace tidemark::kvstore {
namespace {

constexpr PartitionId kPods{3};
constexpr PartitionId kNodes{1};
constexpr uint64_t kStore = 7;

class RocksCheckpointStoreTest : public ::testing::Test {
 protected:
  RocksCheckpointOptions Options() {
    RocksCheckpointOptions options;
    options.directory = path_ + "/checkpoints";
    options.store = kStore;
    options.file_system = &files_;
    options.table_bytes = table_bytes_;
    options.rocks_file_system = rocks_files_;
    options.may_begin_anew = may_begin_anew_;
    return options;
  }
  absl::StatusOr<std::unique_ptr<CheckpointStore>> TryOpen() {
    return OpenRocksCheckpointStore(Options());
  }
  void Open() {
    store_.reset();
    auto store = TryOpen();
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  std::string RocksPath() { return Options().directory + "/rocksdb"; }

  CheckpointImage Filled(PartitionId partition) {
    CheckpointImage image = EmptyImage(partition);
    while (image.versions.size() < 20) image = NextImage(random_, image);
    return image;
  }
  void ExpectStored(const CheckpointImage& image) {
    auto found = ReadAll(*store_, image.header.partition);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_TRUE(*found == image);
  }
  void ExpectRefused(absl::string_view words) {
    store_.reset();
    absl::Status status = TryOpen().status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), words)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), Options().directory)) << status;
  }

  void RemoveCopies() {
    for (const auto& entry : std::filesystem::directory_iterator(Options().directory)) {
      if (absl::StartsWith(entry.path().filename().string(), "header-p")) {
        std::filesystem::remove(entry.path());
      }
    }
  }

  // RocksDB itself on the directory, past the store.
  void WithRocks(const std::function<void(rocksdb::DB&)>& body) {
    store_.reset();
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::BlockBasedTableOptions table;
    table.checksum = rocksdb::kCRC32c;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    std::filesystem::create_directories(RocksPath());
    std::vector<std::string> names;
    if (!rocksdb::DB::ListColumnFamilies(options, RocksPath(), &names).ok()) names = {"default"};
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const std::string& name : names) families.emplace_back(name, options);
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    rocksdb::Status opened = rocksdb::DB::Open(options, RocksPath(), families, &handles, &db);
    ASSERT_TRUE(opened.ok()) << opened.ToString();
    body(*db);
    ASSERT_TRUE(db->Flush(rocksdb::FlushOptions()).ok());
    for (rocksdb::ColumnFamilyHandle* handle : handles) {
      ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    }
    delete db;
  }
  void PutRow(absl::string_view key, absl::string_view value) {
    WithRocks([&](rocksdb::DB& db) {
      ASSERT_TRUE(db.Put(rocksdb::WriteOptions(), rocksdb::Slice(key.data(), key.size()),
                         rocksdb::Slice(value.data(), value.size()))
                      .ok());
    });
  }
  static std::string OfNextVersion(std::string bytes) {
    StoreLittle<uint32_t>(bytes.data() + 4, kCheckpointFormatVersion + 1);
    bytes.resize(bytes.size() - 4);
    AppendLittle<uint32_t>(&bytes, Crc32c(bytes));
    return bytes;
  }

  TemporaryDirectory directory_{std::filesystem::current_path().string()};
  std::string path_ = directory_.path();
  PosixFileSystem files_;
  uint64_t table_bytes_ = 2048;
  std::shared_ptr<rocksdb::FileSystem> rocks_files_;
  bool may_begin_anew_ = false;
  sim::SeededRandom random_{23};
  std::unique_ptr<CheckpointStore> store_;
};

TEST_F(RocksCheckpointStoreTest, AnotherJournalsCheckpointsAreRefused) {
  Open();
  ASSERT_TRUE(WriteWhole(*store_, Filled(kPods)).ok());
  store_.reset();
  RocksCheckpointOptions options = Options();
  options.store = 8;
  absl::Status status = OpenRocksCheckpointStore(options).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "0000000000000007")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "belongs together")) << status;
}

TEST_F(RocksCheckpointStoreTest, OnlyOneProcess) {
  Open();
  absl::Status status = TryOpen().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_F(RocksCheckpointStoreTest, ForeignDatabasesAreRefused) {
  PutRow("somebody's", "data");
  ExpectRefused("without Tidemark's identity");
  WithRocks([](rocksdb::DB& db) {
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    ASSERT_TRUE(db.CreateColumnFamily({}, "accounts", &handle).ok());
    ASSERT_TRUE(db.DestroyColumnFamilyHandle(handle).ok());
  });
  ExpectRefused("\"accounts\"");
}

TEST_F(RocksCheckpointStoreTest, NewerFormatsAreRefused) {
  Open();
  CheckpointImage pods = Filled(kPods);
  ASSERT_TRUE(WriteWhole(*store_, pods).ok());
  std::string key("partition\0\0\0\3", 13);
  PutRow(key, OfNextVersion(EncodeHeader({kStore, 1, pods.header})));
  ExpectRefused("start the newer tidemark");
  PutRow(key, EncodeHeader({kStore, 1, pods.header}));
  Open();
  ExpectStored(pods);
  PutRow("store", OfNextVersion(EncodeIdentity(kStore)));
  ExpectRefused("start the newer tidemark");
}

TEST_F(RocksCheckpointStoreTest, HeadersThatFitNothingAreDamage) {
  Open();
  CheckpointImage pods = Filled(kPods);
  ASSERT_TRUE(WriteWhole(*store_, pods).ok());
  std::string key("partition\0\0\0\3", 13);
  for (const StoredHeader& wrong :
       {StoredHeader{kStore, 2, pods.header}, StoredHeader{kStore + 1, 1, pods.header},
        StoredHeader{kStore, 1, Filled(kNodes).header}}) {
    PutRow(key, EncodeHeader(wrong));
    RemoveCopies();
    EXPECT_TRUE(absl::IsDataLoss(TryOpen().status())) << TryOpen().status();
  }
}

TEST_F(RocksCheckpointStoreTest, LeftoversAreRemovedAtOpen) {
  Open();
  CheckpointImage first = Filled(kPods);
  ASSERT_TRUE(WriteWhole(*store_, first).ok());
  CheckpointImage second = NextImage(random_, first);
  struct Cut {};
  failpoint::SetHandler([](absl::string_view point) {
    if (point == "checkpoint.before_ingest") throw Cut();
  });
  EXPECT_THROW(WriteWhole(*store_, second).IgnoreError(), Cut);
  failpoint::ClearHandler();
  store_.reset();
  std::ofstream(Options().directory + "/building/p3-9-1.sst") << "half a table";
  std::vector<std::string> families;
  ASSERT_TRUE(rocksdb::DB::ListColumnFamilies(rocksdb::DBOptions(), RocksPath(), &families).ok());
  EXPECT_EQ(families.size(), 3u);
  Open();
  ExpectStored(first);
  EXPECT_TRUE(std::filesystem::is_empty(Options().directory + "/building"));
  ASSERT_TRUE(WriteWhole(*store_, second).ok());
  ExpectStored(second);
  store_.reset();
  families.clear();
  ASSERT_TRUE(rocksdb::DB::ListColumnFamilies(rocksdb::DBOptions(), RocksPath(), &families).ok());
  EXPECT_EQ(families.size(), 2u);
}

TEST_F(RocksCheckpointStoreTest, WholeCheckpointsGiveSpaceBack) {
  table_bytes_ = 1 << 20;
  Open();
  CheckpointImage image = EmptyImage(kPods);
  for (int64_t main = 2; main < 300; ++main) {
    image.versions[{Revision(main), 0}] = {false, std::string(3000, 'v')};
  }
  image.header.at.revision = Revision(300);
  image.Count();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(WriteWhole(*store_, image).ok());
  EXPECT_LT(store_->DiskBytes(kPods), image.header.record_bytes * 11 / 10);
  EXPECT_LT(store_->TotalDiskBytes(), image.header.record_bytes * 12 / 10);
  // Removed by increments, the bytes stay until the next whole one.
  CheckpointImage next = image;
  next.versions.clear();
  next.header.at.position = next.header.at.position.Next();
  next.Count();
  ASSERT_TRUE(WriteIncrement(*store_, image, next).ok());
  EXPECT_GT(store_->DiskBytes(kPods), image.header.record_bytes);
  ASSERT_TRUE(WriteWhole(*store_, next).ok());
  EXPECT_EQ(store_->DiskBytes(kPods), 0u);
  EXPECT_LT(store_->TotalDiskBytes(), 200000u);
}

// Whoever reads a part reserves a segment of memory for it, so a start would need far more than the
// data takes.
TEST_F(RocksCheckpointStoreTest, ManySmallIncrementsAreOnePartTogether) {
  Open();
  CheckpointImage image = Filled(kPods);
  ASSERT_TRUE(WriteWhole(*store_, image).ok());
  for (int i = 0; i < 20; ++i) {
    CheckpointImage next = NextImage(random_, image);
    ASSERT_TRUE(WriteIncrement(*store_, image, next).ok());
    image = std::move(next);
  }
  EXPECT_EQ(store_->Cut(kPods, 64).size(), 1u);
}

TEST_F(RocksCheckpointStoreTest, CompressionIsRead) {
  for (auto compression :
       {RocksCheckpointOptions::Compression::kLz4, RocksCheckpointOptions::Compression::kZstd}) {
    std::filesystem::remove_all(Options().directory);
    RocksCheckpointOptions options = Options();
    options.compression = compression;
    options.table_bytes = 1 << 20;
    CheckpointImage image = EmptyImage(kPods);
    image.header.at.revision = Revision(100);
    for (int64_t main = 2; main < 100; ++main) {
      image.versions[{Revision(main), 0}] = {false, std::string(3000, 'v')};
    }
    image.Count();
    store_ = *OpenRocksCheckpointStore(options);
    ASSERT_TRUE(WriteWhole(*store_, image).ok());
    EXPECT_LT(store_->DiskBytes(kPods), image.header.record_bytes / 5);
    Open();  // without compression
    ExpectStored(image);
    store_.reset();
  }
}

// Every kind of file, flipped, cut and removed: right, or DataLoss. In memory where there is a
// tmpfs: nothing here is about crashes, and hundreds of openings would wait for the disk.
class DamageTest : public RocksCheckpointStoreTest {
 protected:
  using Files = std::map<std::string, std::string>;

  DamageTest() {
    path_ = in_memory_.path();
    std::filesystem::create_directories(path_ + "/keep");
    rocks_files_ = std::make_shared<FaultFileSystem>(path_ + "/keep");  // does not sync: quick
  }

  void MakeFiles() {
    Open();
    images_[kNodes] = {Filled(kNodes)};
    images_[kPods] = {Filled(kPods)};
    ASSERT_TRUE(WriteWhole(*store_, images_[kNodes][0]).ok());
    ASSERT_TRUE(WriteWhole(*store_, images_[kPods][0]).ok());
    images_[kPods].push_back(NextImage(random_, images_[kPods][0]));
    ASSERT_TRUE(WriteIncrement(*store_, images_[kPods][0], images_[kPods][1]).ok());
    store_.reset();
    for (const auto& entry : std::filesystem::directory_iterator(RocksPath())) {
      std::string name = entry.path().filename();
      if (absl::StartsWith(name, "LO")) continue;  // LOCK, LOG: not read
      std::ifstream in(entry.path(), std::ios::binary);
      files_at_rest_[name] = {std::istreambuf_iterator<char>(in), {}};
    }
  }
  void WriteFiles(const Files& files) {
    store_.reset();
    std::filesystem::remove_all(Options().directory);
    std::filesystem::remove_all(path_ + "/keep");
    std::filesystem::create_directories(path_ + "/keep");
    rocks_files_ = std::make_shared<FaultFileSystem>(path_ + "/keep");
    std::filesystem::create_directories(RocksPath());
    for (const auto& [name, content] : files) {
      std::ofstream(RocksPath() + "/" + name, std::ios::binary) << content;
    }
  }

  // Whether the newest of everything was served. `may_be_older`: something committed before will
  // do; the journal knows (docs/checkpoint-format.md, weaknesses).
  bool ExpectRightOrDataLoss(const Files& files, const std::string& what, bool may_be_older) {
    WriteFiles(files);
    auto opened = TryOpen();
    if (!opened.ok()) {
      ExpectDataLoss(opened.status(), what);
      return false;
    }
    store_ = *std::move(opened);
    bool is_complete = true;
    for (const auto& [partition, versions] : images_) {
      auto found = ReadAll(*store_, partition);
      if (!found.ok()) {
        if (!(may_be_older && absl::IsNotFound(found.status()))) {
          ExpectDataLoss(found.status(), what);
        }
        is_complete = false;
        continue;
      }
      if (*found == versions.back()) continue;
      is_complete = false;
      EXPECT_TRUE(may_be_older && std::ranges::count(versions, *found) == 1) << what;
    }
    return is_complete;
  }
  ~DamageTest() override { store_.reset(); }

  void ExpectLost(const CheckpointHeader& header) {
    EXPECT_TRUE(**store_->Newest(header.partition) == header);
    ExpectDataLoss(store_->KnownDamage(header.partition), "known");
    ExpectDataLoss(ReadAll(*store_, header.partition).status(), "read");
  }
  void ExpectDataLoss(const absl::Status& status, const std::string& what) {
    EXPECT_TRUE(absl::IsDataLoss(status)) << what << ": " << status;
    EXPECT_TRUE(absl::StrContains(status.message(), Options().directory)) << what << ": " << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "Restore")) << what << ": " << status;
  }

  TemporaryDirectory in_memory_{
      std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::current_path().string()};
  Files files_at_rest_;
  std::map<PartitionId, std::vector<CheckpointImage>> images_;
};

TEST_F(DamageTest, FlippedBits) {
  MakeFiles();
  ASSERT_TRUE(ExpectRightOrDataLoss(files_at_rest_, "undamaged", false));
  std::map<std::string, int> refused;  // by kind of file
  for (const auto& [name, content] : files_at_rest_) {
    std::string kind = absl::StrContains(name, ".sst") ? "SST" : name.substr(0, name.find('-'));
    size_t step = kind == "CURRENT" ? 1 : 1 + content.size() / 25;
    for (size_t at = 0; at < content.size() && !HasFailure(); at += 1 + random_.Next() % step) {
      Files files = files_at_rest_;
      char& byte = files[name][at];
      byte = static_cast<char>(byte ^ (1 << random_.Next() % 8));
      if (!ExpectRightOrDataLoss(files, absl::StrCat(name, " flipped at ", at), false)) {
        ++refused[kind];
      }
    }
  }
  for (const char* kind : {"SST", "MANIFEST", "CURRENT"}) EXPECT_GT(refused[kind], 10) << kind;
}

TEST_F(DamageTest, CutFiles) {
  MakeFiles();
  std::map<std::string, int> refused;
  for (const auto& [name, content] : files_at_rest_) {
    std::string kind = absl::StrContains(name, ".sst") ? "SST" : name.substr(0, name.find('-'));
    size_t step = kind == "CURRENT" ? 1 : 1 + content.size() / 12;
    for (size_t size = 0; size < content.size() && !HasFailure();
         size += 1 + random_.Next() % step) {
      Files files = files_at_rest_;
      files[name].resize(size);
      if (!ExpectRightOrDataLoss(files, absl::StrCat(name, " cut to ", size), kind == "MANIFEST")) {
        ++refused[kind];
      }
    }
  }
  for (const char* kind : {"SST", "MANIFEST", "CURRENT"}) EXPECT_GT(refused[kind], 5) << kind;
}

TEST_F(DamageTest, RemovedFiles) {
  MakeFiles();
  int refused = 0;
  for (const auto& [name, content] : files_at_rest_) {
    Files files = files_at_rest_;
    files.erase(name);
    bool is_complete = ExpectRightOrDataLoss(files, name + " removed", false);
    EXPECT_EQ(is_complete, absl::StartsWith(name, "OPTIONS") || name == "IDENTITY" ||
                               absl::EndsWith(name, ".log"))
        << name;
    if (!is_complete) ++refused;
  }
  EXPECT_GT(refused, 5);
}

TEST_F(DamageTest, SwappedTables) {
  MakeFiles();
  std::vector<std::string> tables;
  for (const auto& [name, content] : files_at_rest_) {
    if (absl::EndsWith(name, ".sst")) tables.push_back(name);
  }
  ASSERT_GT(tables.size(), 4u);
  for (size_t i = 0; i + 1 < tables.size(); ++i) {
    Files files = files_at_rest_;
    std::swap(files[tables[i]], files[tables[i + 1]]);
    EXPECT_FALSE(ExpectRightOrDataLoss(files, tables[i] + " swapped with the next", false));
  }
}

TEST_F(DamageTest, ATableOfRecordsHarmsItsPartitionOnly) {
  MakeFiles();
  int of_records = 0;
  for (const auto& [name, content] : files_at_rest_) {
    if (!absl::EndsWith(name, ".sst")) continue;
    SCOPED_TRACE(name);
    Files files = files_at_rest_;
    files[name].resize(content.size() / 2);
    WriteFiles(files);
    auto opened = TryOpen();
    if (!opened.ok()) continue;  // headers were in it
    store_ = *std::move(opened);
    ++of_records;
    const PartitionId damaged = store_->KnownDamage(kNodes).ok() ? kPods : kNodes;
    const PartitionId other = damaged == kPods ? kNodes : kPods;
    ExpectDataLoss(store_->KnownDamage(damaged), "known");
    ExpectDataLoss(ReadAll(*store_, damaged).status(), "read");
    EXPECT_EQ((*store_->Newest(damaged))->at.position, images_[damaged].back().header.at.position);
    EXPECT_TRUE(store_->KnownDamage(other).ok());
    ExpectStored(images_[other].back());
    // The next ones replace it, and nothing of it is left.
    const CheckpointImage next = NextImage(random_, images_[damaged].back());
    ASSERT_TRUE(WriteWhole(*store_, next).ok());
    EXPECT_TRUE(store_->KnownDamage(damaged).ok());
    const CheckpointImage more = NextImage(random_, next);
    ASSERT_TRUE(WriteIncrement(*store_, next, more).ok());
    Open();
    EXPECT_TRUE(store_->KnownDamage(damaged).ok());
    ExpectStored(more);
    ExpectStored(images_[other].back());
  }
  EXPECT_GT(of_records, 3);
}

TEST_F(DamageTest, WhatCannotBeOpenedIsSetAside) {
  MakeFiles();
  files_at_rest_["CURRENT"] = "MANIFEST-999999\n";
  const CheckpointImage last = images_[kPods].back();
  for (int round = 1; round <= 2; ++round) {
    const bool has_copies = round == 1;
    store_.reset();
    if (!has_copies) RemoveCopies();
    std::filesystem::remove_all(RocksPath());
    std::filesystem::create_directories(RocksPath());
    for (const auto& [name, content] : files_at_rest_) {
      std::ofstream(RocksPath() + "/" + name, std::ios::binary) << content;
    }
    if (!has_copies) ExpectDataLoss(TryOpen().status(), "nothing is known of it");
    may_begin_anew_ = !has_copies;
    Open();
    const std::string aside = absl::StrCat(Options().directory, "/damaged-", round);
    EXPECT_EQ(std::filesystem::file_size(aside + "/CURRENT"), files_at_rest_["CURRENT"].size());
    EXPECT_EQ(store_->Partitions().size(), has_copies ? 2u : 0u);
    if (has_copies) ExpectLost(last.header);
    ASSERT_TRUE(WriteWhole(*store_, NextImage(random_, last)).ok());
    EXPECT_TRUE(store_->KnownDamage(kPods).ok());
    Open();
    EXPECT_TRUE(store_->KnownDamage(kPods).ok());
    if (has_copies) ExpectLost(images_[kNodes].back().header);
  }
}

// As a manifest that lost its end: RocksDB opens what was before.
TEST_F(DamageTest, AnOlderStateOfTheDatabaseIsNoticed) {
  Open();
  const CheckpointImage before = Filled(kPods);
  ASSERT_TRUE(WriteWhole(*store_, before).ok());
  store_.reset();
  std::filesystem::copy(RocksPath(), path_ + "/before");
  Open();
  const CheckpointImage after = NextImage(random_, before);
  ASSERT_TRUE(WriteWhole(*store_, after).ok());
  store_.reset();
  std::filesystem::remove_all(RocksPath());
  std::filesystem::rename(path_ + "/before", RocksPath());
  rocks_files_ = nullptr;  // it remembers the files that were
  Open();
  ExpectLost(after.header);
  EXPECT_FALSE(store_->BeginIncrement(kPods, after.header.at.position).ok());
  const CheckpointImage next = NextImage(random_, after);
  ASSERT_TRUE(WriteWhole(*store_, next).ok());
  Open();
  EXPECT_TRUE(store_->KnownDamage(kPods).ok());
  ExpectStored(next);
}

// A file system of its own, gone with this object.
class Mount {
 public:
  explicit Mount(const std::string& path) : path_(path) {
    std::filesystem::create_directories(path_);
    is_mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=3m") == 0;
    if (!is_mounted_) std::cerr << "SKIPPED: mount: " << std::strerror(errno) << "\n";
  }
  ~Mount() {
    if (is_mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  bool is_mounted() const { return is_mounted_; }
  bool SetReadOnly(bool is_read_only) {
    return ::mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT | (is_read_only ? MS_RDONLY : 0),
                   "size=3m") == 0;
  }

 private:
  const std::string path_;
  bool is_mounted_ = false;
};

class SmallDiskTest : public RocksCheckpointStoreTest {
 protected:
  SmallDiskTest() : mount_(path_ + "/small") { path_ += "/small"; }
  ~SmallDiskTest() override { store_.reset(); }

  void Fill() {
    std::ofstream out(path_ + "/filler", std::ios::binary);
    std::string block(4096, 'f');
    while (out.write(block.data(), 4096).flush()) {
    }
  }
  void Free() { std::filesystem::remove(path_ + "/filler"); }

  Mount mount_;
};

TEST_F(SmallDiskTest, NoSpaceLeavesTheOldCheckpoint) {
  if (!mount_.is_mounted()) GTEST_SKIP() << "mounting is not allowed here";
  Open();
  CheckpointImage image = Filled(kPods);
  ASSERT_TRUE(WriteWhole(*store_, image).ok());
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE(round);
    CheckpointImage next = NextImage(random_, image);
    bool is_whole = round % 2 == 0;
    absl::Status status;
    if (round < 2) {  // full from the start
      Fill();
      status = is_whole ? WriteWhole(*store_, next) : WriteIncrement(*store_, image, next);
    } else if (round < 4) {  // full at the end
      failpoint::SetHandler([&](absl::string_view point) {
        if (point == "checkpoint.before_ingest") Fill();
      });
      status = is_whole ? WriteWhole(*store_, next) : WriteIncrement(*store_, image, next);
      failpoint::ClearHandler();
    } else {  // by the checkpoint itself
      for (int64_t main = 1; main < 2000; ++main) {
        next.header.at.revision = next.header.at.revision.Next();
        next.versions[{next.header.at.revision, 0}] = {false, std::string(4000, 'v')};
      }
      next.Count();
      status = is_whole ? WriteWhole(*store_, next) : WriteIncrement(*store_, image, next);
      next = NextImage(random_, image);
    }
    // A manifest may have had room in its last page.
    if (status.ok()) {
      image = next;
    } else {
      EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), "Free space")) << status;
    }
    EXPECT_FALSE(status.ok() && round != 2 && round != 3);
    EXPECT_FALSE(store_->is_broken());
    ExpectStored(image);
    Free();
    next = NextImage(random_, image);
    status = is_whole ? WriteIncrement(*store_, image, next) : WriteWhole(*store_, next);
    ASSERT_TRUE(status.ok()) << status;
    image = next;
    ExpectStored(image);
    if (round % 3 == 2) Open();
    ExpectStored(image);
  }
  // Starting on a full disk is refused in words, and harms nothing.
  store_.reset();
  Fill();
  auto full = TryOpen();
  if (full.ok()) {
    store_ = *std::move(full);
  } else {
    EXPECT_TRUE(absl::IsResourceExhausted(full.status())) << full.status();
    Free();
    Open();
  }
  ExpectStored(image);
}

TEST_F(SmallDiskTest, ReadOnlyDirectory) {
  if (!mount_.is_mounted()) GTEST_SKIP() << "mounting is not allowed here";
  Open();
  CheckpointImage image = Filled(kPods);
  ASSERT_TRUE(WriteWhole(*store_, image).ok());
  store_.reset();
  ASSERT_TRUE(mount_.SetReadOnly(true)) << std::strerror(errno);
  absl::Status status = TryOpen().status();
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(absl::IsDataLoss(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), Options().directory)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "Read-only file system")) << status;
  ASSERT_TRUE(mount_.SetReadOnly(false));
  Open();
  ExpectStored(image);
}

}  // namespace
}  // namespace tidemark::kvstore

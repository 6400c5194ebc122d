// What checkpoint_store.h promises, asked of both implementations.
#include "src/kvstore/checkpoint/checkpoint_store.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/base/posix_file_system.h"
#include "src/base/temporary_directory.h"
#include "src/kvstore/checkpoint/checkpoint_images_for_test.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_store.h"
#include "tests/sim/env/memory_checkpoint_store.h"
#include "tests/sim/env/seeded_random.h"

namespace tidemark::kvstore {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr PartitionId kPods{3};
constexpr PartitionId kLeases{4};

class Bed {
 public:
  virtual ~Bed() = default;
  virtual CheckpointStore& store() = 0;
  // Ends the process and starts it again; no writer or reader is left.
  virtual void Restart() = 0;
};

class MemoryBed : public Bed {
 public:
  CheckpointStore& store() override { return store_; }
  void Restart() override { store_.ProcessDied(); }

 private:
  sim::MemoryCheckpointStore store_{7};
};

class RocksBed : public Bed {
 public:
  RocksBed() { Restart(); }
  CheckpointStore& store() override { return *store_; }
  void Restart() override {
    store_.reset();
    RocksCheckpointOptions options;
    options.directory = directory_.path() + "/data/checkpoints";
    options.store = 7;
    options.file_system = &files_;
    options.table_bytes = 8192;  // several tables even here
    options.part_bytes_min = 0;  // and parts
    auto store = OpenRocksCheckpointStore(options);
    CHECK_MSG(store.ok(), store.status().ToString());
    store_ = *std::move(store);
  }

 private:
  TemporaryDirectory directory_{std::filesystem::current_path().string()};
  PosixFileSystem files_;
  std::unique_ptr<CheckpointStore> store_;
};

class CheckpointStoreTest : public ::testing::TestWithParam<bool> {
 protected:
  CheckpointStoreTest() {
    if (GetParam()) {
      bed_ = std::make_unique<RocksBed>();
    } else {
      bed_ = std::make_unique<MemoryBed>();
    }
  }
  CheckpointStore& store() { return bed_->store(); }

  CheckpointImage Filled(PartitionId partition, int steps = 3) {
    CheckpointImage image = EmptyImage(partition);
    while (image.versions.size() < 20 || steps-- > 0) image = NextImage(random_, image);
    return image;
  }
  void ExpectStored(const CheckpointImage& image) {
    auto found = ReadAll(store(), image.header.partition);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_TRUE(*found == image);
    auto header = store().Newest(image.header.partition);
    ASSERT_TRUE(header.ok()) << header.status();
    EXPECT_TRUE(*header == image.header);
    for (size_t parts_max : {1, 3, 100}) ExpectStoredInParts(image, parts_max);
  }
  // Read side by side, as a start does. Returns how many parts there were.
  size_t ExpectStoredInParts(const CheckpointImage& image, size_t parts_max) {
    const std::vector<CheckpointPart> parts = store().Cut(image.header.partition, parts_max);
    EXPECT_GE(parts.size(), 1u);
    EXPECT_LE(parts.size(), parts_max);
    std::vector<std::unique_ptr<CheckpointReader>> readers;
    for (const CheckpointPart& part : parts) {
      auto reader = store().ReadPart(image.header.partition, part);
      EXPECT_TRUE(reader.ok()) << reader.status();
      readers.push_back(*std::move(reader));
    }
    CheckpointImage together;
    together.header = image.header;
    for (size_t i = parts.size(); i-- > 0;) {
      auto found = ReadAll(*readers[i]);
      EXPECT_TRUE(found.ok()) << found.status();
      EXPECT_TRUE(found->header == image.header);
      for (auto& [revision, version] : found->versions) {
        EXPECT_TRUE(parts[i].Contains(revision));
        EXPECT_TRUE(together.versions.emplace(revision, version).second);
      }
    }
    EXPECT_TRUE(together == image);
    return parts.size();
  }

  sim::SeededRandom random_{11};
  std::unique_ptr<Bed> bed_;
};

TEST_P(CheckpointStoreTest, NothingAtFirst) {
  EXPECT_THAT(store().Partitions(), IsEmpty());
  EXPECT_EQ(*store().Newest(kPods), std::nullopt);
  EXPECT_TRUE(absl::IsNotFound(store().Read(kPods).status()));
  EXPECT_TRUE(absl::IsNotFound(ReadAll(store(), kPods).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(store().BeginIncrement(kPods, Position(0)).status()));
  EXPECT_EQ(store().DiskBytes(kPods), 0u);
  EXPECT_FALSE(store().is_broken());
}

TEST_P(CheckpointStoreTest, WholeIsReadBackAndSurvivesRestarts) {
  CheckpointImage pods = Filled(kPods);
  CheckpointImage leases = Filled(kLeases);
  ASSERT_TRUE(WriteWhole(store(), leases).ok());
  ASSERT_TRUE(WriteWhole(store(), pods).ok());
  EXPECT_THAT(store().Partitions(), ElementsAre(kPods, kLeases));
  ExpectStored(pods);
  ExpectStored(leases);
  bed_->Restart();
  EXPECT_THAT(store().Partitions(), ElementsAre(kPods, kLeases));
  ExpectStored(pods);
  ExpectStored(leases);
  EXPECT_GT(store().DiskBytes(kPods), pods.header.record_bytes);
  EXPECT_GE(store().TotalDiskBytes(), store().DiskBytes(kPods) + store().DiskBytes(kLeases));
}

TEST_P(CheckpointStoreTest, IsReadInParts) {
  CheckpointImage image = EmptyImage(kPods);
  for (int64_t main = 2; main < 402; ++main) {
    image.versions[{Revision(main), 0}] = {false, std::string(100, 'v')};
    image.header.at.revision = Revision(main);
  }
  image.Count();
  ASSERT_TRUE(WriteWhole(store(), image).ok());
  EXPECT_EQ(ExpectStoredInParts(image, 1), 1u);
  EXPECT_GE(ExpectStoredInParts(image, 4), 3u);
  // And what increments make of it.
  for (int i = 0; i < 10; ++i) {
    CheckpointImage next = NextImage(random_, image);
    ASSERT_TRUE(WriteIncrement(store(), image, next).ok());
    image = next;
    EXPECT_GT(ExpectStoredInParts(image, 8), 1u);
  }
  EXPECT_TRUE(absl::IsNotFound(store().ReadPart(kLeases, CheckpointPart()).status()));
  EXPECT_EQ(store().Cut(kLeases, 4).size(), 1u);
}

TEST_P(CheckpointStoreTest, EmptyWholeCheckpoint) {
  CheckpointImage image = EmptyImage(kPods);
  image.header.node_state = "only this";
  ASSERT_TRUE(WriteWhole(store(), image).ok());
  ExpectStored(image);
  bed_->Restart();
  ExpectStored(image);
  // And what grows from it.
  CheckpointImage next = image;
  while (next.versions.empty()) next = NextImage(random_, next);
  ASSERT_TRUE(WriteIncrement(store(), image, next).ok());
  bed_->Restart();
  ExpectStored(next);
}

TEST_P(CheckpointStoreTest, ExtremesOfRecords) {
  CheckpointImage image = EmptyImage(kPods);
  image.header.at.revision = Revision(std::numeric_limits<int64_t>::max());
  image.versions[{Revision(0), 0}] = {false, ""};
  image.versions[{Revision(0), std::numeric_limits<int64_t>::max()}] = {true, ""};
  image.versions[{Revision(255), 1}] = {false, std::string(1, '\0')};
  image.versions[{Revision(256), 0}] = {false, std::string(3000000, '\xff')};
  image.versions[{Revision(std::numeric_limits<int64_t>::max()), 0}] = {true, "x"};
  image.Count();
  image.header.node_state = std::string(2000000, '\0');
  ASSERT_TRUE(WriteWhole(store(), image).ok());
  bed_->Restart();
  ExpectStored(image);
}

TEST_P(CheckpointStoreTest, ManyIncrementsAndWholesWithRestarts) {
  CheckpointImage image = Filled(kPods);
  ASSERT_TRUE(WriteWhole(store(), image).ok());
  for (int step = 0; step < 60 && !HasFatalFailure(); ++step) {
    CheckpointImage next = NextImage(random_, image);
    absl::Status status =
        Below(random_, 10) == 0 ? WriteWhole(store(), next) : WriteIncrement(store(), image, next);
    ASSERT_TRUE(status.ok()) << status;
    image = next;
    if (Below(random_, 8) == 0) bed_->Restart();
    ExpectStored(image);
  }
}

TEST_P(CheckpointStoreTest, IncrementThatRemovesEverything) {
  CheckpointImage image = Filled(kPods);
  ASSERT_TRUE(WriteWhole(store(), image).ok());
  CheckpointImage next = image;
  next.versions.clear();
  next.Count();
  next.header.compact_revision = next.header.at.revision;
  ASSERT_TRUE(WriteIncrement(store(), image, next).ok());
  bed_->Restart();
  ExpectStored(next);
}

TEST_P(CheckpointStoreTest, AbandonedWritersLeaveNothing) {
  CheckpointImage image = Filled(kPods);
  ASSERT_TRUE(WriteWhole(store(), image).ok());
  uint64_t disk_bytes = store().TotalDiskBytes();
  {
    auto writer = store().BeginWhole(kPods);
    ASSERT_TRUE(writer.ok());
    EXPECT_EQ((*writer)->bytes_written(), 0u);
    for (int64_t main = 1; main < 30; ++main) {
      std::string wire(2000, 'w');
      ASSERT_TRUE((*writer)->Add({{Revision(main), 0}, false, wire}).ok());
    }
    EXPECT_GT((*writer)->bytes_written(), 29u * 1000);
    ExpectStored(image);
  }
  ExpectStored(image);
  EXPECT_LT(store().TotalDiskBytes(), disk_bytes + 1000);
  bed_->Restart();
  ExpectStored(image);
  CheckpointImage next = NextImage(random_, image);
  ASSERT_TRUE(WriteIncrement(store(), image, next).ok());
  ExpectStored(next);
}

TEST_P(CheckpointStoreTest, OneWriterPerPartition) {
  auto writer = store().BeginWhole(kPods);
  ASSERT_TRUE(writer.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(store().BeginWhole(kPods).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(store().BeginIncrement(kPods, Position(1)).status()));
  EXPECT_TRUE(WriteWhole(store(), Filled(kLeases)).ok());
  writer->reset();
  EXPECT_TRUE(store().BeginWhole(kPods).ok());
}

TEST_P(CheckpointStoreTest, ReadersKeepTheirCheckpoint) {
  CheckpointImage first = Filled(kPods);
  ASSERT_TRUE(WriteWhole(store(), first).ok());
  auto reader_of_first = store().Read(kPods);
  CheckpointImage second = NextImage(random_, first);
  ASSERT_TRUE(WriteIncrement(store(), first, second).ok());
  auto reader_of_second = store().Read(kPods);
  ASSERT_TRUE((*reader_of_first)->Next().ok());  // it has begun before the whole one comes
  CheckpointImage third = NextImage(random_, second);
  ASSERT_TRUE(WriteWhole(store(), third).ok());
  auto found = ReadAll(**reader_of_second);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(*found == second);
  found = ReadAll(**reader_of_first);
  ASSERT_TRUE(found.ok()) << found.status();
  found->versions.insert(*first.versions.begin());  // read above
  EXPECT_TRUE(*found == first);
  ExpectStored(third);
}

TEST_P(CheckpointStoreTest, ReaderAtItsEndStaysThere) {
  CheckpointImage image = EmptyImage(kPods);
  ASSERT_TRUE(WriteWhole(store(), image).ok());
  auto reader = store().Read(kPods);
  for (int i = 0; i < 3; ++i) {
    auto record = (*reader)->Next();
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_FALSE(record->has_value());
  }
}

TEST_P(CheckpointStoreTest, IncrementNeedsItsBase) {
  CheckpointImage image = Filled(kPods);
  ASSERT_TRUE(WriteWhole(store(), image).ok());
  for (Position wrong : {image.header.at.position.Previous(), image.header.at.position.Next()}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(store().BeginIncrement(kPods, wrong).status()));
  }
  EXPECT_TRUE(store().BeginIncrement(kPods, image.header.at.position).ok());
}

// Every misuse is refused, and nothing of it becomes visible.
TEST_P(CheckpointStoreTest, RefusesWhatBreaksTheOrder) {
  CheckpointImage image = Filled(kPods);
  ASSERT_TRUE(WriteWhole(store(), image).ok());
  const Revision base = image.header.at.revision;
  const mvcc::RevisionKey first = image.versions.begin()->first;
  auto expect_refused = [](const absl::Status& status) {
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  };
  auto increment = [&] { return *store().BeginIncrement(kPods, image.header.at.position); };
  auto add = [](CheckpointWriter& writer, int64_t main, int64_t sub) {
    return writer.Add({{Revision(main), sub}, false, "wire"});
  };
  {
    auto writer = *store().BeginWhole(kPods);
    expect_refused(writer->Remove(first));
  }
  {
    auto writer = *store().BeginWhole(kPods);
    ASSERT_TRUE(add(*writer, 5, 1).ok());
    expect_refused(add(*writer, 5, 1));
    // After an error only destruction is left.
    EXPECT_FALSE(add(*writer, 6, 0).ok());
    EXPECT_FALSE(writer->Commit(image.header).ok());
  }
  {
    auto writer = *store().BeginWhole(kPods);
    ASSERT_TRUE(add(*writer, 5, 1).ok());
    expect_refused(add(*writer, 5, 0));
  }
  for (auto [main, sub] : {std::pair<int64_t, int64_t>{-1, 0}, {1, -1}}) {
    auto writer = *store().BeginWhole(kPods);
    expect_refused(add(*writer, main, sub));
  }
  {
    auto writer = increment();
    expect_refused(add(*writer, base.value(), 100000));
  }
  {
    auto writer = increment();
    expect_refused(writer->Remove({base.Next(), 0}));
  }
  {
    auto writer = increment();
    ASSERT_TRUE(add(*writer, base.value() + 1, 0).ok());
    expect_refused(writer->Remove(first));
  }
  {
    auto writer = increment();
    ASSERT_TRUE(writer->Remove(first).ok());
    expect_refused(writer->Remove(first));
  }
  ExpectStored(image);
}

TEST_P(CheckpointStoreTest, RefusesWrongHeaders) {
  CheckpointImage image = Filled(kPods);
  ASSERT_TRUE(WriteWhole(store(), image).ok());
  auto expect_refused = [&](auto change) {
    CheckpointImage next = image;
    change(next.header);
    absl::Status status =
        WriteWhole(store(), image.header.partition == next.header.partition ? next : image);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  };
  expect_refused([](CheckpointHeader& header) { ++header.records; });
  expect_refused([](CheckpointHeader& header) { --header.records; });
  expect_refused([](CheckpointHeader& header) { ++header.record_bytes; });
  expect_refused([](CheckpointHeader& h) { h.at.position = h.at.position.Previous(); });
  expect_refused([](CheckpointHeader& h) { h.at.revision = h.at.revision.Previous(); });
  {
    auto writer = store().BeginWhole(kLeases);
    EXPECT_TRUE(absl::IsInvalidArgument((*writer)->Commit(EmptyImage(kPods).header)));
  }
  {  // a record newer than the header
    auto writer = store().BeginWhole(kLeases);
    CheckpointImage other = EmptyImage(kLeases);
    ASSERT_TRUE((*writer)->Add({{Revision(2), 0}, false, ""}).ok());
    other.header.records = 1;
    EXPECT_TRUE(absl::IsInvalidArgument((*writer)->Commit(other.header)));
  }
  {
    auto writer = store().BeginIncrement(kPods, image.header.at.position);
    CheckpointHeader header = image.header;
    ++header.records;
    EXPECT_TRUE(absl::IsInvalidArgument((*writer)->Commit(header)));
  }
  {  // twice
    auto writer = store().BeginWhole(kLeases);
    CheckpointImage other = EmptyImage(kLeases);
    ASSERT_TRUE((*writer)->Commit(other.header).ok());
    EXPECT_TRUE(absl::IsInvalidArgument((*writer)->Commit(other.header)));
  }
  ExpectStored(image);
}

// What Commit of an increment cannot know is found by Read: here the bytes of removed records.
TEST_P(CheckpointStoreTest, WrongBytesOfAnIncrementAreFoundByReading) {
  CheckpointImage image = Filled(kPods);
  ASSERT_TRUE(WriteWhole(store(), image).ok());
  CheckpointImage next = NextImage(random_, image);
  ++next.header.record_bytes;
  ASSERT_TRUE(WriteIncrement(store(), image, next).ok());
  EXPECT_TRUE(absl::IsDataLoss(ReadAll(store(), kPods).status()));
}

// As does a removal of something that was not there.
TEST_P(CheckpointStoreTest, RemovalOfNothingIsFoundByReading) {
  CheckpointImage image = Filled(kPods);
  ASSERT_TRUE(WriteWhole(store(), image).ok());
  {
    auto writer = store().BeginIncrement(kPods, image.header.at.position);
    ASSERT_TRUE((*writer)->Remove({Revision(1), 77}).ok());
    CheckpointHeader header = image.header;
    --header.records;
    ASSERT_TRUE((*writer)->Commit(header).ok());
  }
  EXPECT_TRUE(absl::IsDataLoss(ReadAll(store(), kPods).status()));
}

// Whoever reads while checkpoints are committed gets one of them, whole.
TEST(RocksCheckpointThreadsTest, ReadersBesideAWriter) {
  RocksBed bed;
  CheckpointStore& store = bed.store();
  sim::SeededRandom random(29);
  std::vector<CheckpointImage> images = {EmptyImage(kPods)};
  while (images.size() < 25) images.push_back(NextImage(random, images.back()));
  ASSERT_TRUE(WriteWhole(store, images[0]).ok());
  std::atomic<bool> is_done = false;
  std::atomic<int> reads = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      do {
        auto found = ReadAll(store, kPods);
        ASSERT_TRUE(found.ok()) << found.status();
        EXPECT_TRUE(std::ranges::find(images, *found) != images.end());
        EXPECT_GT(store.TotalDiskBytes(), 0u);
        ++reads;
      } while (!is_done);
    });
  }
  for (size_t i = 1; i < images.size(); ++i) {
    absl::Status status =
        i % 3 == 0 ? WriteWhole(store, images[i]) : WriteIncrement(store, images[i - 1], images[i]);
    EXPECT_TRUE(status.ok()) << status;
  }
  is_done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(reads, 4);
}

INSTANTIATE_TEST_SUITE_P(All, CheckpointStoreTest, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Rocks" : "Memory"; });

}  // namespace
}  // namespace tidemark::kvstore

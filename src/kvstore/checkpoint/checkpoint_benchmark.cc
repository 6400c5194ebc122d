// How fast a checkpoint is written, and read at a cold start. Bytes are those of the records' wire.
//
//   checkpoint_benchmark                        in a folder of the working directory, on its disk
//   TIDEMARK_CHECKPOINT_RECORDS=1000000 ...     more of 1 KiB each; 300,000 otherwise
//
// "Cold" drops the files from the page cache before each reading (posix_fadvise).
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/numbers.h"
#include "benchmark/benchmark.h"
#include "src/base/posix_file_system.h"
#include "src/base/temporary_directory.h"
#include "src/kvstore/checkpoint/checkpoint_images_for_test.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_store.h"

namespace tidemark::kvstore {
namespace {

constexpr PartitionId kPods{3};
constexpr size_t kRecordBytes = 1024;

int64_t Records() {
  const char* text = std::getenv("TIDEMARK_CHECKPOINT_RECORDS");
  int64_t records = 0;
  return text != nullptr && absl::SimpleAtoi(text, &records) ? records : 300000;
}

class Bed {
 public:
  Bed() {
    RocksCheckpointOptions options;
    options.directory = directory_.path();
    options.store = 7;
    options.file_system = &files_;
    auto store = OpenRocksCheckpointStore(options);
    CHECK_MSG(store.ok(), store.status().ToString());
    store_ = *std::move(store);
    uint64_t state = 1;
    for (char& byte : wire_) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      byte = static_cast<char>(state >> 56);
    }
  }

  CheckpointStore& store() { return *store_; }

  void Write() {
    auto writer = store_->BeginWhole(kPods);
    CHECK(writer.ok());
    CheckpointHeader header;
    header.partition = kPods;
    header.at = {Position(1), Revision(Records() + 1), Term(1)};
    for (int64_t main = 2; header.records < Records(); ++main) {
      CHECK((*writer)->Add({{Revision(main), 0}, false, wire_}).ok());
      ++header.records;
      header.record_bytes += wire_.size();
    }
    absl::Status status = (*writer)->Commit(header);
    CHECK_MSG(status.ok(), status.ToString());
  }

  void DropFromPageCache() {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      if (!entry.is_regular_file()) continue;
      int fd = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
      ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
      ::close(fd);
    }
  }

 private:
  TemporaryDirectory directory_{std::filesystem::current_path().string()};
  PosixFileSystem files_;
  std::unique_ptr<CheckpointStore> store_;
  std::string wire_ = std::string(kRecordBytes, '\0');
};

void BM_WriteWhole(benchmark::State& state) {
  Bed bed;
  for (auto _ : state) bed.Write();
  state.SetBytesProcessed(state.iterations() * Records() * kRecordBytes);
}
BENCHMARK(BM_WriteWhole)->Unit(benchmark::kMillisecond)->UseRealTime();

void BM_Read(benchmark::State& state) {
  Bed bed;
  bed.Write();
  for (auto _ : state) {
    if (state.range(0) != 0) {
      state.PauseTiming();
      bed.DropFromPageCache();
      state.ResumeTiming();
    }
    auto reader = bed.store().Read(kPods);
    CHECK(reader.ok());
    int64_t records = 0;
    while (true) {
      auto record = (*reader)->Next();
      CHECK_MSG(record.ok(), record.status().ToString());
      if (!record->has_value()) break;
      ++records;
    }
    CHECK(records == Records());
  }
  state.SetBytesProcessed(state.iterations() * Records() * kRecordBytes);
}
BENCHMARK(BM_Read)->ArgName("cold")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace tidemark::kvstore

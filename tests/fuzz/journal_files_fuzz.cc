// A whole journal directory, edited: bytes changed, ranges zeroed, copied and cut, files removed
// and exchanged, checksums put right again.
//
// Whatever was done: the survey says what opening then does; what opens holds a prefix of what was
// written, unchanged; and opening it again finds the same.
// Input: edits, see Edit.
#include <algorithm>
#include <deque>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/crc32c.h"
#include "src/base/inline_blocking_runner.h"
#include "src/base/little_endian.h"
#include "src/journal/entry_codec.h"
#include "src/journal/sequencer_replay.h"
#include "src/journal/single_voter_log.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/sim/env/seeded_random.h"
#include "tests/sim/env/sim_disk.h"

namespace tidemark::journal {
namespace {

constexpr char kDirectory[] = "/journal";
constexpr uint64_t kBlocks = 14;
using Files = std::map<std::string, std::string>;

class QueueExecutor final : public Executor {
 public:
  void Post(Task task) override { tasks_.push_back(std::move(task)); }
  TimerId PostAt(absl::Duration, Task) override { return 0; }
  void Cancel(TimerId) override {}
  bool IsCurrent() const override { return true; }
  void RunAll() {
    for (; !tasks_.empty(); tasks_.pop_front()) tasks_.front()();
  }

 private:
  std::deque<Task> tasks_;
};

class StillClock final : public Clock {
 public:
  absl::Duration Monotonic() const override { return absl::Seconds(1); }
  absl::Time Wall() const override { return absl::UnixEpoch(); }
};

std::string BodyOf(uint64_t position) {
  Entry entry;
  entry.changes_keys = position % 3 != 0;
  entry.origin = OriginId(5);
  entry.origin_number = position;
  entry.partitions = {{PartitionId(1), Epoch(1)}};
  const std::string payload(position * 53 % 600, static_cast<char>('a' + position));
  entry.payload = payload;
  // Revision before it: 1, and one for each earlier entry that changes keys.
  const uint64_t before = 1 + (position - 1) - (position - 1) / 3;
  return EncodeEntriesHead(Revision(static_cast<int64_t>(before)), absl::MakeSpan(&entry, 1)) +
         payload;
}

struct Opened {
  absl::Status status;
  std::vector<std::string> bodies;
  Tail tail;
};

// The doors of one process.
struct Doors {
  StillClock clock;
  sim::SeededRandom random{7};
  QueueExecutor executor;
  InlineBlockingRunner runner;
  LogStats stats;

  SingleVoterLog::Options OptionsFor(FileSystem& files) {
    SingleVoterLog::Options options;
    options.directory = kDirectory;
    options.segment_bytes = 4096;
    options.file_system = &files;
    options.clock = &clock;
    options.random = &random;
    options.executor = &executor;
    options.runner = &runner;
    options.stats = &stats;
    return options;
  }
};

LogVisitor Collect(Sequencer* sequencer, std::vector<std::string>* bodies) {
  LogVisitor visitor = ReplayInto(sequencer, Sequencer::Limits());
  visitor.block = [replay = std::move(visitor.block), bodies](const StoredBlock& block) {
    bodies->emplace_back(block.body.view());
    return replay(block);
  };
  return visitor;
}

Opened Open(FileSystem& files) {
  Doors doors;
  Opened opened;
  Sequencer sequencer;
  auto log = SingleVoterLog::Open(doors.OptionsFor(files), Collect(&sequencer, &opened.bodies));
  opened.status = log.status();
  opened.tail = sequencer.tail();
  return opened;
}

Files ReadAll(FileSystem& disk) {
  Files files;
  const std::vector<std::string> names = *disk.List(kDirectory);
  for (const std::string& name : names) {
    auto file = disk.Open(absl::StrCat(kDirectory, "/", name), OpenMode::kReadOnly);
    files[name] = *(*file)->ReadAt(0, *(*file)->Size());
  }
  return files;
}

void WriteAll(const Files& files, FileSystem& disk) {
  CHECK(disk.CreateDirectories(kDirectory).ok());
  for (const auto& [name, content] : files) {
    auto file = disk.Open(absl::StrCat(kDirectory, "/", name), OpenMode::kCreateExclusive);
    CHECK(file.ok() && (*file)->WriteAt(0, {absl::string_view(content)}).ok());
  }
}

// Without the reserved next segment, which nothing reads.
Files MakeJournal() {
  sim::SeededRandom random(3);
  sim::SimDisk disk(random);
  {
    Doors doors;
    auto log = SingleVoterLog::Open(doors.OptionsFor(disk), LogVisitor());
    CHECK(log.ok());
    for (uint64_t position = 1; position <= kBlocks; ++position) {
      const std::string body = BodyOf(position);
      auto block = std::make_shared<LogBlock>();
      *block = {Position(position), 1, (*log)->term(), {body}};
      bool done = false;
      (*log)->Append(block, [&](const absl::Status& status) { done = status.ok(); });
      doors.executor.RunAll();
      CHECK(done);
    }
  }
  Files files = ReadAll(disk);
  files.erase("next-segment.tmp");
  files.erase("LOCK");
  return files;
}

size_t FrameSize(absl::string_view at) {
  if (absl::StartsWith(at, "TMJS")) return kSegmentHeaderBytes;
  if (absl::StartsWith(at, "TMJB")) return kBlockHeaderBytes;
  return absl::StartsWith(at, "TMJM") ? kTailMarkBytes : 0;
}

void RepairChecksum(std::string& content, size_t border) {
  const size_t size = FrameSize(absl::string_view(content).substr(border));
  if (size == 0 || border + size > content.size()) return;
  StoreLittle(&content[border + size - 4],
              Crc32c(absl::string_view(content).substr(border, size - 4)));
}

// Bytes: kind, file, a border of 512 bytes, an offset behind it; then what the kind needs.
void Edit(fuzz::Input& in, Files& files) {
  const uint8_t kind = in.Byte();
  auto at = files.begin();
  std::advance(at, in.Below(files.size()));
  std::string& content = at->second;
  const size_t border = content.empty() ? 0 : in.Byte() * size_t{512} % content.size();
  const size_t offset = std::min(border + in.Byte(), content.size());
  switch (kind % 8) {
    case 0:
      if (offset < content.size()) content[offset] ^= static_cast<char>(in.Byte() | 1);
      return;
    case 1: {
      const size_t size = std::min<size_t>(in.Number<uint16_t>(), content.size() - offset);
      content.replace(offset, size, size, '\0');
      return;
    }
    case 2:
      content.resize(offset);
      return;
    case 3: {
      auto from = files.begin();
      std::advance(from, in.Below(files.size()));
      const std::string piece =
          from->second.substr(std::min(in.Byte() * size_t{512}, from->second.size()), 1024);
      const size_t size = std::min(piece.size(), content.size() - border);
      content.replace(border, size, piece, 0, size);
      return;
    }
    case 4:
      if (files.size() > 1) files.erase(at);
      return;
    case 5:
      return RepairChecksum(content, border);
    case 6:  // a field of a frame, checksum right again
      if (border + 64 <= content.size()) {
        StoreLittle(&content[border + 4 + offset % 52], in.Number<uint64_t>());
        RepairChecksum(content, border);
      }
      return;
    case 7: {
      auto other = files.begin();
      std::advance(other, in.Below(files.size()));
      std::swap(content, other->second);
      return;
    }
  }
}

absl::Status Survey(FileSystem& disk, Opened* found) {
  auto directory = DataDirectory::OpenReadOnly(disk, kDirectory);
  if (absl::IsNotFound(directory.status())) return absl::OkStatus();
  if (!directory.ok()) return directory.status();
  Sequencer sequencer;
  StillClock clock;
  LogSurvey survey;
  const absl::Status status =
      SurveyLog(disk, clock, **directory, Collect(&sequencer, &found->bodies), &survey);
  found->tail = sequencer.tail();
  return status;
}

}  // namespace

FUZZ_TARGET(journal_files) {
  static const auto* const original = new Files(MakeJournal());
  fuzz::Input in(input.substr(0, 512));
  Files files = *original;
  while (!in.done()) Edit(in, files);

  sim::SeededRandom random(1);
  sim::SimDisk disk(random);
  WriteAll(files, disk);
  Opened surveyed;
  surveyed.status = Survey(disk, &surveyed);
  CHECK(ReadAll(disk) == files);
  const Opened opened = Open(disk);
  CHECK_MSG(opened.status == surveyed.status,
            absl::StrCat(opened.status.ToString(), " -- ", surveyed.status.ToString()));
  if (!opened.status.ok()) {
    CHECK(absl::IsDataLoss(opened.status) || absl::IsFailedPrecondition(opened.status));
    return;
  }
  CHECK(opened.bodies == surveyed.bodies && opened.tail.position == surveyed.tail.position);
  CHECK(opened.bodies.size() <= kBlocks);
  for (size_t i = 0; i < opened.bodies.size(); ++i) CHECK(opened.bodies[i] == BodyOf(i + 1));
  const Opened again = Open(disk);
  CHECK_MSG(again.status.ok(), again.status.ToString());
  CHECK(again.bodies == opened.bodies);
}

}  // namespace tidemark::journal

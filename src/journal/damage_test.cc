// D1, D2, D5, D6: every byte of a small journal flipped, every file cut at every place or removed.
// Opening gives every synced entry, or an error that names the place; never anything else.
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "src/base/crc32c.h"
#include "src/base/inline_blocking_runner.h"
#include "src/journal/single_voter_log.h"
#include "tests/sim/env/seeded_random.h"
#include "tests/sim/env/sim_disk.h"
#include "tests/sim/env/world.h"

namespace tidemark::journal {
namespace {

constexpr char kDirectory[] = "/journal";
using Files = std::map<std::string, std::string>;  // content by name

std::string BodyOf(uint64_t position) {
  return absl::StrCat("body of ", position, std::string(position * 37 % 700, 'x'));
}

class DamageTest : public ::testing::Test {
 protected:
  DamageTest() : world_(1), executor_(world_.NewExecutor("journal")) {}

  SingleVoterLog::Options OptionsFor(FileSystem& file_system) {
    SingleVoterLog::Options options;
    options.directory = kDirectory;
    options.segment_bytes = 4096;
    options.file_system = &file_system;
    options.clock = &world_.clock();
    options.random = &world_.random();
    options.executor = executor_.get();
    options.runner = &runner_;
    options.stats = &stats_;
    return options;
  }

  // The bodies found, or why not.
  absl::StatusOr<std::vector<std::string>> Open(FileSystem& file_system) {
    std::vector<std::string> bodies;
    SingleVoterLog::Visitor visitor;
    visitor.state = [](Position, absl::string_view) { return absl::OkStatus(); };
    visitor.block = [&bodies](const StoredBlock& block) {
      if (block.first.value() != bodies.size() + 1) return absl::InternalError("out of order");
      bodies.emplace_back(block.body.view());
      return absl::OkStatus();
    };
    auto log = SingleVoterLog::Open(OptionsFor(file_system), visitor);
    if (!log.ok()) return log.status();
    return bodies;
  }

  // A journal of `count` synced blocks, as kill -9 leaves it.
  Files MakeJournal(uint64_t count) {
    sim::SeededRandom random(3);
    sim::SimDisk disk(random);
    {
      SingleVoterLog::Visitor visitor;
      auto log = SingleVoterLog::Open(OptionsFor(disk), visitor);
      EXPECT_TRUE(log.ok()) << log.status();
      for (uint64_t position = 1; position <= count; ++position) {
        auto body = std::make_shared<std::string>(BodyOf(position));
        auto block = std::make_shared<LogBlock>();
        *block = {Position(position), 1, (*log)->term(), {*body}};
        bool acked = false;
        (*log)->Append(block, [&acked, body](absl::Status status) { acked = status.ok(); });
        EXPECT_TRUE(world_.RunUntil([&] { return acked; }, absl::Seconds(1)));
      }
    }
    return ReadAll(disk);
  }

  static Files ReadAll(FileSystem& file_system) {
    Files files;
    auto names = file_system.List(kDirectory);
    EXPECT_TRUE(names.ok());
    for (const std::string& name : *names) {
      auto file = file_system.Open(absl::StrCat(kDirectory, "/", name), OpenMode::kReadOnly);
      EXPECT_TRUE(file.ok());
      files[name] = *(*file)->ReadAt(0, *(*file)->Size());
    }
    return files;
  }

  absl::StatusOr<std::vector<std::string>> OpenCopy(const Files& files) {
    sim::SeededRandom random(4);
    sim::SimDisk disk(random);
    EXPECT_TRUE(disk.CreateDirectories(kDirectory).ok());
    for (const auto& [name, content] : files) {
      auto file = disk.Open(absl::StrCat(kDirectory, "/", name), OpenMode::kCreateExclusive);
      EXPECT_TRUE(file.ok());
      EXPECT_TRUE((*file)->WriteAt(0, {absl::string_view(content)}).ok());
      EXPECT_TRUE((*file)->SyncData().ok());
    }
    EXPECT_TRUE(disk.SyncDirectory(kDirectory).ok());
    auto bodies = Open(disk);
    if (bodies.ok()) {
      // A repair must hold: the second start finds the same.
      auto again = Open(disk);
      EXPECT_TRUE(again.ok()) << again.status();
      EXPECT_EQ(*again, *bodies);
    } else {
      EXPECT_TRUE(absl::IsDataLoss(bodies.status()) || absl::IsFailedPrecondition(bodies.status()))
          << bodies.status();
      EXPECT_TRUE(absl::StrContains(bodies.status().message(), kDirectory)) << bodies.status();
    }
    return bodies;
  }

  void ExpectComplete(const std::vector<std::string>& bodies, uint64_t count,
                      const std::string& what) {
    ASSERT_EQ(bodies.size(), count) << what;
    for (uint64_t i = 0; i < count; ++i) ASSERT_EQ(bodies[i], BodyOf(i + 1)) << what;
  }

  sim::World world_;
  std::unique_ptr<Executor> executor_;
  InlineBlockingRunner runner_;
  LogStats stats_;
};

bool IsSegment(const std::string& name) { return absl::StartsWith(name, "segment-"); }

TEST_F(DamageTest, D2NoFlippedByteIsServedOrCutOff) {
  constexpr uint64_t kCount = 12;
  const Files good = MakeJournal(kCount);
  ASSERT_GE(std::count_if(good.begin(), good.end(), [](auto& f) { return IsSegment(f.first); }), 3);
  int refused = 0;
  for (const auto& [name, content] : good) {
    if (name == "next-segment.tmp") continue;
    for (size_t offset = 0; offset < content.size(); ++offset) {
      Files bad = good;
      bad[name][offset] ^= static_cast<char>(1 << (offset % 8));
      std::string what = absl::StrCat(name, " at ", offset);
      auto bodies = OpenCopy(bad);
      if (bodies.ok()) {
        ExpectComplete(*bodies, kCount, what);
      } else {
        ++refused;
        EXPECT_TRUE(absl::StrContains(bodies.status().message(), "FORMAT") ||
                    absl::StrContains(bodies.status().message(), "term") ||
                    absl::StrContains(bodies.status().message(), "at offset"))
            << bodies.status();
      }
      if (HasFatalFailure()) return;
    }
  }
  int vouched_for = 0;
  for (uint64_t position = 1; position <= kCount; ++position) {
    vouched_for += static_cast<int>(kBlockHeaderBytes + BodyOf(position).size());
  }
  EXPECT_GE(refused, vouched_for);
}

TEST_F(DamageTest, NoCutFileLosesAnEntrySilently) {
  constexpr uint64_t kCount = 12;
  const Files good = MakeJournal(kCount);
  for (const auto& [name, content] : good) {
    if (name == "next-segment.tmp") continue;
    for (size_t size = 0; size < content.size(); size += size % 512 < 80 ? 1 : 16) {
      Files bad = good;
      bad[name].resize(size);
      auto bodies = OpenCopy(bad);
      if (IsSegment(name)) {
        EXPECT_FALSE(bodies.ok()) << name << " cut to " << size;
      }
      if (bodies.ok()) ExpectComplete(*bodies, kCount, absl::StrCat(name, " cut to ", size));
      if (HasFailure()) return;
    }
  }
}

TEST_F(DamageTest, NoMissingOrSwappedFileLosesAnEntrySilently) {
  constexpr uint64_t kCount = 20;
  const Files good = MakeJournal(kCount);
  for (const auto& [name, content] : good) {
    Files bad = good;
    bad.erase(name);
    auto bodies = OpenCopy(bad);
    if (bodies.ok()) ExpectComplete(*bodies, kCount, absl::StrCat("without ", name));
    EXPECT_EQ(bodies.ok(), !IsSegment(name) && name != "FORMAT" && name != "term") << name;
    for (const auto& [other, other_content] : good) {
      if (!IsSegment(name) || !IsSegment(other) || name == other) continue;
      Files swapped = good;
      swapped[name] = other_content;
      EXPECT_FALSE(OpenCopy(swapped).ok()) << other << " as " << name;
    }
  }
  // The same blocks in another journal: its identity differs.
  Files other = MakeJournal(kCount);
  for (const auto& [name, content] : good) {
    Files mixed = other;
    if (!mixed.contains(name) || mixed[name] == content) continue;
    mixed[name] = content;
    if (IsSegment(name)) {
      EXPECT_FALSE(OpenCopy(mixed).ok()) << name;
    }
  }
}

TEST_F(DamageTest, D1ATornWriteOfTheNewestBlockIsCutOff) {
  constexpr uint64_t kCount = 10;
  const Files whole = MakeJournal(kCount);
  std::string name;
  for (const auto& [each, content] : whole) {
    if (IsSegment(each)) name = each;
  }
  const std::string& content = whole.at(name);
  // The newest block as it was before its sync: no mark behind it.
  size_t mark = content.rfind("TMJM");
  size_t block = content.rfind("TMJB");
  ASSERT_NE(mark, std::string::npos);
  ASSERT_LT(block, mark);
  Files unsynced = whole;
  unsynced[name].replace(mark, 64, 64, '\0');
  auto bodies = OpenCopy(unsynced);
  ASSERT_TRUE(bodies.ok()) << bodies.status();
  ExpectComplete(*bodies, kCount, "nothing torn");
  // Any part of it may be missing: the beginning, the end, a byte.
  for (size_t torn = block; torn < block + 64 + BodyOf(kCount).size(); ++torn) {
    for (int shape = 0; shape < 3; ++shape) {
      Files bad = unsynced;
      size_t from = shape == 0 ? block : torn;
      size_t to = shape == 1 ? mark : torn + 1;
      for (size_t i = from; i < to; ++i)
        bad[name][i] = static_cast<char>(shape == 2 ? ~bad[name][i] : 0);
      if (bad[name] == unsynced[name]) continue;
      bodies = OpenCopy(bad);
      ASSERT_TRUE(bodies.ok()) << bodies.status();
      ExpectComplete(*bodies, kCount - 1, absl::StrCat("torn at ", torn, ", shape ", shape));
      if (HasFailure()) return;
    }
  }
}

TEST_F(DamageTest, ANewerFormatIsRefusedInWords) {
  Files files = MakeJournal(3);
  std::string& format = files["FORMAT"];
  size_t version = format.find("version 1");
  ASSERT_NE(version, std::string::npos);
  format.replace(version, 9, "version 2");
  format.resize(format.rfind("crc32c "));
  format += absl::StrFormat("crc32c %08x\n", Crc32c(format));
  auto bodies = OpenCopy(files);
  EXPECT_TRUE(absl::IsFailedPrecondition(bodies.status()));
  EXPECT_TRUE(absl::StrContains(bodies.status().message(), "newer")) << bodies.status();
}

}  // namespace
}  // namespace tidemark::journal

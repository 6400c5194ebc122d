// What is said about a journal is what opening it then does: on journals made by the journal
// itself, whole, torn at every border, with flipped bits, with files missing, swapped and of newer
// formats.
#include "src/inspect/inspect.h"

#include <map>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "src/base/crc32c.h"
#include "src/base/inline_blocking_runner.h"
#include "src/inspect/journal_part.h"
#include "src/inspect/read_only_files_for_test.h"
#include "src/journal/embedded_journal.h"
#include "src/journal/segment_walk.h"
#include "src/kvstore/effects.h"
#include "tests/sim/env/seeded_random.h"
#include "tests/sim/env/sim_disk.h"
#include "tests/sim/env/world.h"

namespace tidemark::inspect {
namespace {

constexpr char kDirectory[] = "/data/journal";
constexpr PartitionId kPartition{1};
using Files = std::map<std::string, std::string>;  // content by name
using Json = nlohmann::json;

bool IsSegment(const std::string& name) { return absl::StartsWith(name, "segment-"); }

class InspectTest : public ::testing::Test {
 protected:
  InspectTest() : world_(1), executor_(world_.NewExecutor("journal")) {}

  absl::StatusOr<std::unique_ptr<journal::EmbeddedJournal>> Open(FileSystem& files) {
    journal::EmbeddedJournalOptions options;
    options.directory = kDirectory;
    options.segment_bytes = 4096;
    options.file_system = &files;
    options.clock = &world_.clock();
    options.random = &world_.random();
    options.executor = executor_.get();
    options.runner = &runner_;
    return journal::EmbeddedJournal::Open(std::move(options));
  }

  // One block each.
  void Append(journal::Journal& journal, Epoch epoch, uint64_t number) {
    journal::Record record;
    record.changes_keys = true;
    record.partitions = {{kPartition, epoch}};
    record.origin = OriginId(77);
    record.origin_number = number;
    const std::string value(number * 37 % 700, 'v');
    record.payload =
        kvstore::EncodeSinglePut(kPartition, absl::StrCat("key", number), value, LeaseId(0));
    bool done = false;
    journal.Append(std::move(record), [&](absl::StatusOr<journal::Placed> placed) {
      EXPECT_TRUE(placed.ok()) << placed.status();
      done = true;
    });
    EXPECT_TRUE(world_.RunUntil([&] { return done; }, absl::Seconds(1)));
  }

  // A claim and `puts` puts, as kill -9 leaves it; trimmed up to `trim`.
  Files MakeJournal(uint64_t puts, Position trim = Position(0), uint64_t seed = 3) {
    sim::SeededRandom random(seed);
    sim::SimDisk disk(random);
    {
      auto journal = Open(disk);
      EXPECT_TRUE(journal.ok()) << journal.status();
      absl::StatusOr<Epoch> epoch = absl::UnknownError("");
      (*journal)->Claim(kPartition, OriginId(77), [&](absl::StatusOr<Epoch> e) { epoch = e; });
      EXPECT_TRUE(world_.RunUntil([&] { return epoch.ok(); }, absl::Seconds(1)));
      for (uint64_t number = 1; number <= puts; ++number) Append(**journal, *epoch, number);
      if (trim > Position(0)) (*journal)->Trim(trim);
      world_.RunFor(absl::Seconds(1));
    }
    return ReadAll(disk);
  }

  static Files ReadAll(FileSystem& files) {
    Files all;
    auto names = files.List(kDirectory);
    EXPECT_TRUE(names.ok());
    for (const std::string& name : *names) {
      auto file = files.Open(absl::StrCat(kDirectory, "/", name), OpenMode::kReadOnly);
      EXPECT_TRUE(file.ok());
      all[name] = *(*file)->ReadAt(0, *(*file)->Size());
    }
    return all;
  }

  static void WriteAll(const Files& files, FileSystem& disk) {
    EXPECT_TRUE(disk.CreateDirectories(kDirectory).ok());
    for (const auto& [name, content] : files) {
      auto file = disk.Open(absl::StrCat(kDirectory, "/", name), OpenMode::kCreateExclusive);
      EXPECT_TRUE(file.ok());
      EXPECT_TRUE((*file)->WriteAt(0, {absl::string_view(content)}).ok());
    }
  }

  Report Inspect(FileSystem& disk, bool while_running = false) {
    ReadOnlyFiles files(disk);
    std::vector<std::unique_ptr<Part>> parts;
    parts.push_back(MakeJournalPart(files, world_.clock(), kDirectory));
    return InspectDataDir(files, {"/data", while_running}, parts);
  }

  // The report, after opening did what it says.
  Report ExpectAgreement(const Files& files, const std::string& what) {
    sim::SeededRandom random(4);
    sim::SimDisk disk(random);
    WriteAll(files, disk);
    const Report report = Inspect(disk);
    EXPECT_EQ(ReadAll(disk), files) << what;
    const Json json = Json::parse(RenderJson(report));
    const Json& facts = json["parts"]["journal"]["facts"];
    auto journal = Open(disk);
    EXPECT_EQ(report.verdict() == Verdict::kHealthy, journal.ok())
        << what << ": " << journal.status() << "\n"
        << RenderText(report);
    if (!journal.ok()) {
      EXPECT_EQ(report.verdict() == Verdict::kDamaged,
                absl::IsDataLoss(journal.status()) || absl::StrContains(what, "FORMAT"))
          << what << ": " << journal.status();
      EXPECT_EQ(facts["next_start"]["refusal"], std::string(journal.status().message())) << what;
    } else if (facts.contains("last_position")) {
      EXPECT_EQ(facts["last_position"], (*journal)->KnownTail().position.value()) << what;
      EXPECT_EQ(facts["last_revision"], (*journal)->KnownTail().revision.value()) << what;
      ExpectCut(facts, files, disk, what);
    }
    return report;
  }

  // Where the segment marks that `last` was synced: behind that block, and before nothing.
  static std::optional<uint64_t> MarkIn(const std::string& segment, uint64_t last) {
    for (size_t at = 0; at < segment.size(); at += journal::kBlockAlignmentBytes) {
      const journal::Frame frame =
          journal::DecodeFrame(absl::string_view(segment).substr(at, journal::kTailMarkBytes));
      if (frame.kind != journal::Frame::Kind::kMark) continue;
      EXPECT_EQ(frame.mark.last.value(), last);
      EXPECT_EQ(segment.find_first_not_of('\0', at + journal::kTailMarkBytes), std::string::npos);
      return at;
    }
    return std::nullopt;
  }

  // The bytes that opening zeroed are those that were announced; it marks the newest block besides.
  static void ExpectCut(const Json& facts, const Files& before, FileSystem& disk,
                        const std::string& what) {
    const Json& next_start = facts["next_start"];
    std::string newest;
    for (const auto& [name, content] : before) {
      if (IsSegment(name)) newest = name;
    }
    if (newest.empty()) return;
    std::string expected = before.at(newest);
    if (next_start.contains("cuts")) {
      const Json& cuts = next_start["cuts"];
      EXPECT_EQ(cuts["file"], newest) << what;
      for (uint64_t at = cuts["offset"]; at < cuts["torn_end"]; ++at) expected[at] = 0;
    }
    const std::string found = ReadAll(disk).at(newest);
    if (const std::optional<uint64_t> at = MarkIn(found, facts["last_position"])) {
      expected.replace(*at, journal::kBlockAlignmentBytes, found, *at,
                       journal::kBlockAlignmentBytes);
    }
    EXPECT_TRUE(found == expected) << what;
  }

  sim::World world_;
  std::unique_ptr<Executor> executor_;
  InlineBlockingRunner runner_;
};

TEST_F(InspectTest, AHealthyJournalIsDescribed) {
  const Files files = MakeJournal(20);
  const Report report = ExpectAgreement(files, "healthy");
  EXPECT_EQ(report.verdict(), Verdict::kHealthy) << RenderText(report);
  const Json facts = report.parts[0].facts;
  EXPECT_EQ(facts["format_version"], 1);
  EXPECT_EQ(facts["term"], 1);
  EXPECT_EQ(facts["next_start"]["term"], 2);
  EXPECT_EQ(facts["first_position"], 1);
  EXPECT_EQ(facts["last_position"], 21);  // a claim and 20 puts
  EXPECT_EQ(facts["last_revision"], 21);  // an empty store is at 1
  EXPECT_EQ(facts["first_revision"], 1);  // the claim changes nothing
  EXPECT_EQ(facts["entries"]["claims"], 1);
  EXPECT_EQ(facts["entries"]["data"], 20);
  EXPECT_EQ(facts["entries"]["puts"], 20);
  EXPECT_EQ(facts["epochs"][0]["partition"], 1);
  EXPECT_EQ(facts["epochs"][0]["epoch"], 1);
  EXPECT_EQ(facts["epochs"][0]["entries"], 21);
  EXPECT_EQ(facts["origins"][0]["origin"], "000000000000004d");
  EXPECT_EQ(facts["origins"][0]["last_number"], 20);
  uint64_t entries = 0;
  for (size_t i = 0; i < facts["segments"].size(); ++i) {
    const Json& segment = facts["segments"][i];
    EXPECT_EQ(segment["first_position"], entries + 1);
    entries += segment["entries"].get<uint64_t>();
    EXPECT_EQ(segment["entries"], segment["blocks"]);  // one entry a block here
    EXPECT_EQ(segment["last_position"], entries);
    EXPECT_EQ(segment["mark"], i + 1 < facts["segments"].size() ? "sealed" : "synced");
    EXPECT_EQ(files.at(segment["file"]).size(), segment["capacity_bytes"]);
  }
  EXPECT_EQ(entries, 21);
  EXPECT_GE(facts["segments"].size(), 3);
  EXPECT_TRUE(absl::StrContains(RenderText(report), "verdict: healthy"));
}

TEST_F(InspectTest, ATrimmedJournalShowsItsSnapshot) {
  const Files files = MakeJournal(40, Position(30));
  ASSERT_TRUE(files.contains("snapshot"));
  const Json facts = ExpectAgreement(files, "trimmed").parts[0].facts;
  EXPECT_GT(facts["first_position"], 1);
  EXPECT_GE(facts["snapshot"]["position"], 30);
  EXPECT_EQ(facts["last_position"], 41);
  EXPECT_EQ(facts["epochs"][0]["epoch"], 1);  // of an entry that was trimmed
  Files without = files;
  without.erase("snapshot");
  EXPECT_EQ(ExpectAgreement(without, "without snapshot").verdict(), Verdict::kDamaged);
}

TEST_F(InspectTest, AnEmptyOrMissingJournalIsAFreshStart) {
  ExpectAgreement({}, "empty");
  ExpectAgreement({{"LOCK", ""}, {"FORMAT.tmp", "half"}}, "interrupted set-up");
  Files fresh = MakeJournal(0);
  ExpectAgreement({{"FORMAT", fresh["FORMAT"]}}, "before the first segment");
  EXPECT_NE(ExpectAgreement({{"cat.jpg", "meow"}}, "something else").verdict(), Verdict::kHealthy);
}

TEST_F(InspectTest, FlippedBits) {
  const Files good = MakeJournal(12);
  int damaged = 0;
  for (const auto& [name, content] : good) {
    if (name == "next-segment.tmp") continue;
    for (size_t offset = 0; offset < content.size(); offset += offset % 512 < 64 ? 1 : 23) {
      Files bad = good;
      bad[name][offset] ^= static_cast<char>(1 << (offset % 8));
      const Report report = ExpectAgreement(bad, absl::StrCat(name, " flipped at ", offset));
      damaged += report.verdict() == Verdict::kDamaged ? 1 : 0;
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(damaged, 12 * 64);
}

TEST_F(InspectTest, CutFiles) {
  const Files good = MakeJournal(12);
  for (const auto& [name, content] : good) {
    if (name == "next-segment.tmp") continue;
    for (size_t size = 0; size < content.size(); size += size % 512 < 70 ? 1 : 31) {
      Files bad = good;
      bad[name].resize(size);
      ExpectAgreement(bad, absl::StrCat(name, " cut to ", size));
      if (HasFailure()) return;
    }
  }
}

// Every border between "the newest block is there" and "nothing of it is".
TEST_F(InspectTest, TornEndsAreAnnouncedExactly) {
  const Files whole = MakeJournal(10);
  std::string name;
  for (const auto& [each, content] : whole) {
    if (IsSegment(each)) name = each;
  }
  const size_t mark = whole.at(name).rfind("TMJM");
  const size_t block = whole.at(name).rfind("TMJB");
  ASSERT_NE(mark, std::string::npos);
  ASSERT_LT(block, mark);
  Files unsynced = whole;
  unsynced[name].replace(mark, 64, 64, '\0');
  ExpectAgreement(unsynced, "unsynced");
  int torn = 0;
  for (size_t at = block; at < mark; at += at < block + 80 ? 1 : 13) {
    for (const bool keeps_front : {true, false}) {
      Files bad = unsynced;
      const size_t from = keeps_front ? at : block;
      const size_t to = keeps_front ? mark : at;
      bad[name].replace(from, to - from, to - from, '\0');
      const Report report = ExpectAgreement(bad, absl::StrCat("torn at ", at, " ", keeps_front));
      EXPECT_EQ(report.verdict(), Verdict::kHealthy) << RenderText(report);
      torn += report.findings.empty() && !report.parts[0].findings.empty() ? 1 : 0;
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(torn, 100);
}

TEST_F(InspectTest, MissingAndSwappedFiles) {
  const Files good = MakeJournal(20);
  const Files other = MakeJournal(20, Position(0), /*seed=*/8);
  for (const auto& [name, content] : good) {
    Files without = good;
    without.erase(name);
    ExpectAgreement(without, absl::StrCat("without ", name));
    if (other.contains(name)) {
      Files mixed = good;
      mixed[name] = other.at(name);
      ExpectAgreement(mixed, absl::StrCat("another journal's ", name));
    }
    for (const auto& [second, second_content] : good) {
      if (!IsSegment(name) || !IsSegment(second) || name == second) continue;
      Files swapped = good;
      swapped[name] = second_content;
      const Report report = ExpectAgreement(swapped, absl::StrCat(second, " as ", name));
      EXPECT_EQ(report.verdict(), Verdict::kDamaged);
    }
  }
}

TEST_F(InspectTest, DamageNamesFileAndOffset) {
  Files files = MakeJournal(12);
  const std::string name = journal::SegmentName(Position(1));
  const size_t block = files[name].find("TMJB", 512 + 1);
  files[name][block + 70] ^= 1;  // in its body
  const Report report = ExpectAgreement(files, "body");
  ASSERT_EQ(report.parts[0].findings.size(), 1);
  const Finding& finding = report.parts[0].findings[0];
  EXPECT_EQ(finding.kind, Finding::Kind::kDamage);
  EXPECT_TRUE(absl::EndsWith(finding.file, name)) << finding.file;
  EXPECT_TRUE(absl::StrContains(RenderText(report), "verdict: damaged"));
}

TEST_F(InspectTest, NewerFormatsCannotBeToldAbout) {
  Files files = MakeJournal(3);
  std::string& format = files["FORMAT"];
  format.replace(format.find("version 1"), 9, "version 2");
  format.resize(format.rfind("crc32c "));
  format += absl::StrFormat("crc32c %08x\n", Crc32c(format));
  EXPECT_EQ(ExpectAgreement(files, "newer").verdict(), Verdict::kUnknown);

  // A block of a later version in the middle.
  files = MakeJournal(12);
  std::string& segment = files[journal::SegmentName(Position(1))];
  const size_t block = segment.find("TMJB", 512 + 1);
  segment[block + 4] = 2;
  const uint32_t crc = Crc32c(absl::string_view(segment).substr(block, 60));
  for (int i = 0; i < 4; ++i) segment[block + 60 + i] = static_cast<char>(crc >> (8 * i));
  EXPECT_EQ(ExpectAgreement(files, "newer block").verdict(), Verdict::kUnknown);
}

TEST_F(InspectTest, ADirectoryInUseIsLeftAloneUnlessAskedFor) {
  sim::SeededRandom random(4);
  sim::SimDisk disk(random);
  auto journal = Open(disk);
  ASSERT_TRUE(journal.ok());
  Report report = Inspect(disk);
  EXPECT_EQ(report.verdict(), Verdict::kUnknown);
  EXPECT_TRUE(report.is_in_use && report.parts.empty());
  report = Inspect(disk, /*while_running=*/true);
  EXPECT_EQ(report.verdict(), Verdict::kHealthy) << RenderText(report);
  EXPECT_EQ(report.parts.size(), 1);
  journal->reset();
  EXPECT_FALSE(Inspect(disk).is_in_use);
}

TEST_F(InspectTest, EffectsThatNoReplicaCouldApplyAreDamage) {
  sim::SeededRandom random(4);
  sim::SimDisk disk(random);
  {
    auto journal = Open(disk);
    ASSERT_TRUE(journal.ok());
    absl::StatusOr<Epoch> epoch = absl::UnknownError("");
    (*journal)->Claim(kPartition, OriginId(7), [&](absl::StatusOr<Epoch> e) { epoch = e; });
    ASSERT_TRUE(world_.RunUntil([&] { return epoch.ok(); }, absl::Seconds(1)));
    journal::Record record;
    record.partitions = {{kPartition, *epoch}};
    record.origin = OriginId(7);
    record.origin_number = 1;
    record.payload = "\x01nonsense";
    bool done = false;
    (*journal)->Append(std::move(record), [&](auto) { done = true; });
    ASSERT_TRUE(world_.RunUntil([&] { return done; }, absl::Seconds(1)));
  }
  const Report report = Inspect(disk);
  EXPECT_EQ(report.verdict(), Verdict::kDamaged);
  EXPECT_TRUE(absl::StrContains(RenderText(report), "malformed effects")) << RenderText(report);
}

}  // namespace
}  // namespace tidemark::inspect

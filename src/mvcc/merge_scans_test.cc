// Merging what was found in segments, by one thread and by several, against a plain sort.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "src/base/thread_pool.h"
#include "src/mvcc/segment_recovery.h"

namespace tidemark::mvcc {
namespace {

constexpr uint32_t kSegments = 40;

// Main revisions in each segment; odd segments are survivors.
using Mains = std::vector<std::vector<int64_t>>;

bool IsSurvivors(uint32_t slot) { return slot % 2 == 1; }

RecordEntry EntryOf(int64_t main, uint32_t slot, size_t place) {
  RecordEntry entry;
  entry.main = main;
  entry.slot = slot;
  entry.offset_words = static_cast<uint32_t>(5 + place * 4);
  return entry;
}

std::vector<SegmentScan> ScansOf(const Mains& mains) {
  std::vector<SegmentScan> scans(mains.size());
  for (uint32_t slot = 0; slot < mains.size(); ++slot) {
    SegmentScan& scan = scans[slot];
    scan.sequence = slot + 1;
    scan.survivors = IsSurvivors(slot);
    for (int64_t main : mains[slot]) {
      scan.records.push_back(EntryOf(main, slot, scan.records.size()));
    }
  }
  return scans;
}

// `copies` of what lies in survivors lie in a fresh segment as well.
Mains RandomMains(std::mt19937_64& random, int64_t records, int64_t copies) {
  Mains mains(kSegments);
  for (int64_t main = 2; main < records + 2; ++main) {
    const auto slot = static_cast<uint32_t>(random() % kSegments);
    mains[slot].push_back(main);
    if (IsSurvivors(slot) && copies-- > 0) mains[slot - 1].push_back(main);
  }
  return mains;
}

std::string Merged(std::vector<SegmentScan> scans, ParallelRunner& workers) {
  absl::StatusOr<MergedRecords> merged = MergeScans(absl::MakeSpan(scans), workers);
  if (!merged.ok()) return merged.status().ToString();
  std::string text;
  for (const std::vector<RecordEntry>& run : merged->records) {
    EXPECT_FALSE(run.empty());
    for (const RecordEntry& e : run) absl::StrAppend(&text, e.main, "@", e.location().raw(), "\n");
  }
  for (const RecordEntry& e : merged->duplicates) {
    absl::StrAppend(&text, "twice ", e.main, "@", e.location().raw(), "\n");
  }
  return text;
}

// Record by record, with no cleverness.
std::string Expected(const Mains& mains) {
  std::vector<std::tuple<int64_t, bool, uint64_t>> all;  // main, fresh, location
  for (uint32_t slot = 0; slot < mains.size(); ++slot) {
    for (size_t i = 0; i < mains[slot].size(); ++i) {
      const int64_t main = mains[slot][i];
      all.emplace_back(main, !IsSurvivors(slot), EntryOf(main, slot, i).location().raw());
    }
  }
  std::sort(all.begin(), all.end());
  std::string kept;
  std::string twice;
  int64_t last = 0;
  for (const auto& [main, fresh, location] : all) {
    absl::StrAppend(main == last ? &twice : &kept, main == last ? "twice " : "", main, "@",
                    location, "\n");
    last = main;
  }
  return kept + twice;
}

void ExpectMerged(const Mains& mains, const std::string& expected) {
  InlineParallelRunner alone;
  EXPECT_TRUE(Merged(ScansOf(mains), alone) == expected);
  for (size_t threads : {1, 2, 4}) {
    ThreadPool several("merge", threads);
    EXPECT_TRUE(Merged(ScansOf(mains), several) == expected) << threads << " threads";
  }
}

TEST(MergeScans, IsASortWithoutCopies) {
  std::mt19937_64 random(3);
  for (int64_t records : {0, 1, 100, 100000}) {
    const Mains mains = RandomMains(random, records, records / 10);
    ExpectMerged(mains, Expected(mains));
  }
}

TEST(MergeScans, SegmentsThatFollowEachOtherStayAsTheyAre) {
  const Mains mains = {{2, 3, 4}, {}, {5, 9}, {10}};
  ExpectMerged(mains, Expected(mains));
}

// Of two contradictions the lower revision is told, whoever found it first.
TEST(MergeScans, TheSameContradictionForAnyNumberOfThreads) {
  std::mt19937_64 random(4);
  Mains mains = RandomMains(random, 100000, 0);
  for (int64_t main : {90000, 40000}) {
    for (uint32_t slot : {4U, 6U, 8U}) {
      auto above = std::lower_bound(mains[slot].begin(), mains[slot].end(), main);
      if (*above != main) mains[slot].insert(above, main);
    }
  }
  InlineParallelRunner alone;
  const std::string verdict = Merged(ScansOf(mains), alone);
  EXPECT_NE(verdict.find("a revision occurs twice"), std::string::npos) << verdict.substr(0, 100);
  ExpectMerged(mains, verdict);
}

TEST(MergeScans, OneUnfinishedEntryIsAllowed) {
  InlineParallelRunner alone;
  std::vector<SegmentScan> scans(2);
  scans[0].incomplete = {{Revision(9), 64}, {Revision(9), 128}};
  EXPECT_TRUE(MergeScans(absl::MakeSpan(scans), alone).ok());
  scans[1].incomplete = {{Revision(10), 64}};
  EXPECT_TRUE(absl::IsDataLoss(MergeScans(absl::MakeSpan(scans), alone).status()));
}

}  // namespace
}  // namespace tidemark::mvcc

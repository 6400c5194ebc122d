// Merging what was found in segments, by one thread and by several, against a plain sort.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "src/base/thread_pool.h"
#include "src/mvcc/segment_recovery.h"

namespace tidemark::mvcc {
namespace {

constexpr size_t kSegments = 40;

RecordEntry EntryOf(int64_t main, uint32_t slot, size_t place) {
  RecordEntry entry;
  entry.main = main;
  entry.slot = slot;
  entry.offset_words = static_cast<uint32_t>(5 + place * 4);
  return entry;
}

// Even segments are fresh ones, odd ones survivors; `copies` of what lies in survivors lies in a
// fresh segment as well.
std::vector<SegmentScan> RandomScans(std::mt19937_64& random, int64_t records, int64_t copies) {
  std::vector<SegmentScan> scans(kSegments);
  std::vector<std::vector<int64_t>> mains(kSegments);
  for (int64_t main = 2; main < records + 2; ++main) {
    const size_t slot = random() % kSegments;
    mains[slot].push_back(main);
    if (slot % 2 == 0 || copies-- <= 0) continue;
    mains[slot - 1].push_back(main);
  }
  for (uint32_t slot = 0; slot < kSegments; ++slot) {
    scans[slot].sequence = slot + 1;
    scans[slot].survivors = slot % 2 == 1;
    for (int64_t main : mains[slot]) {
      scans[slot].records.push_back(EntryOf(main, slot, scans[slot].records.size()));
    }
  }
  return scans;
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
std::string Expected(const std::vector<SegmentScan>& scans) {
  std::vector<RecordEntry> all;
  for (const SegmentScan& scan : scans) {
    all.insert(all.end(), scan.records.begin(), scan.records.end());
  }
  std::stable_sort(all.begin(), all.end(), [&](const RecordEntry& a, const RecordEntry& b) {
    return std::pair(a.main, !scans[a.slot].survivors) <
           std::pair(b.main, !scans[b.slot].survivors);
  });
  std::string kept;
  std::string twice;
  for (size_t i = 0; i < all.size(); ++i) {
    const bool again = i > 0 && all[i - 1].main == all[i].main;
    absl::StrAppend(again ? &twice : &kept, again ? "twice " : "", all[i].main, "@",
                    all[i].location().raw(), "\n");
  }
  return kept + twice;
}

void ExpectMerged(const std::vector<SegmentScan>& scans, const std::string& expected) {
  InlineParallelRunner alone;
  EXPECT_TRUE(Merged(scans, alone) == expected);
  for (size_t threads : {1, 2, 4}) {
    ThreadPool several("merge", threads);
    EXPECT_TRUE(Merged(scans, several) == expected) << threads << " threads";
  }
}

TEST(MergeScans, IsASortWithoutCopies) {
  std::mt19937_64 random(3);
  for (int64_t records : {0, 1, 100, 100000}) {
    const std::vector<SegmentScan> scans = RandomScans(random, records, records / 10);
    ExpectMerged(scans, Expected(scans));
  }
}

TEST(MergeScans, SegmentsThatFollowEachOtherStayAsTheyAre) {
  std::vector<SegmentScan> scans(3);
  for (int64_t main = 2; main < 32; ++main) {
    SegmentScan& scan = scans[main < 20 ? 0 : 2];
    scan.records.push_back(EntryOf(main, main < 20 ? 0 : 2, scan.records.size()));
  }
  ExpectMerged(scans, Expected(scans));
}

// Of two contradictions the lower revision is told, whoever found it first.
TEST(MergeScans, TheSameContradictionForAnyNumberOfThreads) {
  std::mt19937_64 random(4);
  std::vector<SegmentScan> scans = RandomScans(random, 100000, 0);
  for (int64_t main : {90000, 40000}) {
    for (uint32_t slot : {0U, 2U}) {
      std::vector<RecordEntry>& records = scans[slot].records;
      auto above = std::find_if(records.begin(), records.end(),
                                [&](const RecordEntry& e) { return e.main >= main; });
      if (above != records.end() && above->main == main) continue;
      records.insert(above, EntryOf(main, slot, 100000 + main));
    }
  }
  InlineParallelRunner alone;
  const std::string verdict = Merged(scans, alone);
  EXPECT_NE(verdict.find("a revision occurs twice"), std::string::npos) << verdict.substr(0, 100);
  ExpectMerged(scans, verdict);
}

TEST(MergeScans, OneUnfinishedEntryIsAllowed) {
  std::vector<SegmentScan> scans(2);
  scans[0].sequence = 1;
  scans[1].sequence = 2;
  scans[0].incomplete = {{Revision(9), 64}, {Revision(9), 128}};
  ExpectMerged(scans, "");
  scans[1].incomplete = {{Revision(10), 64}};
  InlineParallelRunner alone;
  EXPECT_NE(Merged(scans, alone), "");
}

}  // namespace
}  // namespace tidemark::mvcc

// Starting with the segments that a former process left.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/mvcc/segment_log.h"

namespace tidemark::mvcc {
namespace {

// It is there and could not be opened: for want of descriptors or address space, say, which tells
// nothing of what it holds.
bool MayOpenLater(const absl::Status& status) {
  const bool is_verdict = status.ok() || absl::IsNotFound(status) || absl::IsDataLoss(status);
  return !is_verdict && !PLANTED_BUG("start_throws_away_what_it_cannot_open");
}

absl::Status NotOpenedError(const absl::Status& why) {
  return absl::UnavailableError(absl::StrCat(
      "memory of a former process is there, and cannot be opened: ", why.message(),
      "; start again when that is mended, or remove it to start from checkpoint and journal"));
}

}  // namespace

absl::Status SegmentLog::StartEmpty() {
  DiscardAll();
  RemoveLeftovers();
  maker_.memory().Remove(TableName());  // not a leftover any more once it was opened
  absl::StatusOr<std::unique_ptr<SegmentTable>> table =
      SegmentTable::Create(maker_.memory(), TableName(), maker_.identity());
  if (!table.ok()) return table.status();
  table_ = *std::move(table);
  return absl::OkStatus();
}

absl::Status SegmentLog::DiscardUnless(
    absl::FunctionRef<absl::Status(const SegmentTable::Commit&)> judge) {
  CHECK(table_ == nullptr && slots_.empty());
  absl::StatusOr<std::unique_ptr<SegmentTable>> table =
      SegmentTable::Open(maker_.memory(), TableName(), maker_.identity());
  if (MayOpenLater(table.status())) return NotOpenedError(table.status());
  if (!table.ok()) {
    RemoveLeftovers();  // what was not judged shall not be adopted, should that table open later
    return table.status();
  }
  absl::Status judged = judge((*table)->newest());
  if (judged.ok()) return judged;
  (*table)->Discard();  // first: without it the segments are nothing
  RemoveLeftovers();
  return judged;
}

void SegmentLog::RemoveLeftovers() {
  const std::string prefix = absl::StrCat(maker_.name(), "-");
  for (const std::string& name : maker_.memory().Leftovers()) {
    if (absl::StartsWith(name, prefix)) maker_.memory().Remove(name);
  }
}

absl::StatusOr<SegmentLog::Adopted> SegmentLog::Adopt(ParallelRunner& workers,
                                                      LoadProgress& progress) {
  CHECK(table_ == nullptr && slots_.empty());
  absl::StatusOr<std::unique_ptr<SegmentTable>> table =
      SegmentTable::Open(maker_.memory(), TableName(), maker_.identity());
  if (MayOpenLater(table.status())) return NotOpenedError(table.status());
  if (!table.ok()) {
    RemoveLeftovers();
    return table.status();
  }
  table_ = *std::move(table);
  absl::StatusOr<Adopted> adopted = AdoptSegments(workers, progress);
  if (absl::IsCancelled(adopted.status()) || absl::IsUnavailable(adopted.status())) {
    table_.reset();
    return adopted;
  }
  if (!adopted.ok()) DiscardAll();
  RemoveLeftovers();  // not listed yet, or no more
  return adopted;
}

void SegmentLog::DiscardAll() {
  for (const std::shared_ptr<Segment>& segment : slots_) {
    if (segment != nullptr) GiveUp(*segment);
  }
  slots_.clear();
  bases_.clear();
  free_slots_.clear();
  fresh_slot_ = survivor_slot_ = kNoSlot;
  if (table_ != nullptr) std::exchange(table_, nullptr)->Discard();
}

absl::StatusOr<SegmentLog::Adopted> SegmentLog::AdoptSegments(ParallelRunner& workers,
                                                              LoadProgress& progress) {
  absl::StatusOr<std::vector<Found>> found = ScanListed(workers, progress);
  if (!found.ok()) return found.status();
  std::vector<SegmentScan> scans;
  scans.reserve(found->size());
  for (Found& segment : *found) scans.push_back(std::move(segment.scan));
  absl::StatusOr<MergedRecords> merged = MergeScans(absl::MakeSpan(scans), workers);
  if (!merged.ok()) {
    for (const Found& segment : *found) segment.region->Discard();
    return merged.status();
  }

  Adopted adopted;
  adopted.commit = table_->newest();
  adopted.records = std::move(merged->records);
  for (size_t i = 0; i < found->size(); ++i) {
    std::shared_ptr<Segment> segment =
        maker_.Take(std::move((*found)[i].region), scans[i].used_bytes);
    for (const SegmentScan::Incomplete& record : scans[i].incomplete) {
      segment->MarkDead(record.offset);
    }
    next_sequence_ = std::max(next_sequence_, scans[i].sequence + 1);
    CHECK(PlaceInSlot(std::move(segment)) == i);
  }
  for (const RecordEntry& record : merged->duplicates) {
    slots_[record.slot]->MarkDead(record.offset());
  }
  AddLive(adopted.records);
  for (uint32_t slot = 0; slot < slot_count(); ++slot) DropIfUnused(slot);
  return adopted;
}

// In the order of the table; the first that cannot be believed is the verdict on all.
absl::StatusOr<std::vector<SegmentLog::Found>> SegmentLog::ScanListed(ParallelRunner& workers,
                                                                      LoadProgress& progress) {
  const std::vector<uint64_t> sequences = table_->Sequences();
  std::vector<Found> found(sequences.size());
  constexpr double kIndexShare = 0.55;
  progress.Begin(sequences.size() * maker_.segment_size_bytes(), kIndexShare);
  std::atomic<size_t> first_failed{sequences.size()};
  workers.ForEach(sequences.size(), [&](size_t i) {
    // The others matter no more; those before still do.
    if (i > first_failed.load(std::memory_order_relaxed) || progress.cancelled()) return;
    found[i].status = Scan(sequences[i], static_cast<uint32_t>(i), progress, &found[i]);
    if (found[i].status.ok()) return;
    size_t failed = first_failed.load(std::memory_order_relaxed);
    while (i < failed && !first_failed.compare_exchange_weak(failed, i)) {
    }
  });
  if (progress.cancelled()) return absl::CancelledError("the server is stopping");
  if (first_failed == sequences.size()) return found;
  if (absl::IsUnavailable(found[first_failed].status)) return found[first_failed].status;
  for (const Found& segment : found) {
    if (segment.region != nullptr) segment.region->Discard();
  }
  return found[first_failed].status;
}

absl::Status SegmentLog::Scan(uint64_t sequence, uint32_t slot, LoadProgress& progress,
                              Found* found) const {
  absl::StatusOr<std::unique_ptr<MemoryRegion>> region =
      maker_.memory().Open(maker_.RegionName(sequence));
  if (MayOpenLater(region.status())) return NotOpenedError(region.status());
  if (!region.ok()) {
    return absl::DataLossError(
        absl::StrCat("segment ", sequence, " is listed and missing: ", region.status().message()));
  }
  found->region = *std::move(region);
  const absl::string_view bytes(found->region->data(), found->region->size_bytes());
  absl::StatusOr<SegmentScan> scan =
      ScanSegment(bytes, {maker_.identity(), sequence, slot}, table_->newest());
  if (!scan.ok()) return scan.status();
  found->scan = *std::move(scan);
  progress.CorrectTotal(maker_.segment_size_bytes(), bytes.size());
  progress.AddRead(bytes.size());
  return absl::OkStatus();
}

absl::StatusOr<RecordRuns> SegmentLog::TakeFilled(std::vector<SegmentFiller::Filled> parts,
                                                  ParallelRunner& workers) {
  CHECK(slots_.empty() && table_ != nullptr);
  RecordRuns records;
  std::vector<uint32_t> first_slots;  // of each run's part
  absl::Status status;
  for (SegmentFiller::Filled& part : parts) {
    const uint32_t first_slot = slot_count();
    for (std::shared_ptr<Segment>& segment : part.segments) {
      next_sequence_ = std::max(next_sequence_, segment->sequence() + 1);
      segment->Seal();
      table_->Add(segment->sequence());
      PlaceInSlot(std::move(segment));
    }
    for (std::vector<RecordEntry>& run : part.records) {
      if (!records.empty() && run.front().revision() <= records.back().back().revision()) {
        status = absl::DataLossError("the parts of the image overlap");
      }
      first_slots.push_back(first_slot);
      records.push_back(std::move(run));
    }
  }
  if (!status.ok()) return status;
  workers.ForEach(records.size(), [&](size_t i) {
    for (RecordEntry& record : records[i]) record.MoveSlot(first_slots[i]);
  });
  return records;
}

void SegmentLog::AddLive(const RecordRuns& records) {
  for (const std::vector<RecordEntry>& run : records) {
    for (const RecordEntry& record : run) {
      slots_[record.slot]->AddLive(Revision(record.main), record.wire_size);
    }
  }
}

}  // namespace tidemark::mvcc

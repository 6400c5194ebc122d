// Starting with the segments that a former process left.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/mvcc/segment_log.h"

namespace tidemark::mvcc {

absl::Status SegmentLog::StartEmpty() {
  DiscardAll();
  RemoveLeftovers();
  absl::StatusOr<std::unique_ptr<SegmentTable>> table =
      SegmentTable::Create(memory_, TableName(), identity_);
  if (!table.ok()) return table.status();
  table_ = *std::move(table);
  return absl::OkStatus();
}

void SegmentLog::RemoveLeftovers() {
  const std::string prefix = absl::StrCat(name_, "-");
  for (const std::string& name : memory_.Leftovers()) {
    if (absl::StartsWith(name, prefix)) memory_.Remove(name);
  }
}

absl::StatusOr<SegmentLog::Adopted> SegmentLog::Adopt() {
  CHECK(table_ == nullptr && slots_.empty());
  absl::StatusOr<std::unique_ptr<SegmentTable>> table =
      SegmentTable::Open(memory_, TableName(), identity_);
  if (!table.ok()) {
    RemoveLeftovers();
    return table.status();
  }
  table_ = *std::move(table);
  absl::StatusOr<Adopted> adopted = AdoptSegments();
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

absl::StatusOr<std::vector<std::unique_ptr<MemoryRegion>>> SegmentLog::OpenListed() {
  std::vector<std::unique_ptr<MemoryRegion>> regions;
  absl::Status failed;
  for (const uint64_t sequence : table_->Sequences()) {
    absl::StatusOr<std::unique_ptr<MemoryRegion>> region = memory_.Open(RegionName(sequence));
    if (region.ok()) {
      regions.push_back(*std::move(region));
      continue;
    }
    failed = absl::DataLossError(
        absl::StrCat("segment ", sequence, " is listed and missing: ", region.status().message()));
    break;
  }
  if (failed.ok()) return regions;
  for (const auto& region : regions) region->Discard();
  return failed;
}

absl::StatusOr<MergedRecords> SegmentLog::ScanAll(
    const std::vector<std::unique_ptr<MemoryRegion>>& regions,
    std::vector<SegmentScan>* scans) const {
  const std::vector<uint64_t> sequences = table_->Sequences();
  for (size_t i = 0; i < regions.size(); ++i) {
    const absl::string_view bytes(regions[i]->data(), regions[i]->size_bytes());
    absl::StatusOr<SegmentScan> scan =
        ScanSegment(bytes, identity_, sequences[i], table_->newest());
    if (!scan.ok()) return scan.status();
    scans->push_back(*std::move(scan));
  }
  return MergeScans(absl::MakeSpan(*scans));
}

absl::StatusOr<SegmentLog::Adopted> SegmentLog::AdoptSegments() {
  absl::StatusOr<std::vector<std::unique_ptr<MemoryRegion>>> regions = OpenListed();
  if (!regions.ok()) return regions.status();
  std::vector<SegmentScan> scans;
  absl::StatusOr<MergedRecords> merged = ScanAll(*regions, &scans);
  if (!merged.ok()) {
    for (const auto& region : *regions) region->Discard();
    return merged.status();
  }

  Adopted adopted;
  adopted.commit = table_->newest();
  for (size_t i = 0; i < regions->size(); ++i) {
    auto segment =
        std::make_shared<Segment>(std::move((*regions)[i]), scans[i].used_bytes, mapped_bytes_);
    for (const FoundRecord& record : scans[i].incomplete) segment->MarkDead(record.offset());
    next_sequence_ = std::max(next_sequence_, scans[i].sequence + 1);
    CHECK(PlaceInSlot(std::move(segment)) == i);
  }
  for (const FoundRecord& record : merged->duplicates) {
    slots_[record.segment]->MarkDead(record.offset());
  }
  adopted.records.reserve(merged->records.size());
  for (const FoundRecord& record : merged->records) {
    slots_[record.segment]->AddLive(record.offset());
    adopted.records.emplace_back(record.revision, Location(record.segment, record.offset()));
  }
  for (uint32_t slot = 0; slot < slot_count(); ++slot) DropIfUnused(slot);
  return adopted;
}

}  // namespace tidemark::mvcc

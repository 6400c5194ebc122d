#include "src/inspect/checkpoint_part.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "src/inspect/record_hashes.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_store.h"
#include "src/kvstore/node_state.h"

namespace tidemark::inspect {
namespace {

using kvstore::CheckpointHeader;
using kvstore::CheckpointStore;
using kvstore::ImageState;
using Json = nlohmann::ordered_json;
using Kind = Finding::Kind;

// Of a map's canonical text: its first item is the format, each further one a partition besides the
// one of the rest.
size_t PartitionCountOf(absl::string_view map) {
  const std::vector<absl::string_view> items = absl::StrSplit(map, ';', absl::SkipEmpty());
  return std::max<size_t>(items.size(), 1);
}

class CheckpointPart : public Part {
 public:
  CheckpointPart(FileSystem& files, std::string directory, DirectoryFacts* facts)
      : files_(files), path_(std::move(directory)), facts_(*facts) {}

  std::string lock_path() const override { return absl::StrCat(path_, "/LOCK"); }

  PartReport Inspect() override {
    PartReport report;
    report.name = "checkpoints";
    report.facts["directory"] = path_;
    uint64_t store = 0;
    auto opened = OpenStore(facts_.store.value_or(kvstore::kAnyCheckpointStore), &store);
    if (store != 0) report.facts["store"] = absl::StrFormat("%016x", store);
    const bool is_foreign = store != 0 && facts_.store.value_or(store) != store;
    if (opened.ok() && store != 0 && !facts_.has_journal) {
      AddRefusal(absl::FailedPreconditionError(absl::StrFormat(
                     "these are checkpoints of the journal %016x, and there is no journal", store)),
                 Kind::kDamage, &report);
    } else if (absl::IsNotFound(opened.status())) {
      report.Add(Kind::kNote, "there are no checkpoints yet");
      report.facts["next_start"] = {{"opens", true}};
    } else if (absl::IsDataLoss(opened.status()) && facts_.journal_opens && !facts_.is_trimmed()) {
      report.Add(Kind::kNote, absl::StrCat(opened.status().message(),
                                           "; the next start sets them aside, and replays the "
                                           "journal from its beginning"));
      report.facts["next_start"] = {{"opens", true}};
    } else if (!opened.ok()) {
      const bool is_damage = absl::IsDataLoss(opened.status()) || is_foreign;
      AddRefusal(opened.status(), is_damage ? Kind::kDamage : Kind::kUnknown, &report);
      if (is_foreign) opened = OpenStore(kvstore::kAnyCheckpointStore, &store);
    } else {
      report.facts["next_start"] = {{"opens", true}};
    }
    if (opened.ok()) AddPartitions(**opened, is_foreign, &report);
    // Of checkpoints that do not open nobody knows which are missing.
    if (opened.ok() || absl::IsNotFound(opened.status())) CheckCovered(&report);
    return report;
  }

 private:
  absl::StatusOr<std::unique_ptr<CheckpointStore>> OpenStore(uint64_t expected, uint64_t* found) {
    kvstore::RocksCheckpointOptions options;
    options.directory = path_;
    options.store = expected;
    options.file_system = &files_;
    return kvstore::OpenRocksCheckpointStoreReadOnly(options, found);
  }

  static void AddRefusal(const absl::Status& refused, Kind kind, PartReport* report) {
    report->Add(kind, std::string(refused.message()));
    report->facts["next_start"] = {{"opens", false}, {"refusal", std::string(refused.message())}};
  }

  void AddPartitions(const CheckpointStore& store, bool is_foreign, PartReport* report) {
    report->facts["disk_bytes"] = store.TotalDiskBytes();
    Json rows = Json::array();
    for (PartitionId id : store.Partitions()) {
      partitions_.insert(id);
      const absl::StatusOr<std::optional<CheckpointHeader>> header = store.Newest(id);
      if (!header.ok() || !header->has_value()) continue;
      Json row = {{"partition", id.value()},
                  {"position", (*header)->at.position.value()},
                  {"revision", (*header)->at.revision.value()},
                  {"compact_revision", (*header)->compact_revision.value()},
                  {"records", (*header)->records},
                  {"bytes", (*header)->record_bytes},
                  {"disk_bytes", store.DiskBytes(id)}};
      const absl::StatusOr<ImageState> image = kvstore::DecodeImageState((*header)->node_state);
      absl::Status status = image.status();
      if (image.ok()) {
        AddImage(*image, &row);
        if (!is_foreign) CheckAgainstJournal(id, **header, *image, report);
        status = CheckRecords(store, **header, *image, &row);
      }
      row["checked"] = status.ok() ? "whole" : absl::IsDataLoss(status) ? "damaged" : "unreadable";
      if (!status.ok()) AddDamage(id, status, report);
      rows.push_back(std::move(row));
    }
    report->facts["partitions"] = std::move(rows);
    if (!map_.empty()) report->facts["partition_map"] = map_;
  }

  static void AddImage(const ImageState& image, Json* row) {
    (*row)["last_change"] = image.last_change.value();
    (*row)["leases"] = image.node.leases.size();
    (*row)["alarms"] = image.node.alarms.size();
  }

  // As ReplicaStarter does, without a store.
  static absl::Status CheckRecords(const CheckpointStore& store, const CheckpointHeader& header,
                                   const ImageState& image, Json* row) {
    absl::StatusOr<std::unique_ptr<kvstore::CheckpointReader>> reader =
        store.Read(header.partition);
    if (!reader.ok()) return reader.status();
    RecordHashes hashes;
    while (true) {
      absl::StatusOr<std::optional<kvstore::CheckpointRecord>> record = (*reader)->Next();
      if (!record.ok()) return record.status();
      if (!record->has_value()) break;
      if (absl::Status added = hashes.Add(**record); !added.ok()) return added;
    }
    (*row)["live_keys"] = hashes.live_keys();
    if (hashes.state_hash() == header.state_hash && hashes.stored_hash() == image.stored_hash) {
      return absl::OkStatus();
    }
    return absl::DataLossError("the checkpoint's records are not those that it was made of");
  }

  void CheckAgainstJournal(PartitionId id, const CheckpointHeader& header, const ImageState& image,
                           PartReport* report) {
    facts_.last_changes[id] = image.last_change;
    if (map_.empty())
      map_ = facts_.partition_map.empty() ? image.partition_map : facts_.partition_map;
    if (image.partition_map != map_) {
      report->Add(Kind::kDamage, absl::StrCat("partition ", id.value(),
                                              " was written under another partition map: \"",
                                              image.partition_map, "\", not \"", map_, "\""));
    }
    if (!facts_.journal_opens) return;
    const Position at = header.at.position;
    if (at <= facts_.tail.position && at.Next() >= facts_.first) return;
    report->Add(
        Kind::kDamage,
        absl::StrCat("partition ", id.value(), ": the checkpoint stands at position ", at.value(),
                     ", and the journal holds ", facts_.first.value(), " to ",
                     facts_.tail.position.value(), ": one of them was replaced by another copy"));
  }

  // A whole journal replaces a damaged checkpoint.
  void AddDamage(PartitionId id, const absl::Status& status, PartReport* report) const {
    std::string text = absl::StrCat("partition ", id.value(), ": ", status.message());
    if (!absl::IsDataLoss(status)) return report->Add(Kind::kUnknown, std::move(text));
    if (facts_.journal_opens && !facts_.is_trimmed()) {
      absl::StrAppend(&text,
                      "; the next start does not use it, and replays the journal from its "
                      "beginning");
      return report->Add(Kind::kNote, std::move(text));
    }
    if (facts_.is_trimmed()) {
      absl::StrAppend(&text, "; the journal begins at ", facts_.first.value(),
                      " and cannot replace it");
    }
    report->Add(Kind::kDamage, std::move(text));
  }

  void CheckCovered(PartReport* report) const {
    if (!facts_.journal_opens || !facts_.is_trimmed()) return;
    // The map may be trimmed with everything else; every start claims every partition.
    std::set<PartitionId> wanted = facts_.claimed;
    const std::string& map = map_.empty() ? facts_.partition_map : map_;
    for (size_t i = 0; i < PartitionCountOf(map); ++i) {
      wanted.insert(PartitionId(static_cast<uint32_t>(i)));
    }
    for (PartitionId id : wanted) {
      if (partitions_.contains(id)) continue;
      report->Add(Kind::kDamage,
                  absl::StrCat("partition ", id.value(),
                               ": there is no checkpoint, and the journal begins at ",
                               facts_.first.value()));
    }
  }

  FileSystem& files_;
  const std::string path_;
  DirectoryFacts& facts_;
  std::set<PartitionId> partitions_;  // that have one
  std::string map_;
};

}  // namespace

std::unique_ptr<Part> MakeCheckpointPart(FileSystem& files, std::string directory,
                                         DirectoryFacts* facts) {
  return std::make_unique<CheckpointPart>(files, std::move(directory), facts);
}

}  // namespace tidemark::inspect

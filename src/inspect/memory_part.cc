#include "src/inspect/memory_part.h"

#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "src/base/tmpfs_mapper.h"
#include "src/mvcc/segment_table.h"
#include "src/mvcc/version_store.h"
#include "src/partition/store_names.h"

namespace tidemark::inspect {
namespace {

using Json = nlohmann::ordered_json;
using Kind = Finding::Kind;

// "p<partition>-..."
std::set<PartitionId> PartitionsOf(const MemoryMapper& memory) {
  std::set<PartitionId> ids;
  for (const std::string& name : memory.Leftovers()) {
    uint32_t id = 0;
    const size_t dash = name.find('-');
    if (dash == std::string::npos || name[0] != 'p') continue;
    if (absl::SimpleAtoi(name.substr(1, dash - 1), &id)) ids.insert(PartitionId(id));
  }
  return ids;
}

class MemoryPart : public Part {
 public:
  MemoryPart(FileSystem& files, std::string directory, const DirectoryFacts* facts)
      : files_(files), path_(std::move(directory)), facts_(*facts) {}

  std::string lock_path() const override { return TmpfsSnapshot::LockPath(path_); }

  PartReport Inspect() override {
    PartReport report;
    report.name = "memory";
    report.facts["directory"] = path_;
    if (files_.Exists(lock_path()) && files_.IsLocked(lock_path()).value_or(false)) {
      report.Add(Kind::kNote, "its owner is running: what changes meanwhile is not looked at");
      return report;
    }
    absl::StatusOr<std::unique_ptr<TmpfsSnapshot>> memory = TmpfsSnapshot::Look(path_);
    if (!memory.ok()) {
      report.Add(Kind::kNote, absl::StrCat("the next start is cold: ", memory.status().message()));
      return report;
    }
    const std::set<PartitionId> ids = PartitionsOf(**memory);
    if (ids.empty()) report.Add(Kind::kNote, "the next start is cold: nothing was left");
    if (ids.empty()) return report;
    if (!facts_.store.has_value()) {
      report.Add(Kind::kNote, "without a journal nobody knows whose memory this is");
      return report;
    }
    Json rows = Json::array();
    for (PartitionId id : ids) rows.push_back(InspectPartition(**memory, id, &report));
    report.facts["partitions"] = std::move(rows);
    return report;
  }

 private:
  Json InspectPartition(TmpfsSnapshot& memory, PartitionId id, PartReport* report) const {
    Json row = {{"partition", id.value()}};
    const mvcc::StoreOptions options = partition::StoreOptionsOf(*facts_.store, id);
    auto table = mvcc::SegmentTable::Open(memory, mvcc::SegmentTable::NameFor(options.name),
                                          options.identity);
    row["segments"] = table.ok() ? Json((*table)->Sequences().size()) : Json();
    std::unique_ptr<mvcc::VersionStore> store = mvcc::VersionStore::Create(options, memory);
    absl::Status adopted = table.ok() ? Judge((*table)->newest()) : absl::OkStatus();
    if (adopted.ok()) adopted = Adopt(*store, id);
    const mvcc::StoreStats stats = store->stats();
    row["adopted"] = adopted.ok();
    row["bytes"] = adopted.ok() ? Json(stats.segment_bytes) : Json();
    row["records"] = adopted.ok() ? Json(stats.versions) : Json();
    row["live_keys"] = adopted.ok() ? Json(stats.live_keys) : Json();
    row["last_change"] = table.ok() ? Json((*table)->newest().main.value()) : Json();
    if (absl::IsUnavailable(adopted)) {
      report->Add(Kind::kUnknown, absl::StrCat("partition ", id.value(), ": ", adopted.message(),
                                               " (a start ends as well if it cannot)"));
    } else if (!adopted.ok()) {
      report->Add(Kind::kNote, absl::StrCat("partition ", id.value(),
                                            " will not start from memory: ", adopted.message()));
    }
    return row;
  }

  // As ReplicaStarter does.
  absl::Status Judge(const mvcc::SegmentTable::Commit& commit) const {
    if (!facts_.journal_opens) return absl::OkStatus();
    return facts_.history.Check(commit.start_id, {Position(commit.compacted_at), commit.main},
                                {facts_.tail.position, facts_.tail.revision});
  }
  absl::Status Adopt(mvcc::VersionStore& store, PartitionId id) const {
    if (absl::Status adopted = store.Adopt(); !adopted.ok()) return adopted;
    const Revision last_change = store.stats().last_change;
    auto checkpoint = facts_.last_changes.find(id);
    if (checkpoint != facts_.last_changes.end() && last_change < checkpoint->second) {
      return absl::DataLossError("it is older than the checkpoint");
    }
    return absl::OkStatus();
  }

  FileSystem& files_;
  const std::string path_;
  const DirectoryFacts& facts_;
};

}  // namespace

std::unique_ptr<Part> MakeMemoryPart(FileSystem& files, std::string directory,
                                     const DirectoryFacts* facts) {
  return std::make_unique<MemoryPart>(files, std::move(directory), facts);
}

}  // namespace tidemark::inspect

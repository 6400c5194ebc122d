#include "src/partition/replica_starter.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"

namespace tidemark::partition {
namespace {

// More than threads, so that none waits long for the last; fewer than would leave many segments
// half empty.
constexpr size_t kCheckpointPartsMax = 64;
constexpr int64_t kRecordsPerStep = 64;
constexpr double kIndexShare = 0.15;  // of the work on a checkpoint

absl::string_view NameOf(ReplicaStarter::Way way) {
  switch (way) {
    case ReplicaStarter::Way::kEmpty:
      return "empty";
    case ReplicaStarter::Way::kWarm:
      return "warm";
    case ReplicaStarter::Way::kCold:
      return "cold";
  }
  return "";
}

}  // namespace

absl::Status ReplicaStarter::JudgeMemory(const journal::History& history,
                                         const journal::Tail& tail) {
  if (PLANTED_BUG("start_judges_memory_after_early_writes")) return absl::OkStatus();
  const absl::Status judged =
      doors_.replica.store().DiscardUnless([&](const mvcc::VersionStore::Left& left) {
        return history.Check(left.start_id, {left.compacted_at, left.newest},
                             {tail.position, tail.revision});
      });
  if (absl::IsUnavailable(judged)) return Named(judged);
  LogRefused(judged);
  return absl::OkStatus();
}

absl::Status ReplicaStarter::Named(const absl::Status& status) const {
  return absl::Status(status.code(), absl::StrCat("partition ", name_, ": ", status.message()));
}

void ReplicaStarter::LogRefused(const absl::Status& memory) const {
  if (memory.ok() || absl::IsNotFound(memory)) return;
  TLOG(kWarn, "memory of a former process is not used",
       {{"partition", name_}, {"reason", memory.message()}});
}

void ReplicaStarter::Start(const Journal& journal, Done done) {
  journal_ = journal;
  done_ = std::move(done);
  began_ = doors_.clock.Monotonic();
  doors_.workers.Start([this] {
    absl::StatusOr<Way> way = Load();
    doors_.replica.executor().Post([this, way = std::move(way)] { Finish(way); });
  });
}

absl::StatusOr<ReplicaStarter::Way> ReplicaStarter::Load() {
  if (absl::Status status = ReadHeader(); !status.ok()) return LoadWithoutCheckpoint(status);
  if (header_) {
    if (absl::Status status = CheckHeader(); !status.ok()) return status;
  } else if (journal_.first > Position(1)) {
    return absl::DataLossError(absl::StrCat("there is no checkpoint, and the journal begins at ",
                                            journal_.first.value(),
                                            ": restore the data directory from a copy"));
  }
  absl::Status adopted = Adopt();
  if (adopted.ok()) return Way::kWarm;
  if (absl::IsCancelled(adopted) || absl::IsUnavailable(adopted)) return adopted;
  LogRefused(adopted);
  return header_ ? LoadCheckpoint() : LoadNothing();
}

absl::Status ReplicaStarter::ReadHeader() {
  if (doors_.checkpoints == nullptr) return absl::OkStatus();
  absl::StatusOr<std::optional<kvstore::CheckpointHeader>> header =
      doors_.checkpoints->Newest(doors_.replica.partition());
  if (!header.ok()) return header.status();
  if (!header->has_value()) return absl::OkStatus();
  absl::StatusOr<kvstore::ImageState> image = kvstore::DecodeImageState((*header)->node_state);
  if (!image.ok()) return image.status();
  header_ = *std::move(header);
  image_ = *std::move(image);
  return absl::OkStatus();
}

absl::Status ReplicaStarter::CheckHeader() const {
  if (image_.partition_map != partition_map_) {
    return absl::FailedPreconditionError(
        absl::StrCat("the data was written under another partition map: \"",
                     absl::CHexEscape(image_.partition_map), "\", not \"", partition_map_,
                     "\"; start with the former map, or with an empty data directory"));
  }
  const Position at = header_->at.position;
  if (at > journal_.tail.position || at.Next() < journal_.first) {
    return absl::DataLossError(
        absl::StrCat("the checkpoint stands at position ", at.value(), ", and the journal holds ",
                     journal_.first.value(), " to ", journal_.tail.position.value(),
                     ": one of them was replaced by another copy; restore the whole data directory "
                     "from one copy"));
  }
  return absl::OkStatus();
}

absl::Status ReplicaStarter::Adopt() {
  mvcc::VersionStore& store = doors_.replica.store();
  absl::Status adopted = store.Adopt(doors_.workers, doors_.progress);
  if (!adopted.ok()) return adopted;
  const Revision last_change = store.stats().last_change;
  if (header_ && last_change < image_.last_change && !PLANTED_BUG("start_believes_stale_memory")) {
    return absl::DataLossError("it is older than the checkpoint");
  }
  return absl::OkStatus();
}

absl::StatusOr<ReplicaStarter::Way> ReplicaStarter::LoadNothing() {
  if (absl::Status status = doors_.replica.store().StartEmpty(); !status.ok()) return status;
  header_.reset();
  image_ = {};
  return Way::kEmpty;
}

absl::StatusOr<ReplicaStarter::Way> ReplicaStarter::LoadCheckpoint() {
  if (absl::Status status = doors_.replica.store().StartEmpty(); !status.ok()) return status;
  absl::Status status = LoadParts();
  if (status.ok()) status = CheckLoaded();
  if (!status.ok()) return LoadWithoutCheckpoint(status);
  return Way::kCold;
}

absl::Status ReplicaStarter::LoadParts() {
  mvcc::VersionStore& store = doors_.replica.store();
  const std::vector<kvstore::CheckpointPart> parts =
      doors_.checkpoints->Cut(doors_.replica.partition(), kCheckpointPartsMax);
  doors_.progress.Begin(header_->record_bytes, kIndexShare);
  store.BeginRestore(parts.size());
  std::vector<absl::Status> read(parts.size());
  doors_.workers.ForEach(parts.size(), [&](size_t i) { read[i] = LoadPart(i, parts[i]); });
  for (absl::Status& status : read) {
    if (!status.ok()) return status;
  }
  return store.FinishRestore(doors_.workers, doors_.progress);
}

absl::Status ReplicaStarter::LoadPart(size_t number, const kvstore::CheckpointPart& part) {
  absl::StatusOr<std::unique_ptr<kvstore::CheckpointReader>> reader =
      doors_.checkpoints->ReadPart(doors_.replica.partition(), part);
  if (!reader.ok()) return reader.status();
  uint64_t bytes = 0;
  for (int64_t i = 1;; ++i) {
    absl::StatusOr<std::optional<kvstore::CheckpointRecord>> next = (*reader)->Next();
    if (!next.ok()) return next.status();
    if (!next->has_value()) break;
    const kvstore::CheckpointRecord& record = **next;
    absl::Status restored =
        doors_.replica.store().Restore(number, record.revision, record.tombstone, record.wire);
    if (!restored.ok()) return restored;
    bytes += record.wire.size();
    if (i % kRecordsPerStep != 0) continue;
    FAIL_POINT("start.load_step");
    doors_.progress.AddRead(std::exchange(bytes, 0));
    if (doors_.progress.cancelled()) return absl::CancelledError("the server is stopping");
  }
  FAIL_POINT("start.part_loaded");
  doors_.progress.AddRead(bytes);
  return absl::OkStatus();
}

// The checksums vouch for each record, the hashes for all of them being there.
absl::Status ReplicaStarter::CheckLoaded() const {
  const mvcc::StoreStats stats = doors_.replica.store().stats();
  if (stats.versions != header_->records || stats.state_hash != header_->state_hash ||
      static_cast<uint64_t>(stats.wire_bytes) != header_->record_bytes ||
      stats.stored_hash != image_.stored_hash) {
    return absl::DataLossError("the checkpoint's records are not those that it was made of");
  }
  return absl::OkStatus();
}

// Everything can still be replayed, unless the journal was trimmed.
absl::StatusOr<ReplicaStarter::Way> ReplicaStarter::LoadWithoutCheckpoint(const absl::Status& why) {
  if (!absl::IsDataLoss(why)) return why;
  if (journal_.first > Position(1)) {
    std::string lost = "a checkpoint";
    if (header_) {
      lost = absl::StrCat("the checkpoint at position ", header_->at.position.value(),
                          ", revision ", header_->at.revision.value(), ", with ", header_->records,
                          " versions of keys,");
    }
    return absl::DataLossError(absl::StrCat(
        lost, " cannot be read: ", why.message(), "; the journal begins at ",
        journal_.first.value(),
        " and cannot replace it, so what was written to this partition before is lost here (of "
        "the others, `tidemark inspect` says what is whole): restore the data directory from a "
        "copy"));
  }
  TLOG(kWarn, "a damaged checkpoint is not used; the journal is replayed from its beginning",
       {{"partition", name_}, {"reason", why.message()}});
  return LoadNothing();
}

void ReplicaStarter::Finish(absl::StatusOr<Way> way) {
  if (!way.ok()) {
    return std::exchange(done_, nullptr)(Named(way.status()));
  }
  doors_.progress.End();
  kvstore::Replica::StartFrom from;
  if (header_) {
    from.at = header_->at;
    from.compacted = header_->compact_revision;
    from.last_change = image_.last_change;
    from.node = image_.node;
  }
  const mvcc::StoreStats stats = doors_.replica.store().stats();
  TLOG(kInfo, "partition starts",
       {{"partition", name_},
        {"way", NameOf(*way)},
        {"checkpoint-position", from.at.position.value()},
        {"keys", stats.live_keys},
        {"last-change", stats.last_change.value()},
        {"bytes", doors_.progress.Get().total_bytes},
        {"took", doors_.clock.Monotonic() - began_}});
  doors_.replica.Start(from);
  Started started{*way, from.at.position.Next(), header_.has_value()};
  started.is_good =
      header_.has_value() && doors_.checkpoints->KnownDamage(doors_.replica.partition()).ok();
  if (PLANTED_BUG("start_skips_an_entry") && header_) started.next = started.next.Next();
  std::exchange(done_, nullptr)(started);
}

}  // namespace tidemark::partition

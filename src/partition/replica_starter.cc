#include "src/partition/replica_starter.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"

namespace tidemark::partition {
namespace {

constexpr int64_t kRecordsPerStep = 20000;

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

void ReplicaStarter::Start(const Journal& journal, Done done) {
  journal_ = journal;
  done_ = std::move(done);
  if (absl::Status status = ReadHeader(); !status.ok()) return GiveUpCheckpoint(status);
  if (header_) {
    if (absl::Status status = CheckHeader(); !status.ok()) return Fail(status);
  } else if (journal_.first > Position(1)) {
    return Fail(absl::DataLossError(
        absl::StrCat("there is no checkpoint, and the journal begins at ", journal_.first.value(),
                     ": restore the data directory from a copy")));
  }
  if (TryWarm()) return Finish(Way::kWarm);
  if (header_) return StartCold();
  StartEmpty();
}

absl::Status ReplicaStarter::ReadHeader() {
  if (checkpoints_ == nullptr) return absl::OkStatus();
  absl::StatusOr<std::optional<kvstore::CheckpointHeader>> header =
      checkpoints_->Newest(replica_.partition());
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

bool ReplicaStarter::TryWarm() {
  mvcc::VersionStore& store = replica_.store();
  absl::Status adopted = store.Adopt();
  const Revision last_change = store.stats().last_change;
  if (adopted.ok() && last_change > journal_.tail.revision) {
    adopted = absl::DataLossError(absl::StrCat("it is ahead of the journal: ", last_change.value(),
                                               " > ", journal_.tail.revision.value()));
  }
  if (adopted.ok() && header_ && last_change < image_.last_change &&
      !PLANTED_BUG("start_believes_stale_memory")) {
    adopted = absl::DataLossError("it is older than the checkpoint");
  }
  if (adopted.ok()) return true;
  if (!absl::IsNotFound(adopted)) {
    TLOG(kWarn, "memory of a former process is not used",
         {{"partition", name_}, {"reason", adopted.message()}});
  }
  return false;
}

void ReplicaStarter::StartEmpty() {
  if (absl::Status status = replica_.store().StartEmpty(); !status.ok()) return Fail(status);
  header_.reset();
  image_ = {};
  Finish(Way::kEmpty);
}

void ReplicaStarter::StartCold() {
  if (absl::Status status = replica_.store().StartEmpty(); !status.ok()) return Fail(status);
  absl::StatusOr<std::unique_ptr<kvstore::CheckpointReader>> reader =
      checkpoints_->Read(replica_.partition());
  if (!reader.ok()) return GiveUpCheckpoint(reader.status());
  reader_ = *std::move(reader);
  LoadStep();
}

void ReplicaStarter::LoadStep() {
  bool finished = false;
  absl::Status status = LoadRecords(kRecordsPerStep, &finished);
  if (status.ok() && finished) status = CheckLoaded();
  if (!status.ok()) return GiveUpCheckpoint(status);
  if (finished) return Finish(Way::kCold);
  replica_.executor().Post([this] { LoadStep(); });
}

absl::Status ReplicaStarter::LoadRecords(int64_t max_records, bool* finished) {
  for (int64_t i = 0; i < max_records; ++i) {
    absl::StatusOr<std::optional<kvstore::CheckpointRecord>> record = reader_->Next();
    if (!record.ok()) return record.status();
    if (!record->has_value()) {
      *finished = true;
      return absl::OkStatus();
    }
    absl::Status restored =
        replica_.store().Restore((*record)->revision, (*record)->tombstone, (*record)->wire);
    if (!restored.ok()) return restored;
  }
  return absl::OkStatus();
}

// The checksums vouch for each record, the hashes for all of them being there.
absl::Status ReplicaStarter::CheckLoaded() const {
  const mvcc::StoreStats stats = replica_.store().stats();
  if (stats.versions != header_->records || stats.state_hash != header_->state_hash ||
      stats.stored_hash != image_.stored_hash) {
    return absl::DataLossError("the checkpoint's records are not those that it was made of");
  }
  return absl::OkStatus();
}

// Without it everything can still be replayed, unless the journal was trimmed.
void ReplicaStarter::GiveUpCheckpoint(const absl::Status& why) {
  reader_.reset();
  if (!absl::IsDataLoss(why)) return Fail(why);
  if (journal_.first > Position(1)) {
    return Fail(absl::DataLossError(
        absl::StrCat(why.message(), "; the journal begins at ", journal_.first.value(),
                     " and cannot replace it: restore the data directory from a copy")));
  }
  TLOG(kWarn, "a damaged checkpoint is not used; the journal is replayed from its beginning",
       {{"partition", name_}, {"reason", why.message()}});
  StartEmpty();
}

void ReplicaStarter::Finish(Way way) {
  reader_.reset();
  kvstore::Replica::StartFrom from;
  if (header_) {
    from.at = header_->at;
    from.compacted = header_->compact_revision;
    from.last_change = image_.last_change;
    from.node = image_.node;
  }
  TLOG(kInfo, "partition starts",
       {{"partition", name_},
        {"way", NameOf(way)},
        {"checkpoint-position", from.at.position.value()},
        {"keys", replica_.store().stats().live_keys},
        {"last-change", replica_.store().stats().last_change.value()}});
  replica_.Start(from);
  Started started{way, from.at.position.Next(), header_.has_value()};
  if (PLANTED_BUG("start_skips_an_entry") && header_) started.next = started.next.Next();
  std::exchange(done_, nullptr)(started);
}

absl::Status ReplicaStarter::Named(const absl::Status& status) const {
  return absl::Status(status.code(), absl::StrCat("partition ", name_, ": ", status.message()));
}

void ReplicaStarter::Fail(const absl::Status& status) {
  std::exchange(done_, nullptr)(Named(status));
}

}  // namespace tidemark::partition

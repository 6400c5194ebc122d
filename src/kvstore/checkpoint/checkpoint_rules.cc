#include "src/kvstore/checkpoint/checkpoint_rules.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::kvstore {
namespace {

std::string Name(mvcc::RevisionKey revision) {
  return absl::StrCat(revision.main.value(), ".", revision.sub);
}

}  // namespace

WriterRules::WriterRules(PartitionId partition, bool is_increment,
                         std::optional<CheckpointHeader> newest)
    : partition_(partition), is_increment_(is_increment), newest_(std::move(newest)) {
  CHECK(!is_increment || newest_.has_value());
}

absl::Status WriterRules::CheckOrder(mvcc::RevisionKey revision) {
  if (revision.main.value() < 0 || revision.sub < 0) {
    return absl::InvalidArgumentError(absl::StrCat("revision ", Name(revision)));
  }
  if (previous_.has_value() && revision <= *previous_) {
    return absl::InvalidArgumentError(
        absl::StrCat("revision ", Name(revision), " after ", Name(*previous_)));
  }
  previous_ = revision;
  return absl::OkStatus();
}

absl::Status WriterRules::CheckRemove(mvcc::RevisionKey revision) {
  if (!is_increment_) return absl::InvalidArgumentError("Remove in a whole checkpoint");
  if (added_ > 0) return absl::InvalidArgumentError("Remove after Add");
  if (revision.main > newest_->at.revision) {
    return absl::InvalidArgumentError(absl::StrCat("removes ", Name(revision), ", the base is at ",
                                                   newest_->at.revision.value()));
  }
  if (removed_ == newest_->records) {
    return absl::InvalidArgumentError(
        absl::StrCat("removes more than the base's ", newest_->records, " records"));
  }
  absl::Status status = CheckOrder(revision);
  if (status.ok()) ++removed_;
  return status;
}

absl::Status WriterRules::CheckAdd(const CheckpointRecord& record) {
  if (record.wire.size() > kCheckpointRecordBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("record ", Name(record.revision), " of ", record.wire.size(), " bytes"));
  }
  if (is_increment_ && record.revision.main <= newest_->at.revision) {
    return absl::InvalidArgumentError(absl::StrCat(
        "adds ", Name(record.revision), ", the base is at ", newest_->at.revision.value()));
  }
  absl::Status status = CheckOrder(record.revision);
  if (!status.ok()) return status;
  ++added_;
  added_bytes_ += record.wire.size();
  return status;
}

absl::Status WriterRules::CheckCommit(const CheckpointHeader& header) const {
  if (header.partition != partition_ || header.node_state.size() > kCheckpointNodeStateBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("header for partition ", header.partition.value(), " with ",
                     header.node_state.size(), " bytes of node state"));
  }
  if (newest_.has_value() &&
      (header.at.position < newest_->at.position || header.at.revision < newest_->at.revision)) {
    return absl::InvalidArgumentError(
        absl::StrCat("position ", header.at.position.value(), " revision ",
                     header.at.revision.value(), " behind the newest checkpoint's ",
                     newest_->at.position.value(), " and ", newest_->at.revision.value()));
  }
  if (header.at.revision < kEmptyStoreRevision ||
      (added_ > 0 && previous_->main > header.at.revision)) {
    return absl::InvalidArgumentError(
        absl::StrCat("header at revision ", header.at.revision.value(), ", newest record ",
                     previous_.has_value() ? Name(*previous_) : "none"));
  }
  int64_t records = (is_increment_ ? newest_->records : 0) - removed_ + added_;
  if (header.records != records || (!is_increment_ && header.record_bytes != added_bytes_)) {
    return absl::InvalidArgumentError(
        absl::StrCat("header says ", header.records, " records of ", header.record_bytes,
                     " bytes; written: ", records, " records, ", added_bytes_, " bytes added"));
  }
  return absl::OkStatus();
}

absl::Status ReaderRules::Check(const CheckpointRecord& record) {
  if (previous_.has_value() && record.revision <= *previous_) {
    return absl::DataLossError(
        absl::StrCat("record ", Name(record.revision), " after ", Name(*previous_)));
  }
  if (!part_.Contains(record.revision)) {
    return absl::DataLossError(absl::StrCat("record ", Name(record.revision), " in another part"));
  }
  if (record.revision.main > header_.at.revision) {
    return absl::DataLossError(absl::StrCat("record ", Name(record.revision),
                                            " in a checkpoint at revision ",
                                            header_.at.revision.value()));
  }
  previous_ = record.revision;
  ++records_;
  record_bytes_ += record.wire.size();
  return absl::OkStatus();
}

absl::Status ReaderRules::CheckEnd() const {
  if (!part_.is_whole()) return absl::OkStatus();
  if (records_ == header_.records && record_bytes_ == header_.record_bytes) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat("found ", records_, " records of ", record_bytes_,
                                          " bytes; the header says ", header_.records, " of ",
                                          header_.record_bytes));
}

std::vector<CheckpointPart> PartsBetween(const std::vector<mvcc::RevisionKey>& cuts) {
  std::vector<CheckpointPart> parts(1);
  for (mvcc::RevisionKey cut : cuts) {
    CHECK(cut > parts.back().from);
    parts.back().to = cut;
    parts.push_back({.from = cut, .to = std::nullopt});
  }
  return parts;
}

}  // namespace tidemark::kvstore

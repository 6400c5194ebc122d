#include "bench/tidebench/workloads/compaction_ops.h"

#include <algorithm>
#include <utility>

#include "bench/tidebench/workloads/answers.h"

namespace tidemark::bench {
namespace {

constexpr absl::string_view kCompactedText =
    "etcdserver: mvcc: required revision has been compacted";

}  // namespace

bool CompactOp::Prepare(etcdserverpb::CompactionRequest* request) {
  request->set_revision(std::exchange(next_, dataset_->newest_revision()));
  return true;
}

absl::Status CompactOp::Check(const etcdserverpb::CompactionResponse& response) {
  if (response.header().revision() < request()->revision()) return WrongAnswer(Brief(response));
  compactions_->newest_revision = request()->revision();
  ++compactions_->count;
  return absl::OkStatus();
}

absl::Status CompactOp::CheckRefusal(const absl::Status& status) {
  // Right where nothing was written since the last one.
  const bool is_repeated = request()->revision() <= compactions_->newest_revision;
  return is_repeated && status.message() == kCompactedText ? absl::OkStatus() : Failed(status);
}

CompactedReadOp::CompactedReadOp(Connection& connection, const Dataset* dataset,
                                 const Compactions* compactions)
    : UnaryOp(connection, kRangeMethod), dataset_(dataset), compactions_(compactions) {
  dataset_->KeyOf(0, request()->mutable_key());
}

bool CompactedReadOp::Prepare(etcdserverpb::RangeRequest* request) {
  const int64_t compacted = compactions_->newest_revision;
  must_fail_ = compacted > 1;
  request->set_revision(must_fail_ ? compacted - 1 : dataset_->newest_revision());
  return true;
}

absl::Status CompactedReadOp::Check(const etcdserverpb::RangeResponse& response) {
  if (!must_fail_) return absl::OkStatus();
  return WrongAnswer(absl::StrCat("a read at revision ", request()->revision(),
                                  " succeeds, though compacted: ", Brief(response)));
}

absl::Status CompactedReadOp::CheckRefusal(const absl::Status& status) {
  const bool is_right =
      must_fail_ && absl::IsOutOfRange(status) && status.message() == kCompactedText;
  return is_right ? absl::OkStatus() : Failed(status);
}

}  // namespace tidemark::bench

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
  *compacted_ = request()->revision();
  return absl::OkStatus();
}

absl::Status CompactOp::CheckRefusal(const absl::Status& status) {
  // Right where nothing was written since the last one.
  const bool is_repeated = request()->revision() <= *compacted_;
  return is_repeated && status.message() == kCompactedText ? absl::OkStatus() : Failed(status);
}

CompactedReadOp::CompactedReadOp(Connection& connection, const Dataset* dataset,
                                 const int64_t* compacted)
    : UnaryOp(connection, kRangeMethod), dataset_(dataset), compacted_(compacted) {
  dataset_->KeyOf(0, request()->mutable_key());
}

bool CompactedReadOp::Prepare(etcdserverpb::RangeRequest* request) {
  must_fail_ = *compacted_ > 1;
  request->set_revision(must_fail_ ? *compacted_ - 1 : dataset_->newest_revision());
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

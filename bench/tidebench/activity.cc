#include "bench/tidebench/activity.h"

#include "absl/strings/str_cat.h"

namespace tidemark::bench {

void Activity::BeginSpan(int64_t now_ns) {
  span_begin_ns_ = now_ns;
  span_end_ns_ = INT64_MAX;
  result_ = ActivityResult();
}

void Activity::Fail(const absl::Status& status) {
  if (!failure_.ok()) return;
  failure_ = absl::Status(status.code(), absl::StrCat(name(), ": ", status.message()));
}

}  // namespace tidemark::bench

#include "bench/tidebench/workloads/progress_asker.h"

#include <utility>

#include "bench/tidebench/wire/client.h"

namespace tidemark::bench {

ProgressAsker::ProgressAsker(Description description, std::vector<WatchStream*> streams,
                             int64_t interval_ns)
    : Activity(std::move(description)),
      asked_(streams.size()),
      interval_ns_(interval_ns / static_cast<int64_t>(streams.size())) {
  for (size_t i = 0; i < streams.size(); ++i) {
    asked_[i].asker = this;
    asked_[i].stream = streams[i];
  }
}

void ProgressAsker::Start(int64_t now_ns) {
  is_running_ = true;
  next_ns_ = now_ns + interval_ns_;
}

void ProgressAsker::Pump(int64_t now_ns) {
  for (; is_running_ && next_ns_ <= now_ns; next_ns_ += interval_ns_) {
    Asked& asked = asked_[next_++ % asked_.size()];
    if (asked.since_ns < 0) asked.since_ns = next_ns_;
    asked.stream->RequestProgress(&asked);
  }
}

void ProgressAsker::OnAnswer(Asked* asked, const absl::Status& status) {
  if (!status.ok()) return Fail(status);
  const int64_t now_ns = MonotonicNs();
  const int64_t since_ns = std::exchange(asked->since_ns, -1);
  ++answers_;
  if (since_ns < 0 || !IsInSpan(now_ns)) return;
  ++result_.answers;
  result_.latency_ns.Add(now_ns - since_ns);
}

}  // namespace tidemark::bench

#include "bench/tidebench/workloads/deliveries.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tidemark::bench {

Deliveries::Deliveries(Description description, Dataset* dataset,
                       const std::vector<Connection*>& connections, int64_t (*now_ns)())
    : Activity(std::move(description)),
      dataset_(dataset),
      now_ns_(now_ns),
      clock_(static_cast<int64_t>(connections.size()), this) {
  WatchListener* const self = this;
  for (Connection* connection : connections) {
    streams_.push_back(std::make_unique<WatchStream>(*connection, dataset, self));
  }
}

void Deliveries::Start(int64_t) {
  is_running_ = true;
  dataset_->set_clock(&clock_);
  for (const auto& stream : streams_) stream->Open(dataset_->newest_revision());
}

bool Deliveries::is_ready() const {
  return std::all_of(streams_.begin(), streams_.end(),
                     [](const auto& stream) { return stream->is_created(); });
}

std::string Deliveries::waits_for() const {
  return absl::StrCat(name(), ": not every watcher heard of ", clock_.untold(),
                      " writes; nobody made the writes of ", clock_.unknown(),
                      " revisions that they heard of");
}

void Deliveries::OnEvent(int64_t revision, const Change& change) {
  ++answers_;
  const int64_t now_ns = now_ns_();
  if (IsInSpan(now_ns)) ++result_.answers;
  clock_.Arrived(revision, change, now_ns);
}

void Deliveries::OnDelivered(int64_t due_ns, int64_t arrived_ns) {
  if (!IsInSpan(due_ns)) return;
  ++result_.due;
  ++result_.done;
  result_.latency_ns.Add(arrived_ns - due_ns);
}

void Deliveries::ChargeNeverWritten(int64_t due_ns, int64_t now_ns) {
  const auto watchers = static_cast<int64_t>(streams_.size());
  result_.due += watchers;
  result_.never_sent += watchers;
  result_.latency_ns.Add(now_ns - due_ns, watchers);
}

void Deliveries::OnWatchFailed(const absl::Status& status) { Fail(status); }

}  // namespace tidemark::bench

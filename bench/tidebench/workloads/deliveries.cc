#include "bench/tidebench/workloads/deliveries.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tidemark::bench {

Deliveries::Deliveries(Description description, Dataset* dataset, RevisionClock* clock,
                       const std::vector<Connection*>& connections)
    : Activity(std::move(description)), dataset_(dataset), clock_(clock) {
  dataset->set_clock(clock);
  WatchListener* const self = this;
  for (Connection* connection : connections) {
    streams_.push_back(std::make_unique<WatchStream>(*connection, dataset, self));
  }
}

void Deliveries::Start(int64_t) {
  is_running_ = true;
  acknowledged_before_ = dataset_->acknowledged();
  for (const auto& stream : streams_) stream->Open(dataset_->newest_revision());
}

bool Deliveries::is_ready() const {
  return std::all_of(streams_.begin(), streams_.end(),
                     [](const auto& stream) { return stream->is_created(); });
}

bool Deliveries::is_idle() const {
  if (is_running_) return false;
  const int64_t expected = dataset_->acknowledged() - acknowledged_before_;
  return std::all_of(streams_.begin(), streams_.end(),
                     [&](const auto& stream) { return stream->events() == expected; });
}

std::string Deliveries::waits_for() const {
  const int64_t expected = dataset_->acknowledged() - acknowledged_before_;
  int64_t least = expected;
  for (const auto& stream : streams_) least = std::min(least, stream->events());
  return absl::StrCat(name(), ": a watcher heard of ", least, " of ", expected, " events");
}

void Deliveries::OnEvent(int64_t revision) {
  ++answers_;
  const int64_t now_ns = MonotonicNs();
  if (IsInSpan(now_ns)) ++result_.answers;
  clock_->Arrived(revision, now_ns, this);
}

void Deliveries::OnDelivered(int64_t due_ns, int64_t arrived_ns) {
  if (IsInSpan(arrived_ns)) result_.latency_ns.Add(arrived_ns - due_ns);
}

void Deliveries::OnWatchFailed(const absl::Status& status) { Fail(status); }

}  // namespace tidemark::bench

// Watchers as a part of a run: how long after its write was due each event arrived at each of them.
//
// Idle only once every watcher has heard of every acknowledged write, and of nothing else. Bound to
// one thread. Invariant: an event counts if its write was due inside the measured span, whenever it
// arrives.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/tidebench/activity.h"
#include "bench/tidebench/dataset.h"
#include "bench/tidebench/revision_clock.h"
#include "bench/tidebench/wire/client.h"
#include "bench/tidebench/workloads/watch_stream.h"

namespace tidemark::bench {

class Deliveries : public Activity, private WatchListener, private DeliveryListener {
 public:
  // Watcher i is on connections[i].
  Deliveries(Description description, Dataset* dataset, const std::vector<Connection*>& connections,
             int64_t (*now_ns)() = MonotonicNs);

  void Start(int64_t now_ns) override;
  bool is_ready() const override;  // all are created: earlier writes might not be seen
  void Stop() override { is_running_ = false; }
  bool is_idle() const override { return !is_running_ && clock_.is_settled(); }
  std::string waits_for() const override;

  // A write inside the span was due and never sent: nor were its events.
  void ChargeNeverWritten(int64_t due_ns, int64_t now_ns);

  WatchStream& stream(size_t index) { return *streams_[index]; }

 private:
  void OnEvent(int64_t revision, const Change& change) override;
  void OnWatchFailed(const absl::Status& status) override;
  void OnDelivered(int64_t due_ns, int64_t arrived_ns) override;
  void OnWrongEvent(const absl::Status& status) override { Fail(status); }

  Dataset* const dataset_;
  int64_t (*const now_ns_)();
  RevisionClock clock_;
  std::vector<std::unique_ptr<WatchStream>> streams_;
  bool is_running_ = false;
};

}  // namespace tidemark::bench

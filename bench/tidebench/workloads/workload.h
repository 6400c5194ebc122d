// A kind of load: what is stored before, what one request is, and which answers are right.
//
// Hides the requests. Bound to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "bench/tidebench/activity.h"
#include "bench/tidebench/arrivals.h"
#include "bench/tidebench/wire/client.h"

namespace tidemark::bench {

// Of a workload's own, where not given: 0.
struct WorkloadOptions {
  int64_t clients = 1;      // outstanding requests at most
  int64_t connections = 1;  // shared by them
  int64_t keys = 0;
  int64_t value_bytes = 0;
  std::string prefix;  // of the keys, if not the workload's own
  int64_t watchers = 0;
  int64_t page_keys = 0;
  double per_second = 0;  // 0: closed loop
  Arrivals::Spacing spacing = Arrivals::Spacing::kEven;
  double compact_every_s = 0;
  double check_every_s = 0;
  double scale = 0;         // of k8s-100k
  int64_t event_ttl_s = 0;  // of its events
  uint64_t seed = 1;
  std::string run = "0";  // part of keys that must not be there yet
};

class Workload {
 public:
  virtual ~Workload() = default;
  // How many it uses; more than were asked for where its parts have some of their own.
  virtual int64_t connections() const = 0;
  // Requests that store what the others need, ending by themselves; null when there is nothing.
  virtual std::unique_ptr<Activity> MakeFill(Client& client) = 0;
  // How many answers the fill takes.
  virtual int64_t fill_requests() const = 0;
  // They live no longer than the workload.
  virtual std::vector<std::unique_ptr<Activity>> MakeActivities(Client& client) = 0;
  // Requests that compare what they have written with what is stored, when they are over; ending by
  // themselves. Null when nothing was written.
  virtual std::unique_ptr<Activity> MakeReadBack(Client& client) { return nullptr; }
  // Acknowledged since the load began; those that were refused as repeated do not count.
  virtual int64_t compactions() const { return 0; }
};

struct WorkloadKind {
  absl::string_view name;
  absl::string_view description;
  std::unique_ptr<Workload> (*make)(const WorkloadOptions& options);
};
// All there are, in the order of reports.
const std::vector<WorkloadKind>& WorkloadKinds();

}  // namespace tidemark::bench

// When the write of each revision was due, for the time that its event took to arrive.
//
// An event may come before the answer to its write, so arrivals wait here for that. Bound to one
// thread; keeps the newest 2^20 revisions.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace tidemark::bench {

class DeliveryListener {
 public:
  virtual ~DeliveryListener() = default;
  virtual void OnDelivered(int64_t due_ns, int64_t arrived_ns) = 0;
};

class RevisionClock {
 public:
  RevisionClock() : due_(kKept) {}

  void Written(int64_t revision, int64_t due_ns) {
    due_[revision % kKept] = {revision, due_ns};
    const auto early = early_.find(revision);
    if (early == early_.end()) return;
    for (const Arrival& arrival : early->second) {
      arrival.listener->OnDelivered(due_ns, arrival.at_ns);
    }
    early_.erase(early);
  }

  // `listener` hears once the write is known, perhaps at once.
  void Arrived(int64_t revision, int64_t now_ns, DeliveryListener* listener) {
    const Due& due = due_[revision % kKept];
    if (due.revision == revision) {
      listener->OnDelivered(due.due_ns, now_ns);
    } else if (early_.size() < kKept) {
      early_[revision].push_back({listener, now_ns});
    }
  }

 private:
  static constexpr int64_t kKept = 1 << 20;
  struct Due {
    int64_t revision = -1;
    int64_t due_ns = 0;
  };
  struct Arrival {
    DeliveryListener* listener;
    int64_t at_ns;
  };

  std::vector<Due> due_;
  absl::flat_hash_map<int64_t, std::vector<Arrival>> early_;
};

}  // namespace tidemark::bench

// What the write of each revision changed and when it was due, until every watcher has heard of it.
//
// An event may come before the answer to its write, so arrivals wait here for that. Bound to one
// thread. Invariant: it is settled only when each watcher was told of each write, and of nothing
// else.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"

namespace tidemark::bench {

struct Change {
  int64_t index = 0;   // of the key
  int64_t writes = 0;  // how often it was written; where it is deleted, before that
  bool is_delete = false;

  bool operator==(const Change&) const = default;
};

class DeliveryListener {
 public:
  virtual ~DeliveryListener() = default;
  virtual void OnDelivered(int64_t due_ns, int64_t arrived_ns) = 0;
  virtual void OnWrongEvent(const absl::Status& status) = 0;
};

class RevisionClock {
 public:
  RevisionClock(int64_t watchers, DeliveryListener* listener)
      : watchers_(watchers), listener_(listener) {}

  // An acknowledged write.
  void Written(int64_t revision, const Change& change, int64_t due_ns);
  // An event at one watcher, which tells of no revision twice. The listener hears once the write is
  // known, perhaps at once.
  void Arrived(int64_t revision, const Change& change, int64_t now_ns);

  // Writes that not every watcher was told of; revisions that watchers were told of and nobody
  // wrote.
  int64_t untold() const { return static_cast<int64_t>(writes_.size()); }
  int64_t unknown() const { return static_cast<int64_t>(early_.size()); }
  bool is_settled() const { return writes_.empty() && early_.empty(); }

 private:
  struct Write {
    Change change;
    int64_t due_ns = 0;
    int64_t untold_watchers = 0;
  };
  struct Arrival {
    Change change;
    int64_t at_ns = 0;
  };
  void Deliver(int64_t revision, Write* write, const Arrival& arrival);

  const int64_t watchers_;
  DeliveryListener* const listener_;
  absl::flat_hash_map<int64_t, Write> writes_;  // by revision
  absl::flat_hash_map<int64_t, std::vector<Arrival>> early_;
};

}  // namespace tidemark::bench

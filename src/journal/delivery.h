// Feeds subscribers: the newest blocks from memory, older ones from the log, one bounded piece at a
// time.
//
// Hides which block comes from where. A subscriber that is far behind or acknowledges nothing costs
// its place and its unacknowledged bytes, never a queue.
// Bound to the journal's sequence; Subscriber's own methods are safe elsewhere.
//
// Invariants:
//  1. Only committed blocks are delivered.
//  2. Kept in memory: the recent blocks and one piece read from the log, both bounded (one
//     block may exceed the bound alone).
//  3. At most one read runs; its piece serves every subscriber that is at the same place.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "src/journal/entry_codec.h"
#include "src/journal/journal.h"
#include "src/journal/log_storage.h"
#include "src/journal/subscriber.h"

namespace tidemark::journal {

class Delivery {
 public:
  struct Limits {
    uint64_t recent_bytes_max = uint64_t{16} << 20;
    uint64_t batch_bytes_max = uint64_t{4} << 20;
  };
  // Starts a read of committed blocks from a position; its result goes to OnRead.
  using StartRead = std::function<void(Position from, size_t size_bytes)>;

  Delivery(Limits limits, Tail tail, StartRead start_read)
      : limits_(limits), tail_(tail), start_read_(std::move(start_read)) {}

  void Attach(std::shared_ptr<Subscriber> subscriber);
  void OnCommit(std::shared_ptr<const EntryBlock> block);
  // `blocks` are the answer to the read that was started; empty when the subscriber is gone.
  void OnRead(std::vector<std::shared_ptr<const EntryBlock>> blocks);
  // Somebody acknowledged or closed.
  void ServeAll();

  // True when nobody needs an entry at or before `position` any more.
  bool IsPast(Position position) const;

 private:
  using Blocks = std::deque<std::shared_ptr<const EntryBlock>>;

  // True when it is live, full or closed; false when it waits for a read.
  bool Serve(Subscriber& subscriber);
  bool DeliverFrom(const Blocks& blocks, Subscriber& subscriber);

  const Limits limits_;
  Tail tail_;
  const StartRead start_read_;
  std::vector<std::shared_ptr<Subscriber>> subscribers_;
  Blocks recent_;
  uint64_t recent_bytes_ = 0;
  Blocks piece_;                        // the last one read
  std::optional<Position> reads_from_;  // while a read runs
};

}  // namespace tidemark::journal

// Indexes many stored records at once, for a start: the keys' index and the change index of a store
// that was empty.
//
// Hides how the work is cut: entries are dealt out to the shards of the keys' index, each shard is
// filled by one thread in revision order, and the keys are sorted once instead of being inserted
// one by one. The result is that of adding record by record in revision order, whatever the number
// of threads; only where nodes lie in memory differs.
// Bound to the store's sequence while Build runs; the workers' threads help inside.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/load_progress.h"
#include "src/base/parallel_runner.h"
#include "src/mvcc/change_index.h"
#include "src/mvcc/key_index.h"
#include "src/mvcc/record_entry.h"
#include "src/mvcc/segment_log.h"

namespace tidemark::mvcc {

class IndexBuilder {
 public:
  // What adds up over records; wire bytes without any overhead.
  struct Totals {
    int64_t versions = 0;
    int64_t wire_bytes = 0;
    uint64_t stored_hash = 0;
    int64_t live_keys = 0;
    int64_t live_wire_bytes = 0;
    uint64_t state_hash = 0;
  };
  struct Built {
    Totals totals;
    std::vector<KeyNode*> to_compact;  // marked as queued, in the order of what queued them
    std::vector<KeyNode*> leased;      // alive, with a lease; in no order
  };

  // REQUIRES that both indexes are empty.
  IndexBuilder(const SegmentLog& log, KeyIndex& keys, ChangeIndex& changes)
      : log_(log), keys_(keys), changes_(changes) {}

  // `expected_keys`: about how many keys there will be, to size tables; 0: unknown.
  Built Build(RecordRuns records, size_t expected_keys, ParallelRunner& workers,
              LoadProgress& progress);

 private:
  struct Shard;

  void FillShard(size_t number, size_t expected_keys, Shard* shard);
  void AddVersion(RecordEntry& entry, size_t number, Shard* shard);

  const SegmentLog& log_;
  KeyIndex& keys_;
  ChangeIndex& changes_;
};

}  // namespace tidemark::mvcc

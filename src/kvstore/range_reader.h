// Range with all its options (contract 2.3), read from one partition in bounded steps.
//
// Hides how limit, filters, sort, count and `more` work together. MergeRanges puts the answers of
// several partitions together as if they were one.
// Sequence-bound to the store.
//
// Invariants:
//  1. All steps read the same revision: the answer is one snapshot.
//  2. Work and memory of one Step are bounded by its argument.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/rpc.pb.h"
#include "src/kvstore/results.h"
#include "src/mvcc/key_range.h"
#include "src/mvcc/version_store.h"

namespace tidemark::kvstore {

// kNone: the result's count is 0, and nothing behind the items (and one more) is looked at. For
// pages of a long range, each of which would otherwise count all that is left.
enum class RangeCount { kWhole, kNone };

class RangeReader {
 public:
  // `request` must outlive the reader; its revision is ignored: `at` is what is read.
  RangeReader(const mvcc::VersionStore& store, const etcdserverpb::RangeRequest& request,
              Revision at, RangeCount count = RangeCount::kWhole);

  // Looks at no more than about `max_keys` keys. True when the answer is complete. REQUIRES that
  // `at` is still readable.
  bool Step(int64_t max_keys);
  bool reads_one_key() const { return range_.single; }
  // Of the heap, for the items so far and what they will be encoded into.
  int64_t heap_bytes() const { return heap_bytes_; }
  RangeResult Take() &&;

 private:
  bool ReadStep(int64_t max_keys);
  bool Accepts(const mvcc::KeyValueView& kv) const;
  void AddItem(const mvcc::KeyValueView& kv);
  void Finish();

  const mvcc::VersionStore& store_;
  const etcdserverpb::RangeRequest& request_;
  const Revision at_;
  const mvcc::KeyRangeView range_;
  const RangeCount count_;
  const size_t wanted_items_;  // reading may stop behind this many
  std::string resume_key_;     // where reading or counting goes on; empty: from the start
  bool reading_;
  bool saw_all_ = false;  // read to the end: the count is known without counting
  int64_t seen_ = 0;
  int64_t heap_bytes_ = 0;
  RangeResult result_;
};

// Everything at once.
RangeResult ReadRange(const mvcc::VersionStore& store, const etcdserverpb::RangeRequest& request,
                      Revision at);

// Which revision `request` reads when the store's newest is `current`: itself, or a refusal.
absl::StatusOr<Revision> RevisionToRead(const etcdserverpb::RangeRequest& request, Revision current,
                                        Revision compacted);
// The same for a range inside a txn: 0 is the present; -1 too, while never compacted.
absl::Status CheckRevisionInTxn(const etcdserverpb::RangeRequest& request, Revision current,
                                Revision compacted);

// What to ask of each partition so that MergeRanges can answer `whole`.
etcdserverpb::RangeRequest RangeForOnePartition(const etcdserverpb::RangeRequest& whole);
// `parts` answer RangeForOnePartition(whole) at one revision, from disjoint sets of keys.
RangeResult MergeRanges(std::vector<RangeResult> parts, const etcdserverpb::RangeRequest& whole);

}  // namespace tidemark::kvstore

// Reads over several partitions at one revision (docs/design-notes.md, "Reading over partitions").
//
// Hides the tail they agree on and the repetition when a compaction overtakes it.
// Sequence-bound to the coordinator's home; entered into it by the caller, they leave when
// answered.
#pragma once

#include "proto/rpc.pb.h"
#include "src/kvstore/range_reader.h"
#include "src/partition/coordinator.h"
#include "src/partition/router.h"

namespace tidemark::partition {

// kNone: as Router::RangePage.
void RunMultiRange(Coordinator& coordinator, etcdserverpb::RangeRequest request,
                   kvstore::RangeCount count, ReplyCallback<kvstore::RangeResult> done);
// REQUIRES kvstore::IsReadOnlyTxn.
void RunMultiReadTxn(Coordinator& coordinator, etcdserverpb::TxnRequest request, bool serializable,
                     ReplyCallback<kvstore::TxnResult> done);

}  // namespace tidemark::partition

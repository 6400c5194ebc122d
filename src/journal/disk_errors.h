// What a disk's errors mean to the journal: want of space is an answer, anything else makes the
// disk untrustworthy and ends the process.
//
// Thread-safe.
#pragma once

#include "absl/status/status.h"

namespace tidemark::journal {

// OK or ResourceExhausted, as it is; Fatal for everything else.
absl::Status OnlyNoSpace(absl::Status status);

// Fatal for every error. For syncs: after one that failed nobody knows what the disk has.
void MustSucceed(const absl::Status& status);

}  // namespace tidemark::journal

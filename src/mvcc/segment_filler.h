// Segments filled from one part of an image, apart from the log that takes them over when all parts
// are done: so that several threads can fill one store.
//
// Hides when a segment is full and the next is made. Bound to one thread at a time.
//
// Invariant: records are appended in ascending revision order.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "src/mvcc/record_entry.h"
#include "src/mvcc/segment_maker.h"

namespace tidemark::mvcc {

class SegmentFiller {
 public:
  // The part's number decides the sequences of its segments: they follow those of the parts before.
  SegmentFiller(const SegmentMaker& maker, size_t part)
      : maker_(maker), next_sequence_(1 + part * kSegmentsPerPart) {}

  // What nobody took is worth nothing.
  ~SegmentFiller() {
    for (const std::shared_ptr<Segment>& segment : filled_.segments) segment->Discard();
  }
  SegmentFiller(const SegmentFiller&) = delete;
  SegmentFiller& operator=(const SegmentFiller&) = delete;

  // DataLoss when it is not a change of that revision, or not above the last.
  absl::Status Append(RevisionKey revision, bool tombstone, absl::string_view wire);

  // The segments, all but the last one full, and their records. Each entry's slot is the place of
  // its segment in the list.
  struct Filled {
    std::vector<std::shared_ptr<Segment>> segments;
    RecordRuns records;  // one run for each segment
  };
  Filled Take() { return std::exchange(filled_, Filled()); }

 private:
  static constexpr uint64_t kSegmentsPerPart = uint64_t{1} << 20;

  const SegmentMaker& maker_;
  uint64_t next_sequence_;
  RevisionKey last_{Revision(INT64_MIN), 0};
  Filled filled_;
};

}  // namespace tidemark::mvcc

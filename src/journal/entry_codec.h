// The body of a block: the entries that were ordered together, encoded.
//
// A body is a head (a version, the revision before the block, and one fixed row per entry) and the
// payloads behind it, in order. Positions and revisions are not stored: they follow from the
// block's first position and its first revision. Pure functions; input is hostile.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "src/journal/journal.h"

namespace tidemark::journal {

inline constexpr size_t kPartitionsPerEntryMax = 4096;

// A block of entries in memory, ready to be delivered. Payload views belong to `owner`.
struct EntryBlock {
  std::vector<Entry> entries;  // never empty, dense positions
  Tail tail;                   // as of the last of them
  std::shared_ptr<const void> owner;
  size_t payload_bytes = 0;

  size_t memory_bytes() const { return payload_bytes + entries.size() * sizeof(Entry); }
};

// The part of the body before the payloads. REQUIRES entries of one block, in order, not empty.
std::string EncodeEntriesHead(Revision revision_before, absl::Span<const Entry> entries);

struct BlockPlace {
  Position first;
  uint32_t entry_count = 0;
  Term term;
};

// The inverse. Views in the result point into `body`. DataLoss when the bytes contradict
// themselves or `place`.
absl::StatusOr<EntryBlock> DecodeEntries(const BlockPlace& place, absl::string_view body,
                                         std::shared_ptr<const void> owner);

}  // namespace tidemark::journal

// Bodies of blocks: entries that decode are dense, add up, and encode to the same bytes.
#include "src/journal/entry_codec.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::journal {

FUZZ_TARGET(entry_codec) {
  fuzz::Input in(input);
  BlockPlace place;
  place.first = Position(in.Number<uint64_t>());
  place.entry_count = in.Number<uint32_t>();
  place.term = Term(in.Number<uint64_t>());
  // As DecodeFrame and the cursor have made sure.
  if (place.first.value() == 0 || place.entry_count == 0) return;
  if (place.first.value() + place.entry_count < place.first.value()) return;
  const absl::string_view body = in.rest();
  absl::StatusOr<EntryBlock> block = DecodeEntries(place, body, nullptr);
  if (!block.ok()) return;

  CHECK(block->entries.size() == place.entry_count);
  const Entry& first = block->entries.front();
  const Revision before = first.changes_keys ? first.revision.Previous() : first.revision;
  std::string again = EncodeEntriesHead(before, block->entries);
  Position position = place.first;
  Revision revision = before;
  size_t payload_bytes = 0;
  for (const Entry& entry : block->entries) {
    if (entry.changes_keys) revision = revision.Next();
    CHECK(entry.position == position && entry.revision == revision && entry.term == place.term);
    position = position.Next();
    payload_bytes += entry.payload.size();
    again.append(entry.payload.data(), entry.payload.size());
  }
  CHECK(block->payload_bytes == payload_bytes);
  CHECK(block->tail.position == position.Previous() && block->tail.revision == revision);
  std::string expected(body);
  expected[2] = expected[3] = 0;  // reserved
  CHECK(again == expected);
}

}  // namespace tidemark::journal

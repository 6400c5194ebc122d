#include "src/journal/entry_codec.h"

#include "gtest/gtest.h"
#include "src/base/little_endian.h"

namespace tidemark::journal {
namespace {

std::vector<Entry> SomeEntries() {
  std::vector<Entry> entries(3);
  entries[0] = {Position(5),      Term(2), Revision(8),
                EntryKind::kData, true,    {{PartitionId(1), Epoch(3)}, {PartitionId(2), Epoch(4)}},
                OriginId(77),     1,       "first"};
  entries[1] = {Position(6),       Term(2), Revision(8),
                EntryKind::kClaim, false,   {{PartitionId(1), Epoch(6)}},
                OriginId(78),      0,       ""};
  entries[2] = {Position(7),      Term(2), Revision(9),
                EntryKind::kData, true,    {{PartitionId(2), Epoch(4)}},
                OriginId(77),     2,       "third"};
  return entries;
}

std::string Encode(const std::vector<Entry>& entries) {
  std::string body = EncodeEntriesHead(Revision(7), entries);
  for (const Entry& entry : entries) body.append(entry.payload.data(), entry.payload.size());
  return body;
}

const BlockPlace kPlace{Position(5), 3, Term(2)};

TEST(EntryCodecTest, EncodedEntriesDecodeToThemselves) {
  std::vector<Entry> entries = SomeEntries();
  std::string body = Encode(entries);
  absl::StatusOr<EntryBlock> block = DecodeEntries(kPlace, body, nullptr);
  ASSERT_TRUE(block.ok()) << block.status();
  ASSERT_EQ(block->entries.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const Entry& got = block->entries[i];
    EXPECT_EQ(got.position, entries[i].position);
    EXPECT_EQ(got.revision, entries[i].revision);
    EXPECT_EQ(got.term, Term(2));
    EXPECT_EQ(got.kind, entries[i].kind);
    EXPECT_EQ(got.changes_keys, entries[i].changes_keys);
    EXPECT_EQ(got.partitions, entries[i].partitions);
    EXPECT_EQ(got.origin, entries[i].origin);
    EXPECT_EQ(got.origin_number, entries[i].origin_number);
    EXPECT_EQ(got.payload, entries[i].payload);
  }
  EXPECT_EQ(block->tail.position, Position(7));
  EXPECT_EQ(block->tail.revision, Revision(9));
  EXPECT_EQ(block->payload_bytes, 10u);
}

TEST(EntryCodecTest, CutAndLengthenedBodiesAreRefused) {
  std::string body = Encode(SomeEntries());
  for (size_t size = 0; size < body.size(); ++size) {
    EXPECT_FALSE(DecodeEntries(kPlace, absl::string_view(body).substr(0, size), nullptr).ok());
  }
  EXPECT_FALSE(DecodeEntries(kPlace, body + "x", nullptr).ok());
}

TEST(EntryCodecTest, AnyByteMayBeAnything) {
  std::string good = Encode(SomeEntries());
  size_t refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    for (int value : {0, 1, 0x7F, 0x80, 0xFF}) {
      std::string bad = good;
      bad[i] = static_cast<char>(value);
      absl::StatusOr<EntryBlock> block = DecodeEntries(kPlace, bad, nullptr);
      if (!block.ok()) {
        ++refused;
        continue;
      }
      // Whatever was accepted stays inside the body and dense.
      EXPECT_EQ(block->entries.size(), 3u);
      for (const Entry& entry : block->entries) {
        EXPECT_TRUE(entry.payload.empty() ||
                    (entry.payload.data() >= bad.data() &&
                     entry.payload.data() + entry.payload.size() <= bad.data() + bad.size()));
      }
    }
  }
  EXPECT_GT(refused, 100u);
}

TEST(EntryCodecTest, AbsurdCountsAllocateNothing) {
  std::string body = Encode(SomeEntries());
  StoreLittle(body.data() + 4, uint32_t{0xFFFFFFFF});
  EXPECT_FALSE(DecodeEntries({Position(5), 0xFFFFFFFF, Term(2)}, body, nullptr).ok());
}

}  // namespace
}  // namespace tidemark::journal

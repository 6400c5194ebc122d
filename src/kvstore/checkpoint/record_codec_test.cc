#include "src/kvstore/checkpoint/record_codec.h"

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "src/base/crc32c.h"
#include "src/base/little_endian.h"

namespace tidemark::kvstore {
namespace {

StoredHeader Example() {
  StoredHeader stored;
  stored.store = 0x0102030405060708;
  stored.generation = 17;
  stored.header.partition = PartitionId(3);
  stored.header.at = {Position(1000), Revision(900), Term(5)};
  stored.header.compact_revision = Revision(400);
  stored.header.state_hash = 0xfeedfacecafebeef;
  stored.header.records = 12;
  stored.header.record_bytes = 3456;
  stored.header.node_state = std::string("leases\0", 7);
  return stored;
}

std::string Reseal(std::string bytes) {
  StoreLittle<uint32_t>(bytes.data() + bytes.size() - 4,
                        Crc32c(absl::string_view(bytes).substr(0, bytes.size() - 4)));
  return bytes;
}

// Byte by byte as docs/checkpoint-format.md has it; the CRCs were computed with Python.
TEST(RecordCodecTest, HeaderAsDocumented) {
  std::string expected = absl::HexStringToBytes(
      "544d4348"
      "01000000"  // TMCH, version
      "0807060504030201"
      "1100000000000000"  // store, generation
      "03000000"          // partition
      "e803000000000000"
      "8403000000000000"
      "0500000000000000"
      "9001000000000000"
      "efbefecacefaedfe"
      "0c00000000000000"
      "800d000000000000"
      "07000000"
      "6c656173657300");
  std::string encoded = EncodeHeader(Example());
  ASSERT_EQ(encoded.size(), expected.size() + 4);
  EXPECT_EQ(absl::BytesToHexString(encoded.substr(0, expected.size())),
            absl::BytesToHexString(expected));
  EXPECT_EQ(absl::BytesToHexString(encoded.substr(expected.size())), "e240b50d");
}

TEST(RecordCodecTest, RecordAsDocumented) {
  uint32_t home_crc = HomeCrc({0x0102030405060708, PartitionId(3), 17});
  RecordKeyBytes key = EncodeRecordKey({Revision(0x1122), 5});
  absl::string_view key_view(key.data(), key.size());
  EXPECT_EQ(absl::BytesToHexString(key_view), "00000000000011220000000000000005");
  RecordPrefixBytes prefix = EncodeRecordPrefix(home_crc, key, true, "wire");
  EXPECT_EQ(absl::BytesToHexString(absl::string_view(prefix.data(), prefix.size())), "01f7b7352a");
}

TEST(RecordCodecTest, HeaderGoesRound) {
  auto decoded = DecodeHeader(EncodeHeader(Example()));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->store, Example().store);
  EXPECT_EQ(decoded->generation, Example().generation);
  EXPECT_TRUE(decoded->header == Example().header);
}

TEST(RecordCodecTest, NoFlippedOrMissingByteOfAHeaderIsTaken) {
  const std::string bytes = EncodeHeader(Example());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_TRUE(absl::IsDataLoss(DecodeHeader(damaged).status())) << bit;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeHeader(bytes.substr(0, size)).status())) << size;
    if (size < 12) continue;
    // Also when the checksum is right: by a program that writes nonsense.
    EXPECT_FALSE(DecodeHeader(Reseal(bytes.substr(0, size))).ok()) << size;
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeHeader(Reseal(bytes + "more")).status()));
}

TEST(RecordCodecTest, NewerFormatsAreRefusedInWords) {
  for (std::string bytes : {EncodeHeader(Example()), EncodeIdentity(9)}) {
    StoreLittle<uint32_t>(bytes.data() + 4, 2);
    bytes = Reseal(bytes.substr(0, bytes.size() - 4) + "something new" + "....");
    absl::Status status =
        bytes[3] == 'H' ? DecodeHeader(bytes).status() : DecodeIdentity(bytes).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_NE(status.message().find("newer tidemark"), absl::string_view::npos) << status;
  }
}

TEST(RecordCodecTest, IdentityGoesRoundAndDamageIsFound) {
  const std::string bytes = EncodeIdentity(0x1234567890abcdef);
  EXPECT_EQ(*DecodeIdentity(bytes), 0x1234567890abcdef);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_TRUE(absl::IsDataLoss(DecodeIdentity(damaged).status())) << bit;
  }
  EXPECT_FALSE(DecodeIdentity(EncodeHeader(Example())).ok());
}

TEST(RecordCodecTest, NoFlippedOrMissingByteOfARecordIsTaken) {
  uint32_t home_crc = HomeCrc({1, PartitionId(2), 3});
  RecordKeyBytes key_bytes = EncodeRecordKey({Revision(70000), 3});
  std::string key(key_bytes.data(), key_bytes.size());
  RecordPrefixBytes prefix = EncodeRecordPrefix(home_crc, key_bytes, false, "the wire bytes");
  std::string value(prefix.data(), prefix.size());
  value += "the wire bytes";
  auto record = DecodeRecord(home_crc, key, value);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->revision, (mvcc::RevisionKey{Revision(70000), 3}));
  EXPECT_FALSE(record->tombstone);
  EXPECT_EQ(record->wire, "the wire bytes");
  const std::string all = key + value;
  for (size_t bit = 0; bit < all.size() * 8; ++bit) {
    std::string damaged = all;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_TRUE(absl::IsDataLoss(
        DecodeRecord(home_crc, damaged.substr(0, key.size()), damaged.substr(key.size())).status()))
        << bit;
  }
  for (size_t size = 0; size < value.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeRecord(home_crc, key, value.substr(0, size)).status()));
  }
  for (size_t size = 0; size < key.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeRecord(home_crc, key.substr(0, size), value).status()));
  }
}

TEST(RecordCodecTest, ARecordOfAnotherHomeIsDamage) {
  RecordKeyBytes key = EncodeRecordKey({Revision(7), 0});
  RecordHome home{1, PartitionId(2), 3};
  RecordPrefixBytes prefix = EncodeRecordPrefix(HomeCrc(home), key, false, "");
  absl::string_view key_view(key.data(), key.size());
  absl::string_view value(prefix.data(), prefix.size());
  EXPECT_TRUE(DecodeRecord(HomeCrc(home), key_view, value).ok());
  for (RecordHome other : {RecordHome{2, PartitionId(2), 3}, RecordHome{1, PartitionId(3), 3},
                           RecordHome{1, PartitionId(2), 4}}) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeRecord(HomeCrc(other), key_view, value).status()));
  }
}

}  // namespace
}  // namespace tidemark::kvstore

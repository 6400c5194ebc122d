#include "src/kvstore/effects.h"

#include <random>

#include "gtest/gtest.h"

namespace tidemark::kvstore {
namespace {

constexpr PartitionId kPods{7}, kNodes{300};

KeyChange Change(int64_t sub, bool is_delete, std::string key, std::string value, int64_t lease) {
  KeyChange change;
  change.sub = sub;
  change.is_delete = is_delete;
  change.key = std::move(key);
  change.value = std::move(value);
  change.lease = LeaseId(lease);
  return change;
}

std::string Everything() {
  EffectsWriter writer;
  const std::string long_value(5000, 'x');
  writer.AddKeyChanges(kPods, {Change(0, false, "a", "", 0), Change(2, true, "b", "", 0)});
  writer.AddKeyChanges(kNodes, {Change(1, false, "n", long_value, -5)});
  writer.AddLeaseGrant({LeaseId(-9), 60});
  writer.AddLeaseRevoke(LeaseId(INT64_MAX));
  writer.AddLeaseRemaining(std::vector<LeaseRemainingEffect>{{LeaseId(1), 30}, {LeaseId(2), 0}});
  writer.AddCompaction(Revision(0));
  writer.AddAlarm({UINT64_MAX, 1, true});
  return std::move(writer).Take();
}

TEST(EffectsTest, EachPartitionFindsItsChangesAndAllFindTheNodeWideOnes) {
  const std::string payload = Everything();
  auto pods = DecodeEffects(payload, kPods);
  ASSERT_TRUE(pods.ok());
  ASSERT_EQ(pods->changes.size(), 2u);
  EXPECT_EQ(pods->changes[0].key, "a");
  EXPECT_FALSE(pods->changes[0].is_delete);
  EXPECT_EQ(pods->changes[1].key, "b");
  EXPECT_EQ(pods->changes[1].sub, 2);
  EXPECT_TRUE(pods->changes[1].is_delete);

  auto nodes = DecodeEffects(payload, kNodes);
  ASSERT_TRUE(nodes.ok());
  ASSERT_EQ(nodes->changes.size(), 1u);
  EXPECT_EQ(nodes->changes[0].value, std::string(5000, 'x'));
  EXPECT_EQ(nodes->changes[0].lease, LeaseId(-5));

  auto others = DecodeEffects(payload, PartitionId(1));
  ASSERT_TRUE(others.ok());
  EXPECT_TRUE(others->changes.empty());
  const auto& node = others->node_effects;
  ASSERT_EQ(node.size(), 5u);
  EXPECT_EQ(node[0].kind, NodeEffect::Kind::kLeaseGrant);
  EXPECT_EQ(node[0].lease, LeaseId(-9));
  EXPECT_EQ(node[0].ttl_seconds, 60);
  EXPECT_EQ(node[1].lease, LeaseId(INT64_MAX));
  ASSERT_EQ(node[2].remaining.size(), 2u);
  EXPECT_EQ(node[2].remaining[0].remaining_seconds, 30);
  EXPECT_EQ(node[3].compaction, Revision(0));
  EXPECT_EQ(node[4].alarm.member_id, UINT64_MAX);
  EXPECT_TRUE(node[4].alarm.raised);
}

TEST(EffectsTest, SinglePutIsTheSameBytes) {
  for (int64_t lease : {int64_t{0}, int64_t{1}, int64_t{-1}, INT64_MAX, INT64_MIN}) {
    for (size_t size : {0, 1, 127, 128, 20000}) {
      const std::string value(size, 'v');
      EffectsWriter writer;
      writer.AddKeyChanges(kNodes, {Change(0, false, "key", value, lease)});
      EXPECT_EQ(EncodeSinglePut(kNodes, "key", value, LeaseId(lease)), std::move(writer).Take());
    }
  }
}

// Written by the first version of the format; must stay readable.
TEST(EffectsTest, GoldenPut) {
  EXPECT_EQ(EncodeSinglePut(PartitionId(2), "k", "v", LeaseId(3)),
            std::string("\x01\x01\x08\x02\x02\x00\x01k\x01v\x06", 11));
}

TEST(EffectsTest, RefusesWhatItDoesNotKnow) {
  std::string payload = Everything();
  payload[0] = 2;
  EXPECT_FALSE(DecodeEffects(payload, kPods).ok());
  EXPECT_FALSE(DecodeEffects("", kPods).ok());
  EXPECT_FALSE(DecodeEffects(absl::string_view("\x01\x63\x00", 3), kPods).ok());  // kind 99
}

// Bytes that read like effects but that no writer writes: {version, kind, length, body}.
TEST(EffectsTest, RefusesWhatNoWriterWrites) {
  const std::string put("\x01\x01\x06\x07\x00\x00\x01k\x00", 9);  // flags 0, sub 0, "k", ""
  EXPECT_TRUE(DecodeEffects(put, kPods).ok());
  const std::string lease_zero("\x01\x01\x07\x07\x02\x00\x01k\x00\x00", 10);
  EXPECT_FALSE(DecodeEffects(lease_zero, kPods).ok());
  const std::string deleted_with_lease("\x01\x01\x06\x07\x03\x00\x01k\x0e", 9);
  EXPECT_FALSE(DecodeEffects(deleted_with_lease, kPods).ok());
  const std::string alarm("\x01\x06\x03\x05\x02\x01", 6);  // member 5, type 1, raised
  EXPECT_TRUE(DecodeEffects(alarm, kPods).ok());
  std::string raised_twice = alarm;
  raised_twice.back() = 2;
  EXPECT_FALSE(DecodeEffects(raised_twice, kPods).ok());
  const std::string wide_type("\x01\x06\x07\x05\x82\x80\x80\x80\x20\x01", 10);  // type 2^32 + 1
  EXPECT_FALSE(DecodeEffects(wide_type, kPods).ok());
}

TEST(EffectsTest, DamageIsRefusedOrHarmless) {
  const std::string payload = Everything();
  for (size_t size = 0; size < payload.size(); ++size) {
    (void)DecodeEffects(absl::string_view(payload).substr(0, size), kPods);
  }
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string damaged = payload;
    for (int flips = 1 + i % 3; flips > 0; --flips) {
      damaged[random() % 64] = static_cast<char>(random());
    }
    auto effects = DecodeEffects(damaged, kPods);
    if (!effects.ok()) continue;
    for (const KeyChangeView& change : effects->changes) {
      EXPECT_FALSE(change.key.empty());
      EXPECT_GE(change.key.data(), damaged.data());
      EXPECT_LE(change.key.data() + change.key.size(), damaged.data() + damaged.size());
    }
  }
}

}  // namespace
}  // namespace tidemark::kvstore

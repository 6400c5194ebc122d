#include "src/mvcc/key_value_codec.h"

#include <gtest/gtest.h>

#include <random>

#include "proto/kv.pb.h"

namespace tidemark::mvcc {
namespace {

std::string Encode(const KeyValueFields& fields) {
  std::string out(EncodedKeyValueSize(fields), '?');
  EXPECT_EQ(EncodeKeyValue(fields, out.data()), out.data() + out.size());
  return out;
}

std::string EncodeWithProtobuf(const KeyValueFields& fields) {
  mvccpb::KeyValue kv;
  kv.set_key(fields.key.data(), fields.key.size());
  kv.set_create_revision(fields.create_revision);
  kv.set_mod_revision(fields.mod_revision);
  kv.set_version(fields.version);
  kv.set_value(fields.value.data(), fields.value.size());
  kv.set_lease(fields.lease);
  return kv.SerializeAsString();
}

TEST(KeyValueCodecTest, EqualsProtobufForManyShapes) {
  std::mt19937_64 random(1);
  const int64_t numbers[] = {0, 1, 127, 128, 300, INT64_MAX, -1, INT64_MIN, 1 << 20};
  auto pick = [&] { return numbers[random() % std::size(numbers)]; };
  for (int i = 0; i < 20000; ++i) {
    const std::string key(1 + random() % 200, static_cast<char>(random()));
    const std::string value(random() % 3 == 0 ? 0 : random() % 20000, static_cast<char>(random()));
    const KeyValueFields fields{key, pick(), pick(), pick(), value, pick()};
    const std::string wire = Encode(fields);
    ASSERT_EQ(wire, EncodeWithProtobuf(fields));
    KeyValueFields back;
    ASSERT_TRUE(DecodeKeyValue(wire, &back));
    EXPECT_EQ(back.key, fields.key);
    EXPECT_EQ(back.value, fields.value);
    EXPECT_EQ(back.create_revision, fields.create_revision);
    EXPECT_EQ(back.mod_revision, fields.mod_revision);
    EXPECT_EQ(back.version, fields.version);
    EXPECT_EQ(back.lease, fields.lease);
    EXPECT_EQ(KeyOfWire(wire), fields.key);
  }
}

TEST(KeyValueCodecTest, NegativeLeaseTakesTenBytes) {
  EXPECT_EQ(Encode({.lease = -1}).size(), 11u);
}

TEST(KeyValueCodecTest, KeyFieldPrefixIsTheTombstoneForm) {
  const KeyValueFields fields{.key = "k", .mod_revision = 9};
  EXPECT_EQ(KeyFieldPrefix(Encode(fields)), Encode({.key = "k"}));
}

TEST(KeyValueCodecTest, EveryCutAndEveryFlippedByteIsRefusedOrStaysInside) {
  const std::string wire = Encode({"key", 5, 6, 7, "value", -3});
  KeyValueFields fields;
  auto inside = [&](absl::string_view part, const std::string& whole) {
    return part.empty() ||
           (part.data() >= whole.data() && part.end() <= whole.data() + whole.size());
  };
  for (size_t size = 0; size < wire.size(); ++size) {
    const std::string cut = wire.substr(0, size);
    if (DecodeKeyValue(cut, &fields)) {
      EXPECT_EQ(Encode(fields), cut);
    }
  }
  for (size_t i = 0; i < wire.size(); ++i) {
    for (int bit = 0; bit < 256; ++bit) {
      std::string changed = wire;
      changed[i] = static_cast<char>(bit);
      if (DecodeKeyValue(changed, &fields)) {
        EXPECT_TRUE(inside(fields.key, changed) && inside(fields.value, changed));
      }
    }
  }
}

TEST(KeyValueCodecTest, RefusesUnknownRepeatedAndOverlongFields) {
  KeyValueFields fields;
  EXPECT_FALSE(DecodeKeyValue(absl::string_view("\x38\x01", 2), &fields));          // field 7
  EXPECT_FALSE(DecodeKeyValue(absl::string_view("\x10\x01\x10\x01", 4), &fields));  // twice
  EXPECT_FALSE(DecodeKeyValue(std::string("\x10") + std::string(11, '\x80'), &fields));
  EXPECT_FALSE(DecodeKeyValue(std::string("\x10") + std::string(9, '\x80') + "\x02", &fields));
}

}  // namespace
}  // namespace tidemark::mvcc

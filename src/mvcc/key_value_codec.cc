#include "src/mvcc/key_value_codec.h"

#include <bit>
#include <cstring>

#include "src/base/check.h"

namespace tidemark::mvcc {
namespace {

// tag = field number << 3 | wire type (0 varint, 2 length-delimited); all below 16, so one byte.
constexpr uint8_t kKeyTag = 0x0A;
constexpr uint8_t kCreateTag = 0x10;
constexpr uint8_t kModTag = 0x18;
constexpr uint8_t kVersionTag = 0x20;
constexpr uint8_t kValueTag = 0x2A;
constexpr uint8_t kLeaseTag = 0x30;

size_t BytesFieldSize(absl::string_view bytes) {
  return bytes.empty() ? 0 : 1 + VarintSize(bytes.size()) + bytes.size();
}

size_t IntFieldSize(int64_t value) {
  return value == 0 ? 0 : 1 + VarintSize(static_cast<uint64_t>(value));
}

char* WriteBytesField(uint8_t tag, absl::string_view bytes, char* out) {
  if (bytes.empty()) return out;
  *out++ = static_cast<char>(tag);
  out = WriteVarint(bytes.size(), out);
  std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

char* WriteIntField(uint8_t tag, int64_t value, char* out) {
  if (value == 0) return out;
  *out++ = static_cast<char>(tag);
  return WriteVarint(static_cast<uint64_t>(value), out);
}

}  // namespace

size_t VarintSize(uint64_t value) {
  const int bits = std::bit_width(value | 1);
  return static_cast<size_t>((bits + 6) / 7);
}

char* WriteVarint(uint64_t value, char* out) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

const char* ReadVarint(const char* begin, const char* end, uint64_t* value) {
  uint64_t result = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (begin == end) return nullptr;
    const auto byte = static_cast<uint8_t>(*begin++);
    if (shift == 63 && byte > 1) return nullptr;  // more than 64 bits
    result |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) {
      *value = result;
      return begin;
    }
  }
  return nullptr;
}

size_t EncodedKeyValueSize(const KeyValueFields& fields) {
  return BytesFieldSize(fields.key) + IntFieldSize(fields.create_revision) +
         IntFieldSize(fields.mod_revision) + IntFieldSize(fields.version) +
         BytesFieldSize(fields.value) + IntFieldSize(fields.lease);
}

char* EncodeKeyValue(const KeyValueFields& fields, char* out) {
  out = WriteBytesField(kKeyTag, fields.key, out);
  out = WriteIntField(kCreateTag, fields.create_revision, out);
  out = WriteIntField(kModTag, fields.mod_revision, out);
  out = WriteIntField(kVersionTag, fields.version, out);
  out = WriteBytesField(kValueTag, fields.value, out);
  return WriteIntField(kLeaseTag, fields.lease, out);
}

bool DecodeKeyValue(absl::string_view wire, KeyValueFields* fields) {
  *fields = KeyValueFields();
  const char* in = wire.data();
  const char* const end = in + wire.size();
  uint8_t last_tag = 0;
  while (in != end) {
    const auto tag = static_cast<uint8_t>(*in++);
    if (tag <= last_tag) return false;
    last_tag = tag;
    uint64_t number = 0;
    in = ReadVarint(in, end, &number);
    if (in == nullptr) return false;
    absl::string_view bytes;
    if (tag == kKeyTag || tag == kValueTag) {
      if (number > static_cast<uint64_t>(end - in)) return false;
      bytes = absl::string_view(in, number);
      in += number;
    }
    switch (tag) {
      case kKeyTag:
        fields->key = bytes;
        break;
      case kCreateTag:
        fields->create_revision = static_cast<int64_t>(number);
        break;
      case kModTag:
        fields->mod_revision = static_cast<int64_t>(number);
        break;
      case kVersionTag:
        fields->version = static_cast<int64_t>(number);
        break;
      case kValueTag:
        fields->value = bytes;
        break;
      case kLeaseTag:
        fields->lease = static_cast<int64_t>(number);
        break;
      default:
        return false;
    }
  }
  return true;
}

absl::string_view KeyFieldPrefix(absl::string_view wire) {
  const absl::string_view key = KeyOfWire(wire);
  return absl::string_view(wire.data(), static_cast<size_t>(key.end() - wire.begin()));
}

absl::string_view KeyOfWire(absl::string_view wire) {
  CHECK(wire.size() > 2 && static_cast<uint8_t>(wire[0]) == kKeyTag);
  uint64_t size = 0;
  const char* const end = wire.data() + wire.size();
  const char* key = ReadVarint(wire.data() + 1, end, &size);
  CHECK(key != nullptr && size <= static_cast<uint64_t>(end - key));
  return absl::string_view(key, size);
}

}  // namespace tidemark::mvcc

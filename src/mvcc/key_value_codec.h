// The canonical wire form of mvccpb.KeyValue, written and read by hand.
//
// Hides protobuf's encoding rules: fields in ascending order, zero and empty fields left out, int64
// as varints (negative ones take ten bytes). The form is what HashKV feeds (contract 5.3), so it
// may never change. Stateless functions; decoding treats its input as hostile.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace tidemark::mvcc {

struct KeyValueFields {
  absl::string_view key;
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
  int64_t version = 0;
  absl::string_view value;
  int64_t lease = 0;
};

size_t VarintSize(uint64_t value);
char* WriteVarint(uint64_t value, char* out);
// Returns behind the varint, or nullptr when it is cut short or longer than ten bytes.
const char* ReadVarint(const char* begin, const char* end, uint64_t* value);

size_t EncodedKeyValueSize(const KeyValueFields& fields);
// Writes exactly EncodedKeyValueSize bytes; returns behind the last one.
char* EncodeKeyValue(const KeyValueFields& fields, char* out);
// False unless `wire` is a sequence of known fields in ascending order. Views point into `wire`.
bool DecodeKeyValue(absl::string_view wire, KeyValueFields* fields);

// The key alone, with its tag and length in front: the leading bytes of a wire form. A tombstone is
// stored by etcd in just this form.
absl::string_view KeyFieldPrefix(absl::string_view wire);
absl::string_view KeyOfWire(absl::string_view wire);

}  // namespace tidemark::mvcc

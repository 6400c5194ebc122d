// The hand-written wire form of mvccpb.KeyValue and of watch events, against protobuf's reading.
#include "proto/rpc.pb.h"
#include "src/mvcc/event_codec.h"
#include "src/mvcc/key_value_codec.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::mvcc {
namespace {

void CheckSame(const KeyValueFields& fields, const mvccpb::KeyValue& expected) {
  CHECK(fields.key == expected.key() && fields.value == expected.value());
  CHECK(fields.create_revision == expected.create_revision());
  CHECK(fields.mod_revision == expected.mod_revision());
  CHECK(fields.version == expected.version() && fields.lease == expected.lease());
}

void CheckDecode(absl::string_view wire) {
  KeyValueFields fields;
  if (!DecodeKeyValue(wire, &fields)) return;
  mvccpb::KeyValue expected;
  CHECK(expected.ParseFromArray(wire.data(), static_cast<int>(wire.size())));
  CheckSame(fields, expected);
  std::string again(EncodedKeyValueSize(fields), '\0');
  CHECK(EncodeKeyValue(fields, again.data()) == again.data() + again.size());
  CHECK(again == expected.SerializeAsString());
  if (!fields.key.empty()) {
    CHECK(KeyOfWire(again) == fields.key);
    CHECK(KeyFieldPrefix(again).size() + fields.key.size() >= 2);
  }
}

SharedBytes KeyValueFrom(fuzz::Input& in) {
  KeyValueFields fields;
  fields.key = in.Text();
  fields.create_revision = in.Number<int64_t>();
  fields.mod_revision = in.Number<int64_t>();
  fields.version = in.Byte();
  // Long ones are referred to instead of copied.
  const std::string value(in.Bool() ? kReferencedFromBytes : in.Byte(), 'v');
  fields.value = value;
  fields.lease = in.Number<int64_t>();
  std::string wire(EncodedKeyValueSize(fields), '\0');
  EncodeKeyValue(fields, wire.data());
  return SharedBytes::Own(std::move(wire));
}

void CheckEvents(fuzz::Input in) {
  std::vector<Event> events(in.Below(6));
  for (Event& event : events) {
    event.type = in.Bool() ? Event::Type::kDelete : Event::Type::kPut;
    event.kv = KeyValueFrom(in);
    if (in.Bool()) event.prev_kv = KeyValueFrom(in);
  }
  const std::string wire = EncodeEvents(events).Flatten();
  etcdserverpb::WatchResponse response;
  CHECK(response.ParseFromString(wire));
  CHECK(static_cast<size_t>(response.events_size()) == events.size());
  size_t size_bytes = 0;
  for (size_t i = 0; i < events.size(); ++i) {
    const mvccpb::Event& event = response.events(static_cast<int>(i));
    CHECK((event.type() == mvccpb::Event::DELETE) == (events[i].type == Event::Type::kDelete));
    CHECK(event.kv().SerializeAsString() == events[i].kv.view());
    CHECK(event.has_prev_kv() == events[i].prev_kv.has_value());
    if (event.has_prev_kv()) {
      CHECK(event.prev_kv().SerializeAsString() == events[i].prev_kv->view());
    }
    size_bytes += EncodedEventSize(events[i]);
  }
  CHECK(size_bytes == wire.size());
}

}  // namespace

FUZZ_TARGET(key_value) {
  fuzz::Input in(input);
  if (in.Bool()) return CheckEvents(in);
  CheckDecode(in.rest());
}

}  // namespace tidemark::mvcc

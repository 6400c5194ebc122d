#include "src/mvcc/event_codec.h"

#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "src/base/check.h"
#include "src/mvcc/key_value_codec.h"
#include "src/mvcc/watch_set.h"

namespace tidemark::mvcc {
namespace {

constexpr char kEventsTag = 0x5A;  // WatchResponse.events = 11
constexpr char kTypeTag = 0x08;
constexpr char kKvTag = 0x12;
constexpr char kPrevKvTag = 0x1A;

size_t KvFieldSize(const SharedBytes& kv) { return 1 + VarintSize(kv.size()) + kv.size(); }

size_t EventBodySize(const Event& event) {
  size_t size = KvFieldSize(event.kv);
  if (event.type == Event::Type::kDelete) size += 2;
  if (event.prev_kv) size += KvFieldSize(*event.prev_kv);
  return size;
}

size_t ReferencedSize(const SharedBytes& kv) {
  return kv.size() >= kReferencedFromBytes ? kv.size() : 0;
}

// Writes into a buffer of known size and cuts it into runs where stored bytes come between.
class Encoder {
 public:
  explicit Encoder(size_t copied_size)
      : buffer_(std::make_shared<std::string>(copied_size, '\0')),
        run_(buffer_->data()),
        out_(buffer_->data()) {}

  void Add(const Event& event) {
    *out_++ = kEventsTag;
    out_ = WriteVarint(EventBodySize(event), out_);
    if (event.type == Event::Type::kDelete) {
      *out_++ = kTypeTag;
      *out_++ = 1;
    }
    AddKv(kKvTag, event.kv);
    if (event.prev_kv) AddKv(kPrevKvTag, *event.prev_kv);
  }

  ByteChain Finish() {
    CHECK(out_ == buffer_->data() + buffer_->size());
    EndRun();
    return std::move(chain_);
  }

 private:
  void AddKv(char tag, const SharedBytes& kv) {
    *out_++ = tag;
    out_ = WriteVarint(kv.size(), out_);
    if (ReferencedSize(kv) > 0) {
      EndRun();
      chain_.Append(kv);
      return;
    }
    std::memcpy(out_, kv.view().data(), kv.size());
    out_ += kv.size();
  }
  void EndRun() {
    chain_.Append(SharedBytes(absl::string_view(run_, static_cast<size_t>(out_ - run_)), buffer_));
    run_ = out_;
  }

  std::shared_ptr<std::string> buffer_;
  char* run_;
  char* out_;
  ByteChain chain_;
};

class EventBatchImpl final : public EventBatch {
 public:
  explicit EventBatchImpl(std::vector<Event> events) : events_(std::move(events)) {
    for (const Event& event : events_) encoded_size_bytes_ += EncodedEventSize(event);
  }

  absl::Span<const Event> events() const override { return events_; }
  const ByteChain& Encoded() const override {
    std::call_once(once_, [this] {
      encoded_ = EncodeEvents(events_);
      CHECK(encoded_.size_bytes() == encoded_size_bytes_);
    });
    return encoded_;
  }
  size_t encoded_size_bytes() const override { return encoded_size_bytes_; }

 private:
  const std::vector<Event> events_;
  size_t encoded_size_bytes_ = 0;
  mutable std::once_flag once_;
  mutable ByteChain encoded_;
};

}  // namespace

size_t EncodedEventSize(const Event& event) {
  const size_t body = EventBodySize(event);
  return 1 + VarintSize(body) + body;
}

ByteChain EncodeEvents(absl::Span<const Event> events) {
  size_t copied = 0;
  for (const Event& event : events) {
    copied += EncodedEventSize(event) - ReferencedSize(event.kv);
    if (event.prev_kv) copied -= ReferencedSize(*event.prev_kv);
  }
  Encoder encoder(copied);
  for (const Event& event : events) encoder.Add(event);
  return encoder.Finish();
}

EventBatchPtr MakeEventBatch(std::vector<Event> events, bool with_prev_kv) {
  if (!with_prev_kv) {
    for (Event& event : events) event.prev_kv.reset();
  }
  return std::make_shared<EventBatchImpl>(std::move(events));
}

}  // namespace tidemark::mvcc

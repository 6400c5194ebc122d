#include "src/server/services/reply_encoder.h"

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/server/services/wire_writer.h"

namespace tidemark::server {
namespace {

using kvstore::DeleteResult;
using kvstore::OpResult;
using kvstore::PutResult;
using kvstore::RangeItem;
using kvstore::RangeResult;
using kvstore::TxnResult;

// Small pieces of a message besides its items: header and counters.
constexpr size_t kFrameBytes = 64;

size_t Size(const Header& h) {
  return ScalarFieldSize(h.cluster_id) + ScalarFieldSize(h.member_id) +
         ScalarFieldSize(static_cast<uint64_t>(h.revision.value())) + ScalarFieldSize(h.term);
}
void Write(WireWriter& out, const Header& h) {
  out.Length(1, Size(h));
  out.Scalar(1, h.cluster_id);
  out.Scalar(2, h.member_id);
  out.Signed(3, h.revision.value());
  out.Scalar(4, h.term);
}

size_t Size(const Header& h, const RangeResult& r) {
  return LengthFieldSize(Size(h)) + r.items.message_bytes() + ScalarFieldSize(r.more) +
         ScalarFieldSize(static_cast<uint64_t>(r.count));
}
void WriteEnd(WireWriter& out, const RangeResult& r) {
  out.Flag(3, r.more);
  out.Signed(4, r.count);
}
void Write(WireWriter& out, const Header& h, const RangeResult& r) {
  Write(out, h);
  for (const RangeItem& item : r.items) out.Message(2, item.wire);
  WriteEnd(out, r);
}

size_t Size(const Header& h, const PutResult& r) {
  return LengthFieldSize(Size(h)) + (r.prev_kv ? LengthFieldSize(r.prev_kv->size()) : 0);
}
void Write(WireWriter& out, const Header& h, const PutResult& r) {
  Write(out, h);
  if (r.prev_kv) out.Message(2, *r.prev_kv);
}

size_t Size(const Header& h, const DeleteResult& r) {
  size_t size_bytes = LengthFieldSize(Size(h)) + ScalarFieldSize(static_cast<uint64_t>(r.deleted));
  for (const SharedBytes& kv : r.prev_kvs) size_bytes += LengthFieldSize(kv.size());
  return size_bytes;
}
void Write(WireWriter& out, const Header& h, const DeleteResult& r) {
  Write(out, h);
  out.Signed(2, r.deleted);
  for (const SharedBytes& kv : r.prev_kvs) out.Message(3, kv);
}

size_t Size(const Header& h, const TxnResult& r);
void Write(WireWriter& out, const Header& h, const TxnResult& r);

// Calls `visitor(field number in ResponseOp, its header, its result)`.
template <typename Visitor>
auto VisitOp(const OpResult& op, Visitor visitor) {
  Header header;
  header.revision = op.header_revision;
  if (auto* range = std::get_if<RangeResult>(&op.result)) return visitor(1, header, *range);
  if (auto* put = std::get_if<PutResult>(&op.result)) return visitor(2, header, *put);
  if (auto* del = std::get_if<DeleteResult>(&op.result)) return visitor(3, header, *del);
  const auto& txn = std::get<std::unique_ptr<TxnResult>>(op.result);
  CHECK(txn != nullptr);
  return visitor(4, Header(), *txn);
}

size_t OpSize(const OpResult& op) {
  return VisitOp(op, [](int, const Header& h, const auto& result) {
    return LengthFieldSize(Size(h, result));
  });
}

size_t Size(const Header& h, const TxnResult& r) {
  size_t size_bytes = LengthFieldSize(Size(h)) + ScalarFieldSize(r.succeeded);
  for (const OpResult& op : r.responses) size_bytes += LengthFieldSize(OpSize(op));
  return size_bytes;
}
void Write(WireWriter& out, const Header& h, const TxnResult& r) {
  Write(out, h);
  out.Flag(2, r.succeeded);
  for (const OpResult& op : r.responses) {
    out.Length(3, OpSize(op));
    VisitOp(op, [&out](int field, const Header& header, const auto& result) {
      out.Length(field, Size(header, result));
      Write(out, header, result);
    });
  }
}

template <typename Items>
size_t SmallBytes(const Items& items) {
  size_t small_bytes = kFrameBytes;
  for (const RangeItem& item : items) {
    small_bytes += 6 + (item.wire.size() < WireWriter::kReferBytes ? item.wire.size() : 0);
  }
  return small_bytes;
}

}  // namespace

ByteChain EncodeRange(const Header& header, const RangeResult& result) {
  WireWriter out(SmallBytes(result.items));
  Write(out, header, result);
  return out.Finish();
}

ByteChain EncodeRangeItems(std::vector<RangeItem> items) {
  WireWriter out(SmallBytes(items));
  for (RangeItem& item : items) out.Message(2, std::move(item.wire));
  return out.Finish();
}

ByteChain EncodeRangeEnd(const RangeResult& result) {
  WireWriter out(kFrameBytes);
  WriteEnd(out, result);
  return out.Finish();
}

ByteChain EncodePut(const Header& header, const PutResult& result) {
  WireWriter out(kFrameBytes);
  Write(out, header, result);
  return out.Finish();
}

ByteChain EncodeDelete(const Header& header, const DeleteResult& result) {
  WireWriter out(kFrameBytes);
  Write(out, header, result);
  return out.Finish();
}

ByteChain EncodeTxn(const Header& header, const TxnResult& result) {
  WireWriter out(2 * kFrameBytes);
  Write(out, header, result);
  return out.Finish();
}

ByteChain EncodeLease(const Header& header, int64_t id, int64_t ttl_seconds) {
  WireWriter out(kFrameBytes);
  Write(out, header);
  out.Signed(2, id);
  out.Signed(3, ttl_seconds);
  return out.Finish();
}

ByteChain EncodeHeaderOnly(const Header& header) {
  WireWriter out(kFrameBytes);
  Write(out, header);
  return out.Finish();
}

ByteChain EncodeRangeStream(const kvstore::RangeItems& items,
                            const std::optional<RangeStreamEnd>& end) {
  size_t size_bytes = items.message_bytes();
  if (end) {
    size_bytes += LengthFieldSize(Size(end->header)) + ScalarFieldSize(end->more) +
                  ScalarFieldSize(static_cast<uint64_t>(end->count));
  }
  WireWriter out(SmallBytes(items));
  out.Length(1, size_bytes);
  if (end) Write(out, end->header);
  for (const RangeItem& item : items) out.Message(2, item.wire);
  if (end) {
    out.Flag(3, end->more);
    out.Signed(4, end->count);
  }
  return out.Finish();
}

ByteChain EncodeWatch(const WatchReply& reply, const ByteChain& events) {
  WireWriter out(kFrameBytes + (events.size_bytes() < 4096 ? events.size_bytes() : 0));
  Write(out, reply.header);
  out.Signed(2, reply.watch_id);
  out.Flag(3, reply.created);
  out.Flag(4, reply.canceled);
  out.Signed(5, reply.compact_revision.value());
  out.Text(6, reply.cancel_reason);
  out.Flag(7, reply.fragment);
  out.Raw(events);
  return out.Finish();
}

namespace {

// Reads and cuts a chain from its front.
class ChainCutter {
 public:
  explicit ChainCutter(const ByteChain& chain) : runs_(chain.runs()) {}

  bool AtEnd() const { return run_ == runs_.size(); }
  size_t offset() const { return offset_; }

  void Skip(size_t size_bytes) {
    while (size_bytes > 0) {
      CHECK(!AtEnd());
      size_t step = std::min(size_bytes, runs_[run_].size() - in_run_);
      Advance(step);
      size_bytes -= step;
    }
  }
  uint64_t ReadVarint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      CHECK(!AtEnd());
      uint8_t byte = static_cast<uint8_t>(runs_[run_].view()[in_run_]);
      Advance(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    CHECK_MSG(false, "varint too long");
  }
  void Take(size_t size_bytes, ByteChain& out) {
    while (size_bytes > 0) {
      CHECK(!AtEnd());
      size_t step = std::min(size_bytes, runs_[run_].size() - in_run_);
      out.Append(SharedBytes(runs_[run_].view().substr(in_run_, step), runs_[run_].owner()));
      Advance(step);
      size_bytes -= step;
    }
  }

 private:
  void Advance(size_t step) {
    in_run_ += step;
    offset_ += step;
    if (in_run_ == runs_[run_].size()) {
      ++run_;
      in_run_ = 0;
    }
  }

  const absl::Span<const SharedBytes> runs_;
  size_t run_ = 0;
  size_t in_run_ = 0;
  size_t offset_ = 0;
};

constexpr uint64_t kEventsTag = 11 << 3 | 2;

}  // namespace

std::vector<ByteChain> SplitEvents(const ByteChain& events, size_t limit_bytes) {
  // Where parts end, found by walking over the events' lengths.
  std::vector<size_t> part_sizes;
  ChainCutter walk(events);
  size_t part_begin = 0;
  while (!walk.AtEnd()) {
    size_t event_begin = walk.offset();
    CHECK(walk.ReadVarint() == kEventsTag);
    walk.Skip(walk.ReadVarint());
    if (event_begin > part_begin && walk.offset() - part_begin > limit_bytes) {
      part_sizes.push_back(event_begin - part_begin);
      part_begin = event_begin;
    }
  }
  part_sizes.push_back(events.size_bytes() - part_begin);

  if (PLANTED_BUG("fragment_drops_last_part") && part_sizes.size() > 1) part_sizes.pop_back();
  std::vector<ByteChain> parts;
  ChainCutter cut(events);
  for (size_t size_bytes : part_sizes) {
    ByteChain part;
    cut.Take(size_bytes, part);
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace tidemark::server

// Parity with protobuf: what is encoded by hand is what the library would have written.
#include "src/server/services/reply_encoder.h"

#include <gtest/gtest.h>

#include <random>

#include "proto/rpc.pb.h"
#include "src/base/memory_budget.h"
#include "src/server/services/range_reply.h"
#include "src/server/services/utf8.h"

namespace tidemark::server {
namespace {

using kvstore::DeleteResult;
using kvstore::OpResult;
using kvstore::PutResult;
using kvstore::RangeItem;
using kvstore::RangeResult;
using kvstore::TxnResult;

// Builds an answer and, beside it, the message that it stands for.
class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  uint64_t Below(uint64_t bound) { return random_() % bound; }
  int64_t Number() {
    switch (Below(4)) {
      case 0:
        return 0;
      case 1:
        return static_cast<int64_t>(Below(200));
      case 2:
        return -static_cast<int64_t>(Below(200));
      default:
        return static_cast<int64_t>(random_());
    }
  }
  Header MakeHeader(etcdserverpb::ResponseHeader& message) {
    Header header{Below(2) ? random_() : 0, random_(), Revision(Number()), Below(300)};
    message.set_cluster_id(header.cluster_id);
    message.set_member_id(header.member_id);
    message.set_revision(header.revision.value());
    message.set_raft_term(header.term);
    return header;
  }
  SharedBytes KeyValue(mvccpb::KeyValue& message) {
    message.set_key(std::string(Below(20), 'k'));
    message.set_value(std::string(Below(4) == 0 ? Below(5000) : Below(30), 'v'));
    message.set_mod_revision(Number());
    message.set_lease(Number());
    return SharedBytes::Own(message.SerializeAsString());
  }
  RangeResult Range(etcdserverpb::RangeResponse& message) {
    RangeResult result;
    for (uint64_t i = Below(5); i > 0; --i) {
      RangeItem item;
      item.wire = KeyValue(*message.add_kvs());
      result.items.Append(item);
    }
    result.more = Below(2);
    result.count = Number();
    message.set_more(result.more);
    message.set_count(result.count);
    return result;
  }
  PutResult Put(etcdserverpb::PutResponse& message) {
    PutResult result;
    if (Below(2)) result.prev_kv = KeyValue(*message.mutable_prev_kv());
    return result;
  }
  DeleteResult Delete(etcdserverpb::DeleteRangeResponse& message) {
    DeleteResult result;
    for (uint64_t i = Below(4); i > 0; --i) {
      result.prev_kvs.push_back(KeyValue(*message.add_prev_kvs()));
    }
    result.deleted = Number();
    message.set_deleted(result.deleted);
    return result;
  }
  TxnResult Txn(etcdserverpb::TxnResponse& message, int depth) {
    TxnResult result;
    result.succeeded = Below(2);
    message.set_succeeded(result.succeeded);
    for (uint64_t i = Below(4); i > 0; --i) {
      result.responses.push_back(Op(*message.add_responses(), depth));
    }
    return result;
  }

 private:
  OpResult Op(etcdserverpb::ResponseOp& message, int depth) {
    OpResult op;
    op.header_revision = Revision(Number());
    switch (Below(depth > 0 ? 4 : 3)) {
      case 0:
        message.mutable_response_range()->mutable_header()->set_revision(
            op.header_revision.value());
        op.result = Range(*message.mutable_response_range());
        break;
      case 1:
        message.mutable_response_put()->mutable_header()->set_revision(op.header_revision.value());
        op.result = Put(*message.mutable_response_put());
        break;
      case 2:
        message.mutable_response_delete_range()->mutable_header()->set_revision(
            op.header_revision.value());
        op.result = Delete(*message.mutable_response_delete_range());
        break;
      default:
        message.mutable_response_txn()->mutable_header();  // empty, but there
        op.result = std::make_unique<TxnResult>(Txn(*message.mutable_response_txn(), depth - 1));
    }
    return op;
  }

  std::mt19937_64 random_;
};

TEST(ReplyEncoder, SameBytesAsProtobuf) {
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE(seed);
    Generator generator(seed);
    etcdserverpb::RangeResponse range;
    Header header = generator.MakeHeader(*range.mutable_header());
    std::string encoded = EncodeRange(header, generator.Range(range)).Flatten();
    ASSERT_EQ(encoded, range.SerializeAsString());
    etcdserverpb::PutResponse put;
    header = generator.MakeHeader(*put.mutable_header());
    encoded = EncodePut(header, generator.Put(put)).Flatten();
    ASSERT_EQ(encoded, put.SerializeAsString());
    etcdserverpb::DeleteRangeResponse del;
    header = generator.MakeHeader(*del.mutable_header());
    encoded = EncodeDelete(header, generator.Delete(del)).Flatten();
    ASSERT_EQ(encoded, del.SerializeAsString());
    etcdserverpb::TxnResponse txn;
    header = generator.MakeHeader(*txn.mutable_header());
    encoded = EncodeTxn(header, generator.Txn(txn, 3)).Flatten();
    ASSERT_EQ(encoded, txn.SerializeAsString());
    etcdserverpb::CompactionResponse compaction;
    header = generator.MakeHeader(*compaction.mutable_header());
    ASSERT_EQ(EncodeHeaderOnly(header).Flatten(), compaction.SerializeAsString());
  }
}

TEST(ReplyEncoder, RangeStreamMessages) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    Generator generator(seed);
    etcdserverpb::RangeStreamResponse message;
    etcdserverpb::RangeResponse& inner = *message.mutable_range_response();
    RangeResult result = generator.Range(inner);
    std::optional<RangeStreamEnd> end;
    if (generator.Below(2)) {
      end =
          RangeStreamEnd{generator.MakeHeader(*inner.mutable_header()), result.more, result.count};
    } else {
      inner.clear_more();
      inner.clear_count();
    }
    ASSERT_EQ(EncodeRangeStream(result.items, end).Flatten(), message.SerializeAsString())
        << "seed " << seed;
  }
}

// A long answer is encoded while it is sent: the same bytes, in pieces of bounded size, each of
// which gives back its part of the memory.
TEST(RangeReply, LongAnswersComeInPieces) {
  for (const size_t count : {1, 255, 256, 257, 512, 5000}) {
    SCOPED_TRACE(count);
    Generator generator(count);
    etcdserverpb::RangeResponse message;
    const Header header = generator.MakeHeader(*message.mutable_header());
    MemoryBudget budget;
    RangeResult result;
    result.charge = MemoryCharge(budget, MemoryAccount::kReads);
    result.charge.Set(static_cast<int64_t>(count) * 100);
    for (size_t i = 0; i < count; ++i) {
      RangeItem item;
      item.wire = generator.KeyValue(*message.add_kvs());
      result.items.Append(std::move(item));
    }
    result.more = true;
    result.count = static_cast<int64_t>(count) + 1;
    message.set_more(result.more);
    message.set_count(result.count);
    OutgoingMessage reply = MakeRangeReply(header, std::move(result));
    const std::string expected = message.SerializeAsString();
    EXPECT_EQ(reply.size_bytes(), expected.size());
    EXPECT_EQ(reply.rest != nullptr, count > 256);
    std::string bytes = reply.begin.Flatten();
    int64_t held_bytes = budget.used_bytes(MemoryAccount::kReads);
    while (reply.rest != nullptr && reply.rest->size_bytes() > 0) {
      const ByteChain piece = reply.rest->Next();
      ASSERT_FALSE(piece.empty());
      EXPECT_LE(piece.runs().size(), 2 * 256u + 1);
      bytes += piece.Flatten();
      ASSERT_EQ(bytes.size() + reply.rest->size_bytes(), expected.size());
      EXPECT_LE(budget.used_bytes(MemoryAccount::kReads), held_bytes);
      held_bytes = budget.used_bytes(MemoryAccount::kReads);
    }
    EXPECT_EQ(held_bytes, 0);
    ASSERT_EQ(bytes, expected);
  }
}

TEST(ReplyEncoder, LargeValuesAreNotCopied) {
  mvccpb::KeyValue kv;
  kv.set_key("k");
  kv.set_value(std::string(100000, 'v'));
  RangeResult result;
  RangeItem item;
  item.wire = SharedBytes::Own(kv.SerializeAsString());
  result.items.Append(item);
  ByteChain chain = EncodeRange(Header(), result);
  bool referred = false;
  for (const SharedBytes& run : chain.runs()) {
    referred |= run.view().data() == item.wire.view().data();
  }
  EXPECT_TRUE(referred);
}

// Values that are copied and values that are referred to, by turns.
TEST(ReplyEncoder, AnAnswerHoldsLittleMoreThanWhatItCopied) {
  RangeResult result;
  size_t copied_bytes = 0;
  for (int i = 0; i < 256; ++i) {
    const size_t size_bytes = i % 2 == 0 ? 900 : 1100;
    RangeItem item;
    item.wire = SharedBytes::Own(std::string(size_bytes, 'v'));
    if (i % 2 == 0) copied_bytes += size_bytes;
    result.items.Append(std::move(item));
  }
  const ByteChain chain = EncodeRange(Header(), result);
  EXPECT_LT(chain.heap_bytes(), 2 * copied_bytes);
}

TEST(ReplyEncoder, WatchResponses) {
  etcdserverpb::WatchResponse message;
  Generator generator(7);
  WatchReply reply;
  reply.header = generator.MakeHeader(*message.mutable_header());
  reply.watch_id = -1;
  reply.created = reply.canceled = reply.fragment = true;
  reply.compact_revision = Revision(9);
  reply.cancel_reason = "why";
  message.set_watch_id(-1);
  message.set_created(true);
  message.set_canceled(true);
  message.set_fragment(true);
  message.set_compact_revision(9);
  message.set_cancel_reason("why");
  EXPECT_EQ(EncodeWatch(reply, ByteChain()).Flatten(), message.SerializeAsString());
}

TEST(SplitEvents, PartsJoinToTheWhole) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Generator generator(seed);
    etcdserverpb::WatchResponse whole;
    std::vector<std::string> each;
    for (uint64_t i = 2 + generator.Below(20); i > 0; --i) {
      mvccpb::Event& event = *whole.add_events();
      generator.KeyValue(*event.mutable_kv());
      etcdserverpb::WatchResponse one;
      *one.add_events() = event;
      each.push_back(one.SerializeAsString());
    }
    // The same bytes in runs cut at random.
    std::string bytes = whole.SerializeAsString();
    ByteChain chain;
    for (size_t at = 0; at < bytes.size();) {
      size_t step = std::min<size_t>(1 + generator.Below(700), bytes.size() - at);
      chain.Append(bytes.substr(at, step));
      at += step;
    }
    size_t limit = 50 + generator.Below(6000);
    std::vector<ByteChain> parts = SplitEvents(chain, limit);
    std::string joined;
    size_t events = 0;
    for (const ByteChain& part : parts) {
      etcdserverpb::WatchResponse message;
      ASSERT_TRUE(message.ParseFromString(part.Flatten())) << "seed " << seed;
      ASSERT_GE(message.events_size(), 1);
      if (message.events_size() > 1) {
        ASSERT_LE(part.size_bytes(), limit) << "seed " << seed;
      }
      events += message.events_size();
      joined += part.Flatten();
    }
    ASSERT_EQ(joined, bytes) << "seed " << seed;
    ASSERT_EQ(events, each.size());
  }
}

TEST(Utf8, Rfc3629) {
  for (const char* good : {"", "3.7", "\xc2\xa2", "\xe2\x82\xac", "\xf0\x90\x8d\x88"})
    EXPECT_TRUE(IsValidUtf8(good)) << good;
  for (const char* bad : {"\x80", "\xc0\x80", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                          "a\xff", "\xe0\x80\x80", "\xc2"})
    EXPECT_FALSE(IsValidUtf8(bad)) << bad;
}

}  // namespace
}  // namespace tidemark::server

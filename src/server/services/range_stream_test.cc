// RangeStream as clients see it; expected values from contract 2.4.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/kvstore/etcd_errors.h"
#include "src/server/services/services_fixture_for_test.h"

namespace tidemark::server {
namespace {

class RangeStreamTest : public ServicesTest {
 protected:
  // A store of `count` keys key-00000... with values of `value_bytes`.
  void Fill(int count, size_t value_bytes) {
    for (int i = 0; i < count; ++i) {
      mvccpb::KeyValue kv;
      kv.set_key("key-" + std::to_string(100000 + i));
      kv.set_value(std::string(value_bytes, 'v'));
      keys_.push_back(kv.key());
      wires_.push_back(SharedBytes::Own(kv.SerializeAsString()));
    }
    router_.answer_range = [this](const etcdserverpb::RangeRequest& request) {
      kvstore::RangeResult result;
      for (size_t i = 0; i < keys_.size(); ++i) {
        if (keys_[i] < request.key()) continue;
        ++result.count;
        bool full =
            request.limit() > 0 && static_cast<int64_t>(result.items.size()) == request.limit();
        result.more |= full;
        if (full || request.count_only()) continue;
        kvstore::RangeItem item;
        item.wire = wires_[i];
        item.key = keys_[i];
        result.items.Append(item);
      }
      if (request.count_only()) result.more = false;
      // Later reads see a newer store.
      return kvstore::Reply<kvstore::RangeResult>{
          Revision(50 + static_cast<int64_t>(router_.ranges.size())), std::move(result)};
    };
  }
  std::vector<etcdserverpb::RangeResponse> Stream(const etcdserverpb::RangeRequest& request) {
    started_ = Ask("/etcdserverpb.KV/RangeStream", request);
    std::vector<etcdserverpb::RangeResponse> parts;
    for (const std::string& bytes : started_.call->sent) {
      parts.push_back(Parse<etcdserverpb::RangeStreamResponse>(bytes).range_response());
    }
    return parts;
  }
  etcdserverpb::RangeRequest All() {
    etcdserverpb::RangeRequest request;
    request.set_key("key-");
    request.set_range_end("key.");
    return request;
  }

  std::vector<std::string> keys_;
  std::vector<SharedBytes> wires_;
  Started started_;
};

TEST_F(RangeStreamTest, PartsMakeTheWholeAtOneRevision) {
  Fill(25000, 10);
  std::vector<etcdserverpb::RangeResponse> parts = Stream(All());
  ASSERT_TRUE(started_.call->finished);
  EXPECT_TRUE(started_.call->status.ok());
  size_t next = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    bool last = i + 1 == parts.size();
    EXPECT_EQ(parts[i].has_header(), last);
    EXPECT_GT(parts[i].kvs_size(), 0);
    for (const auto& kv : parts[i].kvs()) ASSERT_EQ(kv.key(), keys_.at(next++));
  }
  EXPECT_EQ(next, keys_.size());
  EXPECT_EQ(parts[0].kvs_size(), 10);
  EXPECT_EQ(parts.back().count(), 25000);
  EXPECT_FALSE(parts.back().more());
  EXPECT_EQ(parts.back().header().revision(), 51);
  ASSERT_GT(router_.ranges.size(), 1u);
  for (size_t i = 1; i < router_.ranges.size(); ++i) EXPECT_EQ(router_.ranges[i].revision(), 51);
  // Counting the rest in each page would take time that grows with the square of the range.
  EXPECT_EQ(router_.uncounted_ranges, router_.ranges.size());
}

TEST_F(RangeStreamTest, OnlyThePageThatReachesTheLimitIsCounted) {
  Fill(25000, 10);
  etcdserverpb::RangeRequest request = All();
  for (int64_t limit : {9999, 10000, 10001, 20000, 24999, 25000, 25001, 40000}) {
    router_.ranges.clear();
    router_.uncounted_ranges = 0;
    request.set_limit(limit);
    auto parts = Stream(request);
    int64_t sent = 0;
    for (const auto& part : parts) sent += part.kvs_size();
    EXPECT_EQ(sent, std::min<int64_t>(limit, 25000));
    EXPECT_EQ(parts.back().count(), 25000) << limit;
    EXPECT_EQ(parts.back().more(), limit < 25000) << limit;
    EXPECT_GE(router_.uncounted_ranges + 1, router_.ranges.size()) << limit;
  }
}

TEST_F(RangeStreamTest, LimitCountAndMore) {
  Fill(100, 10);
  etcdserverpb::RangeRequest request = All();
  request.set_limit(7);
  auto parts = Stream(request);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].kvs_size(), 7);
  EXPECT_EQ(parts[0].count(), 100);
  EXPECT_TRUE(parts[0].more());
  request.set_limit(100);
  EXPECT_FALSE(Stream(request).back().more());
}

TEST_F(RangeStreamTest, EmptyAndCountOnly) {
  Fill(30, 10);
  etcdserverpb::RangeRequest none = All();
  none.set_key("zzz");
  auto empty = Stream(none);
  ASSERT_EQ(empty.size(), 1u);
  EXPECT_TRUE(empty[0].has_header());
  EXPECT_EQ(empty[0].count(), 0);
  etcdserverpb::RangeRequest count = All();
  count.set_count_only(true);
  auto counted = Stream(count);
  ASSERT_EQ(counted.size(), 1u);
  EXPECT_EQ(counted[0].count(), 30);
  EXPECT_EQ(counted[0].kvs_size(), 0);
  EXPECT_FALSE(counted[0].more());
}

TEST_F(RangeStreamTest, ChunksShrinkTowardsTheRequestLimit) {
  Fill(200, 900);  // max_request_bytes is 1000 here
  for (const auto& part : Stream(All())) EXPECT_LE(part.ByteSizeLong(), 12000u);
  EXPECT_GT(started_.call->sent.size(), 50u);
}

TEST_F(RangeStreamTest, Refusals) {
  Fill(1, 1);
  etcdserverpb::RangeRequest sorted = All();
  sorted.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  Stream(sorted);
  EXPECT_EQ(started_.call->status,
            absl::UnimplementedError("RangeStream does not support custom sort orders"));
  etcdserverpb::RangeRequest filtered = All();
  filtered.set_min_mod_revision(1);
  Stream(filtered);
  EXPECT_EQ(started_.call->status,
            absl::UnimplementedError("RangeStream does not support revision filters"));
  filtered.set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(9));
  Stream(filtered);  // Range's refusals come first
  EXPECT_EQ(started_.call->status, kvstore::ErrInvalidSortOption());
  etcdserverpb::RangeRequest plain = All();
  plain.set_sort_order(etcdserverpb::RangeRequest::ASCEND);
  Stream(plain);
  EXPECT_TRUE(started_.call->status.ok());
}

TEST_F(RangeStreamTest, SlowClientIsWaitedFor) {
  Fill(1000, 100);
  Started slow = Start("/etcdserverpb.KV/RangeStream");
  slow.call->unsent = 2 << 20;
  slow.handler->OnMessage(All().SerializeAsString());
  loop_.RunTasks();
  EXPECT_TRUE(slow.call->sent.empty());
  slow.call->unsent = 0;
  slow.handler->OnDrained();
  EXPECT_TRUE(slow.call->finished);
}

}  // namespace
}  // namespace tidemark::server

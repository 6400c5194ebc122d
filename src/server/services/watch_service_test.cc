// Watch as clients see it; expected values from contract 3.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/server/services/services_fixture_for_test.h"

namespace tidemark::server {
namespace {

using ::testing::ElementsAre;

class FakeBatch : public mvcc::EventBatch {
 public:
  explicit FakeBatch(int count, size_t value_bytes) {
    etcdserverpb::WatchResponse message;
    for (int i = 0; i < count; ++i) {
      message.add_events()->mutable_kv()->set_value(std::string(value_bytes, 'v'));
    }
    encoded_ = ByteChain(message.SerializeAsString());
    events_.resize(count);
  }
  absl::Span<const mvcc::Event> events() const override { return events_; }
  const ByteChain& Encoded() const override { return encoded_; }
  size_t encoded_size_bytes() const override { return encoded_.size_bytes(); }

 private:
  ByteChain encoded_;
  std::vector<mvcc::Event> events_;
};

class WatchTest : public ServicesTest {
 protected:
  void SetUp() override { watch_ = Start("/etcdserverpb.Watch/Watch"); }
  void Create(bool progress_notify) {
    etcdserverpb::WatchRequest request;
    request.mutable_create_request()->set_key("k");
    request.mutable_create_request()->set_progress_notify(progress_notify);
    watch_.handler->OnMessage(request.SerializeAsString());
  }
  partition::WatchOutput& output() { return *router_.watch.output; }
  etcdserverpb::WatchResponse Sent(size_t i) {
    return Parse<etcdserverpb::WatchResponse>(watch_.call->sent.at(i));
  }

  Started watch_;
};

TEST_F(WatchTest, RequestsReachTheStream) {
  Create(false);
  etcdserverpb::WatchRequest request;
  request.mutable_cancel_request()->set_watch_id(5);
  watch_.handler->OnMessage(request.SerializeAsString());
  request.mutable_progress_request();
  watch_.handler->OnMessage(request.SerializeAsString());
  watch_.handler->OnMessage("");  // without a union: ignored
  watch_.handler->OnHalfClose();
  EXPECT_EQ(router_.watch.creates.size(), 1u);
  EXPECT_THAT(router_.watch.cancels, ElementsAre(5));
  EXPECT_EQ(router_.watch.progress_requests, 1);
  EXPECT_TRUE(router_.watch.open);
  EXPECT_FALSE(watch_.call->finished);
  watch_.handler->OnDone();
  EXPECT_FALSE(router_.watch.open);
}

TEST_F(WatchTest, Responses) {
  output().OnCreated(0, Revision(5));
  output().OnCreateRefused(Revision(5), "mvcc: watcher range is empty");
  output().OnEvents(0, std::make_shared<FakeBatch>(2, 10), Revision(6), false);
  output().OnCanceled(0, Revision(7));
  output().OnCompacted(1, Revision(4));
  output().OnProgress(-1, Revision(8));
  EXPECT_TRUE(Sent(0).created());
  EXPECT_EQ(Sent(0).header().revision(), 5);
  EXPECT_EQ(Sent(0).header().cluster_id(), 11u);
  EXPECT_TRUE(Sent(1).created() && Sent(1).canceled());
  EXPECT_EQ(Sent(1).watch_id(), -1);
  EXPECT_EQ(Sent(1).cancel_reason(), "mvcc: watcher range is empty");
  EXPECT_EQ(Sent(2).events_size(), 2);
  EXPECT_EQ(Sent(2).header().revision(), 6);
  EXPECT_TRUE(Sent(3).canceled() && !Sent(3).created());
  EXPECT_EQ(Sent(4).compact_revision(), 4);
  EXPECT_EQ(Sent(4).header().revision(), 0);
  EXPECT_EQ(Sent(4).cancel_reason(), "");
  EXPECT_EQ(Sent(5).watch_id(), -1);
  EXPECT_EQ(Sent(5).header().revision(), 8);
  EXPECT_EQ(Sent(5).events_size(), 0);
}

// One copy is sent to all who hear the same, and only to them.
TEST_F(WatchTest, WatchersOfOneBatchHearWhatIsTheirs) {
  for (const int value_bytes : {10, 100000}) {
    watch_.call->sent.clear();
    const auto batch = std::make_shared<FakeBatch>(2, value_bytes);
    const auto other = std::make_shared<FakeBatch>(3, value_bytes);
    output().OnEvents(0, batch, Revision(6), false);
    output().OnEvents(0, batch, Revision(6), true);
    output().OnEvents(1, batch, Revision(6), false);
    output().OnEvents(1, batch, Revision(7), false);
    output().OnEvents(1, other, Revision(7), false);
    EXPECT_EQ(watch_.call->sent.at(0), watch_.call->sent.at(1));
    EXPECT_EQ(Sent(2).watch_id(), 1);
    EXPECT_EQ(Sent(2).header().revision(), 6);
    EXPECT_EQ(Sent(2).events_size(), 2);
    EXPECT_EQ(Sent(3).header().revision(), 7);
    EXPECT_EQ(Sent(4).events_size(), 3);
  }
}

TEST_F(WatchTest, EndsWhenMoreIsAskedThanCanWait) {
  router_.watch.takes_requests = false;
  etcdserverpb::WatchRequest request;
  request.mutable_cancel_request()->set_watch_id(3);
  watch_.handler->OnMessage(request.SerializeAsString());
  EXPECT_TRUE(watch_.call->finished);
  EXPECT_EQ(watch_.call->status.message(), "etcdserver: too many requests");
  EXPECT_FALSE(router_.watch.open);
}

TEST_F(WatchTest, FragmentsOnlyWhenAskedAndLarge) {
  // The threshold is max-request-bytes (1000 here) + 512 KiB.
  auto large = std::make_shared<FakeBatch>(10, 100000);
  output().OnEvents(3, large, Revision(6), /*may_fragment=*/false);
  ASSERT_EQ(watch_.call->sent.size(), 1u);
  output().OnEvents(3, large, Revision(6), /*may_fragment=*/true);
  ASSERT_GT(watch_.call->sent.size(), 2u);
  int events = 0;
  for (size_t i = 1; i < watch_.call->sent.size(); ++i) {
    EXPECT_LT(watch_.call->sent[i].size(), 1000u + 512 * 1024);
    EXPECT_EQ(Sent(i).fragment(), i + 1 < watch_.call->sent.size());
    EXPECT_EQ(Sent(i).watch_id(), 3);
    EXPECT_EQ(Sent(i).header().revision(), 6);
    events += Sent(i).events_size();
  }
  EXPECT_EQ(events, 10);
  size_t before = watch_.call->sent.size();
  output().OnEvents(3, std::make_shared<FakeBatch>(10, 10), Revision(6), true);
  EXPECT_EQ(watch_.call->sent.size(), before + 1);
  EXPECT_FALSE(Sent(before).fragment());
}

TEST_F(WatchTest, ProgressTicksWithTheInterval) {
  Create(false);
  loop_.Advance(absl::Minutes(1));
  EXPECT_EQ(router_.watch.progress_ticks, 0);
  Create(true);
  loop_.Advance(absl::Seconds(9));
  EXPECT_EQ(router_.watch.progress_ticks, 0);
  loop_.Advance(absl::Seconds(22));
  EXPECT_GE(router_.watch.progress_ticks, 2);
  EXPECT_LE(router_.watch.progress_ticks, 3);
  watch_.handler->OnDone();
  EXPECT_EQ(loop_.timer_count(), 0u);
}

TEST_F(WatchTest, CreditComesBackAsBytesLeave) {
  auto batch = std::make_shared<FakeBatch>(1, 100000);
  size_t size_bytes = batch->encoded_size_bytes();
  watch_.call->unsent = size_bytes + 50;
  output().OnEvents(0, batch, Revision(6), false);
  EXPECT_EQ(router_.watch.consumed, 0u);
  watch_.call->unsent = 1000;
  watch_.handler->OnDrained();
  EXPECT_EQ(router_.watch.consumed, size_bytes - 1000);
  // Below the low-water mark the call says so only when it was asked to.
  EXPECT_TRUE(std::exchange(watch_.call->notifies_when_taken, false));
  watch_.call->unsent = 0;
  watch_.handler->OnDrained();
  EXPECT_EQ(router_.watch.consumed, size_bytes);
  EXPECT_FALSE(watch_.call->notifies_when_taken);
  EXPECT_EQ(loop_.timer_count(), 0u);
}

}  // namespace
}  // namespace tidemark::server

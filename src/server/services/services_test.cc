// What clients see of the services; expected values from contract 1.2, 2.4, 3, 4, 5.1, 6, 8.
#include "src/server/services/services.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/health.pb.h"
#include "src/kvstore/etcd_errors.h"
#include "src/server/services/fakes_for_test.h"

namespace tidemark::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename Message>
Message Parse(const std::string& bytes) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  return message;
}

class ServicesTest : public ::testing::Test {
 protected:
  ServicesTest() {
    router_.status.term = Term(3);
    router_.status.revision = Revision(42);
    ServiceOptions options;
    options.cluster_id = 11;
    options.member_id = 22;
    options.name = "m";
    options.peer_urls = {"http://p:1"};
    options.client_urls = {"http://c:1"};
    options.version = "3.7.1";
    options.storage_version = "3.7.0";
    options.max_request_bytes = 1000;
    options.watch_progress_notify_interval = absl::Seconds(10);
    context_ = std::make_unique<ServiceContext>(
        options, router_, loop_, random_,
        [this](bool stream, const std::string& version) -> std::function<void()> {
          return [this, name = (stream ? "stream " : "unary ") + version] {
            clients_.push_back(name);
          };
        });
    context_->RefreshTerm();
    methods_ = AllMethods(*context_);
  }

  struct Started {
    std::shared_ptr<FakeCall> call;
    std::shared_ptr<CallHandler> handler;
  };
  Started Start(const std::string& path,
                std::vector<std::pair<std::string, std::string>> headers = {}) {
    for (const Method& method : methods_) {
      if (method.path != path) continue;
      Started started;
      started.call = std::make_shared<FakeCall>(loop_, path);
      for (auto& [name, value] : headers) started.call->mutable_metadata().Add(name, value);
      started.handler = method.start(started.call);
      started.call->handler = started.handler;
      return started;
    }
    ADD_FAILURE() << "no method " << path;
    return {};
  }
  template <typename Message>
  Started Ask(const std::string& path, const Message& message,
              std::vector<std::pair<std::string, std::string>> headers = {}) {
    Started started = Start(path, std::move(headers));
    started.handler->OnMessage(message.SerializeAsString());
    loop_.RunTasks();
    return started;
  }

  FakeLoop loop_;
  FixedRandom random_;
  FakeRouter router_;
  std::unique_ptr<ServiceContext> context_;
  std::vector<Method> methods_;
  std::vector<std::string> clients_;
};

TEST_F(ServicesTest, PutIsAnsweredWithItsOwnRevision) {
  etcdserverpb::PutRequest request;
  request.set_key("k");
  Started put = Ask("/etcdserverpb.KV/Put", request);
  ASSERT_EQ(router_.puts.size(), 1u);
  EXPECT_EQ(router_.put_sizes[0], request.ByteSizeLong());
  EXPECT_FALSE(put.call->finished);
  router_.put_done[0](kvstore::Reply<kvstore::PutResult>{Revision(7), {}});
  EXPECT_FALSE(put.call->finished);  // only handed over
  loop_.RunTasks();
  ASSERT_TRUE(put.call->finished);
  auto header = Parse<etcdserverpb::PutResponse>(put.call->sent.at(0)).header();
  EXPECT_EQ(header.revision(), 7);
  EXPECT_EQ(header.cluster_id(), 11u);
  EXPECT_EQ(header.member_id(), 22u);
  EXPECT_EQ(header.raft_term(), 3u);
  EXPECT_THAT(clients_, ElementsAre("unary unknown"));
}

TEST_F(ServicesTest, TimesOutAfterSevenSecondsAndDropsTheLateAnswer) {
  Started put = Ask("/etcdserverpb.KV/Put", etcdserverpb::PutRequest());
  loop_.Advance(absl::Milliseconds(6999));
  EXPECT_FALSE(put.call->finished);
  loop_.Advance(absl::Milliseconds(1));
  ASSERT_TRUE(put.call->finished);
  EXPECT_EQ(put.call->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(put.call->status.message(), "etcdserver: request timed out");
  put.handler->OnDone();
  put.handler.reset();
  router_.put_done[0](kvstore::Reply<kvstore::PutResult>{Revision(7), {}});
  loop_.RunTasks();
  EXPECT_TRUE(put.call->sent.empty());
}

TEST_F(ServicesTest, WhatItsClientGaveUpIsSlowToo) {
  Started answered = Ask("/etcdserverpb.KV/Put", etcdserverpb::PutRequest());
  Started given_up = Ask("/etcdserverpb.KV/Put", etcdserverpb::PutRequest());
  Started never_asked = Start("/etcdserverpb.KV/Put");
  loop_.Advance(absl::Milliseconds(400));
  router_.put_done[0](kvstore::Reply<kvstore::PutResult>{Revision(7), {}});
  loop_.RunTasks();
  EXPECT_EQ(context_->counters().slow_requests.load(), 1);
  for (Started* one : {&answered, &given_up, &never_asked}) one->handler->OnDone();
  EXPECT_EQ(context_->counters().slow_requests.load(), 2);
}

TEST_F(ServicesTest, TheTimeLimitRunsFromTheWholeRequestAndEndsWithTheAnswer) {
  Started put = Start("/etcdserverpb.KV/Put");
  loop_.Advance(absl::Minutes(1));  // a client that is slow to send its message
  EXPECT_FALSE(put.call->finished);
  EXPECT_EQ(loop_.timer_count(), 0u);
  put.handler->OnMessage(etcdserverpb::PutRequest().SerializeAsString());
  loop_.Advance(absl::Milliseconds(6999));
  EXPECT_FALSE(put.call->finished);
  router_.put_done[0](kvstore::Reply<kvstore::PutResult>{Revision(7), {}});
  loop_.Advance(absl::Minutes(1));
  ASSERT_TRUE(put.call->finished);
  EXPECT_TRUE(put.call->status.ok());
}

TEST_F(ServicesTest, PhysicalCompactionMayTakeLong) {
  etcdserverpb::CompactionRequest request;
  request.set_physical(true);
  Started compact = Ask("/etcdserverpb.KV/Compact", request);
  loop_.Advance(absl::Minutes(1));
  EXPECT_FALSE(compact.call->finished);
  router_.nothing_done[0](kvstore::Reply<partition::Nothing>{Revision(9), {}});
  loop_.RunTasks();
  EXPECT_EQ(Parse<etcdserverpb::CompactionResponse>(compact.call->sent.at(0)).header().revision(),
            9);
}

TEST_F(ServicesTest, RefusalsAndBadMessages) {
  Started put = Ask("/etcdserverpb.KV/Put", etcdserverpb::PutRequest());
  router_.put_done[0](kvstore::ErrNoSpace());
  loop_.RunTasks();
  EXPECT_EQ(put.call->status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(put.call->status.message(), "etcdserver: mvcc: database space exceeded");

  Started bad = Start("/etcdserverpb.KV/Put");
  bad.handler->OnMessage("\x0a\xff");
  EXPECT_EQ(bad.call->status.code(), absl::StatusCode::kInternal);
}

TEST_F(ServicesTest, TransactionsMayBeNestedDeeply) {
  for (int levels : {1, 60, 127}) {
    etcdserverpb::TxnRequest request;
    etcdserverpb::TxnRequest* innermost = &request;
    for (int i = 0; i < levels; ++i) innermost = innermost->add_success()->mutable_request_txn();
    innermost->add_success()->mutable_request_put()->set_key("k");
    Started txn = Ask("/etcdserverpb.KV/Txn", request);
    loop_.RunTasks();
    EXPECT_TRUE(txn.call->status.ok()) << levels << txn.call->status;
  }
  Started bad = Start("/etcdserverpb.KV/Txn");
  bad.handler->OnMessage("\x0a\xff");
  EXPECT_EQ(bad.call->status.code(), absl::StatusCode::kInternal);
}

TEST_F(ServicesTest, Metadata) {
  Started counted =
      Ask("/etcdserverpb.KV/Put", etcdserverpb::PutRequest(), {{"client-api-version", "3.7"}});
  EXPECT_THAT(clients_, ElementsAre("unary 3.7"));
  Started invalid =
      Ask("/etcdserverpb.KV/Put", etcdserverpb::PutRequest(), {{"client-api-version", "\xff"}});
  EXPECT_EQ(invalid.call->status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(invalid.call->status.message(), "etcdserver: invalid client api version");

  FakeRouter leaderless;
  ServiceContext lost(ServiceOptions(), leaderless, loop_, random_, nullptr);
  FakeCall call(loop_, "x");
  EXPECT_TRUE(lost.Admit(call, false).ok());
  call.mutable_metadata().Add("hasleader", "true");
  EXPECT_EQ(lost.Admit(call, false).message(), "etcdserver: no leader");
  EXPECT_TRUE(context_->Admit(call, false).ok());
}

TEST_F(ServicesTest, ClientVersionsAreBounded) {
  for (int i = 0; i < 200; ++i) {
    FakeCall call(loop_, "x");
    call.mutable_metadata().Add("client-api-version", std::to_string(i));
    ASSERT_TRUE(context_->Admit(call, false).ok());
  }
  std::set<std::string> distinct(clients_.begin(), clients_.end());
  EXPECT_LE(distinct.size(), 65u);
}

TEST_F(ServicesTest, MemberList) {
  Started local = Ask("/etcdserverpb.Cluster/MemberList", etcdserverpb::MemberListRequest());
  auto list = Parse<etcdserverpb::MemberListResponse>(local.call->sent.at(0));
  EXPECT_EQ(list.header().revision(), 0);
  EXPECT_EQ(list.header().raft_term(), 3u);
  ASSERT_EQ(list.members_size(), 1);
  EXPECT_EQ(list.members(0).id(), 22u);
  EXPECT_EQ(list.members(0).name(), "m");
  EXPECT_EQ(list.members(0).peerurls(0), "http://p:1");
  EXPECT_EQ(list.members(0).clienturls(0), "http://c:1");

  etcdserverpb::MemberListRequest linearizable;
  linearizable.set_linearizable(true);
  Started confirmed = Ask("/etcdserverpb.Cluster/MemberList", linearizable);
  EXPECT_FALSE(confirmed.call->finished);
  router_.nothing_done.at(0)(kvstore::Reply<partition::Nothing>{Revision(9), {}});
  loop_.RunTasks();
  EXPECT_EQ(Parse<etcdserverpb::MemberListResponse>(confirmed.call->sent.at(0)).header().revision(),
            0);
}

TEST_F(ServicesTest, Status) {
  router_.status.logical_bytes = 100;
  router_.status.logical_live_bytes = 60;
  router_.status.quota_bytes = 2147483648;
  router_.status.committed = Position(8);
  router_.status.applied = Position(7);
  router_.status.alarms = {{22, etcdserverpb::NOSPACE}};
  Started asked = Ask("/etcdserverpb.Maintenance/Status", etcdserverpb::StatusRequest());
  auto status = Parse<etcdserverpb::StatusResponse>(asked.call->sent.at(0));
  EXPECT_EQ(status.version(), "3.7.1");
  EXPECT_EQ(status.storageversion(), "3.7.0");
  EXPECT_EQ(status.dbsize(), 100);
  EXPECT_EQ(status.dbsizeinuse(), 60);
  EXPECT_EQ(status.dbsizequota(), 2147483648);
  EXPECT_EQ(status.leader(), 22u);
  EXPECT_EQ(status.raftindex(), 8u);
  EXPECT_EQ(status.raftappliedindex(), 7u);
  EXPECT_EQ(status.raftterm(), 3u);
  EXPECT_EQ(status.header().revision(), 42);
  EXPECT_TRUE(status.has_downgradeinfo());
  ASSERT_EQ(status.errors_size(), 1);
  EXPECT_EQ(status.errors(0), "memberID:22 alarm:NOSPACE");
}

TEST_F(ServicesTest, DefragmentHasNoHeader) {
  Started defragment =
      Ask("/etcdserverpb.Maintenance/Defragment", etcdserverpb::DefragmentRequest());
  router_.nothing_done.at(0)(kvstore::Reply<partition::Nothing>{Revision(9), {}});
  loop_.RunTasks();
  EXPECT_EQ(defragment.call->sent.at(0), "");
  EXPECT_TRUE(defragment.call->status.ok());
}

TEST_F(ServicesTest, HashKv) {
  etcdserverpb::HashKVRequest request;
  request.set_revision(5);
  Started asked = Ask("/etcdserverpb.Maintenance/HashKV", request);
  auto hash = Parse<etcdserverpb::HashKVResponse>(asked.call->sent.at(0));
  EXPECT_EQ(hash.hash(), 77u);
  EXPECT_EQ(hash.compact_revision(), -1);
  EXPECT_EQ(hash.hash_revision(), 5);
  EXPECT_EQ(hash.header().revision(), 42);
}

// Contract 7.1: a client with a user and a password goes on without.
TEST_F(ServicesTest, AuthenticationIsOff) {
  etcdserverpb::AuthenticateRequest request;
  request.set_name("root");
  Started login = Ask("/etcdserverpb.Auth/Authenticate", request);
  EXPECT_EQ(login.call->status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(login.call->status.message(), "etcdserver: authentication is not enabled");
  Started asked = Ask("/etcdserverpb.Auth/AuthStatus", etcdserverpb::AuthStatusRequest());
  router_.nothing_done.at(0)(kvstore::Reply<partition::Nothing>{Revision(42), {}});
  loop_.RunTasks();
  const auto status = Parse<etcdserverpb::AuthStatusResponse>(asked.call->sent.at(0));
  EXPECT_FALSE(status.enabled());
  EXPECT_EQ(status.authrevision(), 1u);
  EXPECT_EQ(status.header().revision(), 42);
}

TEST_F(ServicesTest, UnimplementedSaysWhat) {
  Started auth = Ask("/etcdserverpb.Auth/AuthEnable", etcdserverpb::StatusRequest());
  EXPECT_EQ(auth.call->status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(auth.call->status.message(), "not implemented by this version of Tidemark: auth");
}

TEST_F(ServicesTest, Health) {
  Started asked = Ask("/grpc.health.v1.Health/Check", grpc::health::v1::HealthCheckRequest());
  EXPECT_EQ(Parse<grpc::health::v1::HealthCheckResponse>(asked.call->sent.at(0)).status(),
            grpc::health::v1::HealthCheckResponse::SERVING);
  grpc::health::v1::HealthCheckRequest other;
  other.set_service("etcdserverpb.KV");
  EXPECT_EQ(Ask("/grpc.health.v1.Health/Check", other).call->status.code(),
            absl::StatusCode::kNotFound);
  Started listed = Ask("/grpc.health.v1.Health/List", grpc::health::v1::HealthListRequest());
  const auto list = Parse<grpc::health::v1::HealthListResponse>(listed.call->sent.at(0));
  ASSERT_EQ(list.statuses_size(), 1);
  EXPECT_EQ(list.statuses().at("").status(), grpc::health::v1::HealthCheckResponse::SERVING);
}

// --- RangeStream ---

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

// --- Watch ---

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

// --- Lease ---

TEST_F(ServicesTest, LeaseAnswers) {
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_id(-9);
  grant.set_ttl(30);
  auto granted = Parse<etcdserverpb::LeaseGrantResponse>(
      Ask("/etcdserverpb.Lease/LeaseGrant", grant).call->sent.at(0));
  EXPECT_EQ(granted.id(), -9);
  EXPECT_EQ(granted.ttl(), 30);
  EXPECT_EQ(granted.error(), "");
  etcdserverpb::LeaseTimeToLiveRequest life;
  life.set_id(5);
  auto unknown = Parse<etcdserverpb::LeaseTimeToLiveResponse>(
      Ask("/etcdserverpb.Lease/LeaseTimeToLive", life).call->sent.at(0));
  EXPECT_EQ(unknown.id(), 5);
  EXPECT_EQ(unknown.ttl(), -1);
  auto leases = Parse<etcdserverpb::LeaseLeasesResponse>(
      Ask("/etcdserverpb.Lease/LeaseLeases", etcdserverpb::LeaseLeasesRequest()).call->sent.at(0));
  ASSERT_EQ(leases.leases_size(), 2);
  EXPECT_EQ(leases.leases(1).id(), -4);
}

TEST_F(ServicesTest, KeepAlivesAreAnsweredInOrder) {
  Started stream = Start("/etcdserverpb.Lease/LeaseKeepAlive");
  for (int64_t id : {1, 2, 3}) {
    etcdserverpb::LeaseKeepAliveRequest request;
    request.set_id(id);
    stream.handler->OnMessage(request.SerializeAsString());
  }
  ASSERT_EQ(router_.keep_alives.size(), 3u);
  auto answer = [&](int i, int64_t ttl) {
    router_.keep_alives[i].second(kvstore::Reply<partition::LeaseRemaining>{
        Revision(42), {router_.keep_alives[i].first, ttl}});
    loop_.RunTasks();
  };
  answer(2, 30);
  answer(1, 20);
  EXPECT_TRUE(stream.call->sent.empty());
  stream.handler->OnHalfClose();
  EXPECT_FALSE(stream.call->finished);
  answer(0, 0);  // an unknown lease is no error
  ASSERT_EQ(stream.call->sent.size(), 3u);
  std::vector<int64_t> ids, ttls;
  for (const std::string& bytes : stream.call->sent) {
    auto response = Parse<etcdserverpb::LeaseKeepAliveResponse>(bytes);
    EXPECT_EQ(response.header().revision(), 42);
    ids.push_back(response.id());
    ttls.push_back(response.ttl());
  }
  EXPECT_THAT(ids, ElementsAre(1, 2, 3));
  EXPECT_THAT(ttls, ElementsAre(0, 20, 30));
  EXPECT_EQ(context_->counters().leases_renewed.load(), 2u);
  EXPECT_TRUE(stream.call->finished);
  EXPECT_TRUE(stream.call->status.ok());
}

TEST_F(ServicesTest, KeepAliveTimesOut) {
  Started stream = Start("/etcdserverpb.Lease/LeaseKeepAlive");
  stream.handler->OnMessage("\x08\x01");
  router_.keep_alives[0].second(
      kvstore::Reply<partition::LeaseRemaining>{Revision(42), {LeaseId(1), 10}});
  loop_.Advance(absl::Minutes(1));
  EXPECT_FALSE(stream.call->finished) << "nothing is asked for";
  stream.handler->OnMessage("\x08\x01");
  loop_.Advance(absl::Seconds(7));
  EXPECT_EQ(stream.call->status.message(), "etcdserver: request timed out");
}

}  // namespace
}  // namespace tidemark::server

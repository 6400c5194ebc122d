// What clients see of the services; expected values from contract 1.2, 4, 5.1, 6, 8.
#include "src/server/services/services.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/health.pb.h"
#include "src/kvstore/etcd_errors.h"
#include "src/server/services/services_fixture_for_test.h"

namespace tidemark::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

// Leases of a whole node: over partitions, in time, and when the journal takes nothing.
#include "src/partition/lease_manager.h"
#include <functional>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "src/partition/local_store.h"
#include "src/partition/store_for_test.h"

namespace tidemark::partition {
namespace {

using ::testing::ElementsAre;

LocalStoreOptions Options() {
  LocalStoreOptions options;
  options.member_id = 77;
  return options;
}

TEST(Leases, LeasesGrantAndRefuse) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  const auto picked = store.Grant(0, 1);
  ASSERT_TRUE(picked.ok());
  EXPECT_GT(picked->result.id.value(), 0);
  EXPECT_EQ(picked->result.ttl_seconds, 2);  // the minimum
  EXPECT_EQ(picked->revision, Revision(1));
  ASSERT_TRUE(store.Grant(-3, 100).ok());
  EXPECT_EQ(store.Grant(-3, 100).status().message(), "etcdserver: lease already exists");
  EXPECT_EQ(store.Grant(4, 9000000001).status().message(), "etcdserver: too large lease TTL");
  EXPECT_EQ(store.Revoke(99).status().message(), "etcdserver: requested lease not found");
  EXPECT_EQ(store.KeepAlive(99)->result.ttl_seconds, 0);
  EXPECT_EQ(store.KeepAlive(-3)->result.ttl_seconds, 100);
  EXPECT_EQ(store.TimeToLive(99, true)->result.remaining_seconds, -1);
  EXPECT_EQ(store.router().Status().leases, 2);
  EXPECT_EQ(store.Put("/registry/events/e", "1", 98).status().message(),
            "etcdserver: requested lease not found");
}

TEST(Leases, ARevokeThatIsTooLargeIsNoFaultOfOthers) {
  StoreForTest store(Options(), 3, 2);
  store.journal_payload_bytes_max = 500;
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Grant(1, 1000).ok());
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(store.Put(absl::StrCat("/registry/events/", i), "v", 1).ok());
  }
  std::optional<absl::Status> revoked;
  store.router().LeaseRevoke(
      LeaseId(1), [&](absl::StatusOr<kvstore::Reply<Nothing>> reply) { revoked = reply.status(); });
  int64_t grants = 0, refused = 0;
  while (!revoked.has_value()) {
    store.router().LeaseGrant(++grants + 1, 60,
                              [&](absl::StatusOr<kvstore::Reply<LeaseGranted>> r) {
                                if (!r.ok()) ++refused;
                              });
    store.world().RunFor(absl::Microseconds(10));
  }
  EXPECT_EQ(revoked->message(), "etcdserver: request is too large");
  store.world().RunFor(absl::Seconds(1));
  EXPECT_GT(grants, 1);
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(store.router().Status().leases, grants + 1);
  EXPECT_TRUE(store.Put("/registry/events/0", "v", 0).ok());  // nothing is held any more
  EXPECT_TRUE(store.Revoke(2).ok());
}

TEST(Leases, ExpiredLeaseTakesItsKeysInOneRevision) {
  StoreForTest store(Options(), 3, 2);
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Grant(1, 5).ok());
  ASSERT_TRUE(store.Grant(2, 5).ok());
  ASSERT_TRUE(store.Grant(3, 1000).ok());
  ASSERT_TRUE(store.Put("/registry/events/a", "1", 1).ok());
  ASSERT_TRUE(store.Put("/registry/pods/b", "1", 1).ok());
  ASSERT_TRUE(store.Put("c", "1", 2).ok());
  ASSERT_TRUE(store.Put("d", "1", 3).ok());
  store.world().RunFor(absl::Seconds(4));
  EXPECT_EQ(store.Range("a", "e")->result.count, 2);
  ASSERT_EQ(store.KeepAlive(2)->result.ttl_seconds, 5);
  store.world().RunFor(absl::Seconds(3));
  const std::string zero(1, '\0');
  EXPECT_EQ(store.Range(zero, zero)->result.count, 2);
  EXPECT_EQ(store.router().Status().revision, Revision(6));  // one for lease 1
  EXPECT_EQ(store.KeepAlive(1)->result.ttl_seconds, 0);
  store.world().RunFor(absl::Seconds(5));
  EXPECT_EQ(store.router().Status().revision, Revision(7));
  EXPECT_EQ(store.Range(zero, zero)->result.count, 1);
  EXPECT_EQ(store.router().Status().leases_expired_total, 2);
}

// A put races the revoke of its lease: either it comes first and goes with the lease, or it is
// refused; the key never outlives the lease.
TEST(Leases, S7_NothingAttachesToALeaseBeingRevoked) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    StoreForTest store(Options(), seed, 3);
    ASSERT_TRUE(store.Start().ok());
    ASSERT_TRUE(store.Grant(1, 1000).ok());
    int answers = 0;
    const auto put = [&](const std::string& key) {
      etcdserverpb::PutRequest request;
      request.set_key(key);
      request.set_lease(1);
      store.router().Put({}, request,
                         [&](absl::StatusOr<kvstore::Reply<kvstore::PutResult>>) { ++answers; });
    };
    for (int i = 0; i < 5; ++i) put(absl::StrCat("/registry/pods/", i));
    store.router().LeaseRevoke(LeaseId(1), [&](absl::StatusOr<kvstore::Reply<Nothing>> reply) {
      EXPECT_TRUE(reply.ok());
      ++answers;
    });
    for (int i = 5; i < 30; ++i) {
      put(absl::StrCat("/registry/", i % 2 == 0 ? "pods/" : "events/", i));
      store.world().RunFor(absl::Microseconds(50));
    }
    ASSERT_TRUE(store.world().RunUntil([&] { return answers == 31; }, absl::Minutes(1)));
    const std::string zero(1, '\0');
    EXPECT_EQ(store.Range(zero, zero)->result.count, 0) << "seed " << seed;
    store.store().CheckIdle();
  }
}

// However much clients ask for: here all places of operations are taken all the time.
TEST(Leases, ExpiryIsNotRefusedForTooManyOperations) {
  LocalStoreOptions options = Options();
  options.max_pending_writes = 4;
  StoreForTest store(options);
  store.journal_delay_max = absl::Milliseconds(20);
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Grant(1, 2).ok());
  ASSERT_TRUE(store.Grant(2, 1000).ok());
  bool asks = true;
  int running = 0;
  std::function<void()> ask = [&] {
    ++running;
    store.router().LeaseTimeToLive(LeaseId(2), false, [&](auto) {
      --running;
      if (asks) ask();
    });
  };
  for (int i = 0; i < 4; ++i) ask();
  store.world().RunFor(absl::Seconds(10));
  EXPECT_EQ(running, 4);
  EXPECT_EQ(store.router().Status().leases_expired_total, 1);
  asks = false;
  store.world().RunFor(absl::Seconds(1));
  store.store().CheckIdle();
}

TEST(Leases, WhoWaitsForARevokeHearsThatTheLeaseIsGone) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Grant(1, 2).ok());
  store.world().RunFor(absl::Milliseconds(2050));  // it is over; the next pass has not come
  int ended = 0;
  for (int i = 0; i < 50; ++i) {
    store.router().LeaseKeepAlive(LeaseId(1), [&](auto reply) {
      if (reply.ok() && reply->result.ttl_seconds == 0) ++ended;
    });
  }
  store.world().RunFor(absl::Milliseconds(10));
  EXPECT_EQ(ended, 0);
  store.world().RunFor(absl::Seconds(10));
  EXPECT_EQ(ended, 50);
  EXPECT_EQ(store.KeepAlive(1)->result.ttl_seconds, 0);
  EXPECT_EQ(store.router().Status().leases_expired_total, 1);
  store.store().CheckIdle();
}

// However long that takes: here the disk is full.
TEST(Leases, WhoWaitsForARevokeKeepsNobodyOut) {
  LocalStoreOptions options = Options();
  options.max_pending_writes = 4;
  StoreForTest store(options);
  store.journal_segment_bytes = 1 << 16;
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Grant(1, 2).ok());
  ASSERT_TRUE(store.Grant(2, 1000).ok());
  store.FillDisk();
  store.world().RunFor(absl::Seconds(5));
  int answered = 0;
  for (int i = 0; i < 50; ++i) {
    store.router().LeaseKeepAlive(LeaseId(1), [&](auto) { ++answered; });
  }
  store.world().RunFor(absl::Milliseconds(100));
  EXPECT_LT(answered, 50);
  const auto healthy = store.KeepAlive(2);
  ASSERT_TRUE(healthy.ok()) << healthy.status();
  EXPECT_EQ(healthy->result.ttl_seconds, 1000);
  store.world().RunFor(absl::Seconds(10));
  EXPECT_EQ(answered, 50);
  store.disk().ClearFaults();
  store.world().RunFor(absl::Seconds(2));
  EXPECT_EQ(store.KeepAlive(1)->result.ttl_seconds, 0);
  EXPECT_EQ(store.router().Status().leases_expired_total, 1);
}

// etcd renews in memory too, when nothing can be written.
TEST(Leases, ALeaseOfWhoKeepsAskingDoesNotEndForWantOfSpace) {
  StoreForTest store(Options());
  store.journal_segment_bytes = 1 << 16;
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Grant(1, 60).ok());
  ASSERT_TRUE(store.Put("/registry/pods/a", "1", 1).ok());
  store.world().RunFor(absl::Seconds(35));  // the journal hears how much is left
  store.FillDisk();
  for (int i = 0; i < 10; ++i) {
    store.world().RunFor(absl::Seconds(20));
    EXPECT_EQ(store.KeepAlive(1).status().code(), absl::StatusCode::kResourceExhausted);
  }
  store.disk().ClearFaults();
  EXPECT_EQ(store.KeepAlive(1)->result.ttl_seconds, 60);
  store.world().RunFor(absl::Seconds(5));
  EXPECT_THAT(store.TimeToLive(1, true)->result.keys, ElementsAre("/registry/pods/a"));
}

// Its turn to be revoked had not come when clients revoked it and granted it anew.
TEST(Leases, S7_AnExpiredLeaseThatWasGrantedAgainLivesOn) {
  constexpr int kLeases = 300;
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  for (int id = 1; id <= kLeases; ++id) ASSERT_TRUE(store.Grant(id, 2).ok());
  const auto expired = [&] { return store.router().Status().leases_expired_total; };
  ASSERT_TRUE(store.world().RunUntil([&] { return expired() > 0; }, absl::Minutes(1)));
  const int64_t last = store.router().Status().leases_expired_total + 100;
  ASSERT_TRUE(store.Revoke(last).ok());
  ASSERT_TRUE(store.Grant(last, 60).ok());
  ASSERT_TRUE(store.Put("/registry/pods/a", "1", last).ok());
  ASSERT_LT(expired(), last);
  store.world().RunFor(absl::Seconds(20));
  EXPECT_EQ(expired(), kLeases - 1);
  EXPECT_EQ(store.TimeToLive(last, true)->result.granted_seconds, 60);
  EXPECT_THAT(store.TimeToLive(last, true)->result.keys, ElementsAre("/registry/pods/a"));
}

}  // namespace
}  // namespace tidemark::partition
